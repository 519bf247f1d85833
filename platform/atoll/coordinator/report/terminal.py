"""What the terminal shows of a run."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from atoll.coordinator.report.conclusions import conclusions
from atoll.coordinator.report.tables import Grid, left_grid, loss_grid
from atoll.coordinator.report.unlearning import MEANING, asked_about, unlearning_grid
from atoll.coordinator.report.wording import difference_text
from atoll.coordinator.results import RunResults

__all__ = ["conclusions", "grid_table", "left_table", "results_table", "unlearning_table", "withdrawal_table"]


def results_table(results: RunResults) -> Table:
    """Test loss of every model on every silo, the share of the gain that the mixture keeps, and the means."""
    caption = "gain kept: of what the silo's own expert gains over the anchor"
    return grid_table(loss_grid(results, each_withdrawn=False), f"Test loss, nats a {results.unit}", caption)


def left_table(results: RunResults) -> Table:
    """Bytes that left each silo, by what they were."""
    return grid_table(left_grid(results), "What left each silo")


def withdrawal_table(results: RunResults) -> Table | None:
    """What a withdrawal changed; ``None`` where nobody withdrew."""
    found = results.withdrawal
    if found is None:
        return None
    rows = {
        f"loss on {found.owner}, before": f"{found.loss_before:.4f}",
        f"loss on {found.owner}, after": f"{found.loss_after:.4f}",
        "the same of a mixture that never had it": f"{found.loss_never_had:.4f}",
        "after against never had": difference_text(abs(found.loss_after - found.loss_never_had)),
        "largest change on another silo": f"{found.max_change_elsewhere:.4f}",
        "release without it": f"{found.release_number}, {found.release_digest}",
    }
    if found.prompt:
        rows |= {"prompt": found.prompt, "answer before": found.answer_before, "answer after": found.answer_after}
    title = Text(f"{found.owner} withdraws: losses in nats a {results.unit}")
    table = Table(title=title, title_justify="left", show_header=False, box=SIMPLE_HEAD, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    return table


def unlearning_table(figures: Mapping[str, float], owner: str) -> Table:
    """The scorecard of an owner's exit."""
    title = f"Unlearning scorecard of {owner}'s exit, {asked_about(figures)}"
    return grid_table(unlearning_grid(figures), title, MEANING)


def grid_table(grid: Grid, title: str, caption: str | None = None) -> Table:
    """A grid under a title."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.caption, table.caption_justify = caption, "left"
    for place, column in enumerate(grid.columns):
        # Text, since what others wrote is not markup. Names stay whole in a narrow terminal; headings may break.
        table.add_column(Text(column), justify="right" if place else "left", overflow="fold", no_wrap=not place)
    for row in grid.rows:
        table.add_row(*map(Text, row))
    if grid.summary:
        table.add_section()
        table.add_row(*(Text(cell, style="bold") for cell in grid.summary))
    return table
