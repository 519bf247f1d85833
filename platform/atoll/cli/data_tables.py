"""A survey of an owner's data, as tables for a terminal."""

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from atoll.workloads.survey import Survey


def survey_tables(found: Survey) -> Iterator[RenderableType]:
    """What is shown of one owner, from top to bottom."""
    yield Text(f"\n{found.owner} ({found.workload})", style="bold")
    if found.problem:
        yield Text(found.problem, style="red")
        return
    splits = Table("split", *("documents", "tokens", "samples"))
    for name, split in found.splits.items():
        splits.add_row(name, f"{split.documents:,}", f"{split.tokens:,}", f"{split.samples:,}")
    yield splits
    for line in found.report.lines():
        yield Text(line)
    for name, reason in list(found.report.files_skipped.items())[:10]:
        yield Text(f"skipped file {name}: {reason}")
    for name, value in found.details.items():
        shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else value
        yield Text(f"{name}: {shown}")
