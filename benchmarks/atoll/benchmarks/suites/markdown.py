"""A suite's tables as Markdown, so that a document's figures are what a command wrote."""

from collections.abc import Sequence
from pathlib import Path

from atoll.benchmarks.suites.tables import Grid
from atoll.experts.files import write_atomic


def write_tables(grids: Sequence[Grid], claims: Sequence[str], path: Path) -> None:
    """Write tables under their titles, then the claims as a list."""
    parts = [f"## {grid.title}\n\n{_table(grid)}" for grid in grids]
    if claims:
        parts.append("\n".join(f"- {claim}" for claim in claims))
    write_atomic(path, "\n\n".join(parts).encode() + b"\n")


def _table(grid: Grid) -> str:
    rows = [grid.columns, ("---", *("---:" for _ in grid.columns[1:])), *grid.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
