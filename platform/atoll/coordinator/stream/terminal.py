"""What the terminal shows of a stream."""

from rich.table import Table

from atoll.coordinator.report.terminal import grid_table, unlearning_table
from atoll.coordinator.stream.results import StreamResults
from atoll.coordinator.stream.tables import audit_grid, figures_of, methods_grid, silos_grid, withdrawal_grid


def stream_tables(results: StreamResults) -> list[Table]:
    """Methods, what became of each silo, and the withdrawal."""
    found = [grid_table(methods_grid(results), f"Methods, by {results.metric}")]
    found += [grid_table(silos_grid(results, figure), "After the last stage") for figure in figures_of(results)]
    if (audits := audit_grid(results)) is not None:
        found.append(grid_table(audits, "Privacy, as measured"))
    if results.withdrawal is not None:
        title = f"{results.withdrawal.owner} withdraws"
        found.append(grid_table(withdrawal_grid(results.withdrawal, results.metric), title))
        found.append(unlearning_table(results.withdrawal.unlearning, results.withdrawal.owner))
    return found
