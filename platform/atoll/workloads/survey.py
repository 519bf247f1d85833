"""What an owner's data holds, and what is wrong with it, without anything being trained."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atoll.errors import AtollError
from atoll.workloads.data import DataConfig
from atoll.workloads.reading import ReadReport
from atoll.workloads.workload import SPLITS, workload_class

if TYPE_CHECKING:
    from atoll.anchors import Anchor


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSurvey:
    """One split.

    Attributes:
        documents: Documents, or what is a person's or a case's record in this workload.
        tokens: Tokens, or what is predicted one at a time.
        samples: What is trained on at a time, such as windows of text.
    """

    documents: int
    tokens: int
    samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """One owner's data.

    Attributes:
        owner: Whose.
        workload: Of what kind.
        problem: Why it cannot be used; empty where it can.
        report: What reading met.
        splits: By name.
        details: Further facts of the workload's own, such as lengths or classes.
    """

    owner: str
    workload: str
    problem: str = ""
    report: ReadReport = field(default_factory=ReadReport)
    splits: Mapping[str, SplitSurvey] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


def survey(owner: str, data: DataConfig, anchor: "Anchor") -> Survey:
    """Read, check and split an owner's data as training would.

    Args:
        owner: Whose it is.
        data: Where it is, and how it is read.
        anchor: What would read it.
    """
    kind = workload_class(data.workload)
    with tempfile.TemporaryDirectory(prefix="atoll-check-") as cache:
        try:
            workload = kind.open(kind.absolute(data), anchor, Path(cache))
            workload.prepare()
            splits: dict[str, SplitSurvey] = {
                split: SplitSurvey(
                    documents=count.documents,
                    tokens=count.tokens,
                    samples=len(workload.evaluation_indices(split)) if count.documents else 0,
                )
                for split, count in ((split, workload.counts[split]) for split in SPLITS)
            }
            return Survey(
                owner=owner,
                workload=data.workload,
                report=workload.reading,
                splits=splits,
                details=workload.details(),
            )
        except AtollError as error:
            return Survey(owner=owner, workload=data.workload, problem=str(error))
