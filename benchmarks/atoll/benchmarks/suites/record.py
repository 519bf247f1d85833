"""A suite's run folder: what is done, and under which commit and on which machine."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from atoll.benchmarks.provenance import provenance
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.suite import Cell, Suite
from atoll.config.decode import decode_json
from atoll.errors import DataError
from atoll.experts.files import write_atomic

_OUTCOME, _ORIGIN = "outcome.json", "origin.json"


@dataclass(frozen=True, kw_only=True)
class Done:
    """A finished cell.

    Attributes:
        cell: Which.
        outcome: What it found.
        origin: Commit, machine, device and versions, by name.
    """

    cell: Cell
    outcome: Outcome
    origin: Mapping[str, str]

    @cached_property
    def figures(self) -> dict[str, float]:
        """Everything that is one number."""
        return self.outcome.figures()


@dataclass(frozen=True)
class SuiteFolder:
    """Where the cells of a suite are kept.

    Attributes:
        path: The folder.
        suite: Its suite.
    """

    path: Path
    suite: Suite

    def of(self, cell: Cell) -> Path:
        """The folder of one cell."""
        return self.path / "cells" / self.suite.folder(cell)

    def is_done(self, cell: Cell) -> bool:
        """Whether the cell need not be run again."""
        return (self.of(cell) / _OUTCOME).is_file()

    def keep(self, cell: Cell, outcome: Outcome, device: str) -> None:
        """Keep what a cell found; the outcome last, since its presence says that the cell is done."""
        origin = {**provenance(), "device": device}
        write_atomic(self.of(cell) / _ORIGIN, (json.dumps(origin, indent=1) + "\n").encode())
        outcome.save(self.of(cell) / _OUTCOME)

    def read(self, cell: Cell) -> Done:
        """A finished cell.

        Raises:
            DataError: its files are damaged; the message says which to remove.
        """
        folder = self.of(cell)
        try:
            origin = decode_json((folder / _ORIGIN).read_text("utf-8"), dict[str, str], _ORIGIN)
            return Done(cell=cell, outcome=Outcome.load(folder / _OUTCOME), origin=origin)
        except (OSError, DataError) as error:
            raise DataError(f"{folder} is damaged ({error}); remove it, and run the suite again") from error

    def done(self) -> list[Done]:
        """Finished cells in the suite's order.

        Raises:
            DataError: a cell's files are damaged; the message says which to remove.
        """
        return [self.read(cell) for cell in self.suite.cells if self.is_done(cell)]

    def write(self) -> tuple[Path, Path]:
        """Everything as ``results.json`` and, a row for every figure, as ``results.csv``."""
        done = self.done()
        rows = [_row(one) for one in done]
        made = {"suite": self.suite.name, "config": asdict(self.suite.config), **provenance(), "cells": rows}
        files = self.path / "results.json", self.path / "results.csv"
        write_atomic(files[0], (json.dumps(made, indent=1, ensure_ascii=False) + "\n").encode())
        write_atomic(files[1], _csv(self.suite.name, done).encode())
        return files


def _row(done: Done) -> dict[str, Any]:
    outcome = done.outcome
    return {
        "case": dict(done.cell.case),
        "method": done.cell.method.title,
        "name": done.cell.method.name,
        "options": done.cell.method.options,
        "seed": done.cell.seed,
        "figures": done.figures,
        "streams": {name: json.loads(matrix.to_json()) for name, matrix in outcome.streams.items()},
        "curves": {name: asdict(curve) for name, curve in outcome.curves.items()},
        "origin": dict(done.origin),
    }


def _csv(suite: str, done: list[Done]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["suite", "case", "method", "seed", "figure", "value", "commit", "machine"])
    for one in done:
        where = [suite, one.cell.title, one.cell.method.title, one.cell.seed]
        origin = [one.origin.get("commit", ""), one.origin.get("machine", "")]
        writer.writerows([*where, name, repr(value), *origin] for name, value in one.figures.items())
    return text.getvalue()
