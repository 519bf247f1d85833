"""One cell in a process of its own: ``python -m atoll.benchmarks.suites.worker JOB``, where JOB is a JSON file."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.study import Work
from atoll.benchmarks.suites.suite import Cell, MethodConfig, Suite, SuiteConfig
from atoll.config.decode import decode_json
from atoll.errors import AtollError
from atoll.federation.units import Choice

PROGRESS = "progress "
"""How a line of standard output begins that tells how far a cell is."""


@dataclass(frozen=True)
class Job:
    """What a worker is told.

    Attributes:
        suite: Name of the suite.
        study: Registered name.
        settings: Of the study, those of the case among them.
        case: The case.
        method: The method.
        seed: Of everything random.
        root: Folder of the suite.
        device: Where tensors are.
    """

    suite: str
    study: str
    settings: dict[str, Any]
    case: dict[str, Any]
    method: MethodConfig
    seed: int
    root: str
    device: str

    @classmethod
    def of(cls, folder: SuiteFolder, cell: Cell, device: str) -> "Job":
        """The work of one cell."""
        config = folder.suite.config
        root = str(folder.path.absolute())
        return cls(
            folder.suite.name,
            config.study,
            config.settings,
            dict(cell.case),
            cell.method,
            cell.seed,
            root,
            device,
        )

    def to_json(self) -> str:
        """For :func:`main`."""
        return json.dumps(asdict(self), indent=1) + "\n"


def run_job(job: Job) -> None:
    """Run a cell, and keep what it found.

    Raises:
        AtollError: it cannot be run.
    """
    config = SuiteConfig(title=job.suite, study=job.study, settings=job.settings, metric="")
    suite = Suite(name=job.suite, config=config)
    cell = Cell(job.case, job.method, job.seed)
    folder = SuiteFolder(Path(job.root), suite)
    method = Choice(name=job.method.name, options=job.method.options)
    own = folder.of(cell)
    work = Work(method=method, seed=job.seed, folder=own, device=job.device, tell=_tell)
    study = suite.study(job.case)
    outcome = study.run(work)
    if (figures := study.figures()) is not None:
        figures.check(job.study, outcome)
    folder.keep(cell, outcome, job.device)


def main() -> None:
    """Entry point: exit code 0, or the error's with its message as the last line."""
    try:
        run_job(decode_json(Path(sys.argv[1]).read_text("utf-8"), Job, "job"))
    except AtollError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def _tell(done: int, total: int, note: str) -> None:
    print(f"{PROGRESS}{done} {total} {' '.join(note.split())}", flush=True)


if __name__ == "__main__":
    main()
