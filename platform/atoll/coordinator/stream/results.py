"""What a stream found, as plain values with a JSON form: the source of its report, tables and tracking."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from atoll.continual import StreamMatrix, Summary, summarize
from atoll.errors import DataError
from atoll.experts.files import write_atomic

ATOLL = "atoll"
"""Name of the stream itself among the methods."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Method:
    """One way for the silos to arrive.

    Attributes:
        name: ``atoll``, or a baseline's.
        sees: What of earlier silos it needs when another comes: ``nothing``, ``earlier data`` or ``earlier owners``.
        bound: ``upper``, ``lower``, or empty.
        scores: Matrices by figure.
        seconds: Wall time of training by stage.
    """

    name: str
    sees: str
    bound: str
    scores: Mapping[str, StreamMatrix]
    seconds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StageResult:
    """One stage of the stream.

    Attributes:
        arrived: Owners whose experts came.
        release: Number of the release after it.
        digest: Of that release.
        members: Owners in it.
        guarantee: What a withdrawal from it leaves.
        seconds: Wall time by phase.
        drawn: Samples of replay that the fitting of its router was made on, by owner.
        stopped: Optimizer steps in which the router was updated in a newcomer's training, by owner, where it was
            stopped before the end.
        fitting_stopped: The same of the fitting at the coordinator; 0 where that was not stopped.
    """

    arrived: list[str]
    release: int
    digest: str
    members: list[str]
    guarantee: str
    seconds: dict[str, float]
    drawn: dict[str, int]
    stopped: dict[str, int] = field(default_factory=dict)
    fitting_stopped: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawal:
    """What a withdrawal at the end left.

    Attributes:
        owner: Who withdrew.
        release: Number of the release without it.
        digest: Of that release.
        held: Numbers of earlier releases that hold its expert.
        fitted: Numbers of earlier releases whose router was fitted on synthetic samples of its domain.
        beside: Stage by owner of the experts that were trained beside the owner's, and are still members.
        before: Figures of the last release by silo and name.
        after: The same of the release without it.
        rebuilt: The same when all those experts were trained anew without it; empty where that was not asked for.
        unlearning: The scorecard that the owner measured, by names that start with ``unlearning_``
            (:mod:`atoll.privacy.scorecard`); empty where it was not there, or could not.
    """

    owner: str
    release: int
    digest: str
    held: list[int]
    fitted: list[int]
    beside: dict[str, int]
    before: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]
    rebuilt: dict[str, dict[str, float]] = field(default_factory=dict)
    unlearning: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class StreamResults:
    """A stream and what it is held against.

    Attributes:
        title: Heads the report.
        command: What the user typed.
        seed: Of everything random.
        anchor: Name of the anchor.
        anchor_digest: Its digest.
        metric: What is looked at first.
        domains: What each silo's data is about.
        failures: Why a silo was left out, by owner.
        stages: In order.
        methods: The stream itself first, then the baselines.
        withdrawal: At the end; ``None`` where nobody withdrew.
        bytes_out: Bytes that left each silo, by what they were.
        audits: Measurements of what releases give away, by owner and name.
        peak_memory_bytes: Of all processes together.
        versions: Of what the figures depend on.
    """

    title: str
    command: str
    seed: int
    anchor: str
    anchor_digest: str
    metric: str
    domains: dict[str, str]
    failures: dict[str, str]
    stages: list[StageResult]
    methods: list[Method]
    withdrawal: Withdrawal | None
    bytes_out: dict[str, dict[str, int]]
    audits: dict[str, dict[str, float]]
    peak_memory_bytes: int
    versions: dict[str, str]

    @property
    def stream(self) -> Method:
        """The stream itself."""
        return self.methods[0]

    def summary(self, method: Method, figure: str = "") -> Summary:
        """The figures of one method, by the stream's metric or another one."""
        return summarize(method.scores[figure or self.metric])

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        plain |= {"stages": [asdict(stage) for stage in self.stages]}
        plain |= {"withdrawal": None if self.withdrawal is None else asdict(self.withdrawal)}
        plain |= {"methods": [_method_json(method) for method in self.methods]}
        write_atomic(path, (json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "StreamResults":
        """Read what :meth:`save` wrote.

        Raises:
            DataError: something else.
        """
        try:
            found = json.loads(path.read_text("utf-8"))
            gone = found["withdrawal"]
            return cls(
                **{name: found[name] for name in _PLAIN},
                stages=[StageResult(**stage) for stage in found["stages"]],
                withdrawal=None if gone is None else Withdrawal(**gone),
                methods=[_method(method) for method in found["methods"]],
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise DataError(f"{path}: these are no results of a stream ({error})") from error


_PLAIN = (
    "title",
    "command",
    "seed",
    "anchor",
    "anchor_digest",
    "metric",
    "domains",
    "failures",
    "bytes_out",
    "audits",
    "peak_memory_bytes",
    "versions",
)


def _method_json(method: Method) -> dict[str, Any]:
    scores = {name: json.loads(matrix.to_json()) for name, matrix in method.scores.items()}
    return {
        "name": method.name,
        "sees": method.sees,
        "bound": method.bound,
        "scores": scores,
        "seconds": list(method.seconds),
    }


def _method(found: dict[str, Any]) -> Method:
    scores = {name: StreamMatrix.from_json(json.dumps(matrix)) for name, matrix in found["scores"].items()}
    return Method(
        name=found["name"],
        sees=found["sees"],
        bound=found["bound"],
        scores=scores,
        seconds=tuple(found["seconds"]),
    )
