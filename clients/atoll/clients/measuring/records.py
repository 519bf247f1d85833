"""What a node's agent and its worker say to each other when something is measured; none of it leaves the node."""

from dataclasses import dataclass, field
from typing import ClassVar

from atoll.config.decode import OWN, Limits
from atoll.federation.measuring import MeasureUnit
from atoll.federation.units import Unit

MOST = 20_000
"""Records of a split that are told apart: those of the lowest digests, which are keyed, so that nobody chooses."""


@dataclass(frozen=True, kw_only=True)
class RecordsQuestion(Unit):
    """Which records a split has.

    Attributes:
        split: Of the owner's data.
    """

    split: str


@dataclass(frozen=True, kw_only=True)
class RecordsAnswer(Unit):
    """The records of a split: documents, or persons where the workload knows them.

    Attributes:
        digests: Keyed ones of each record's content; equal records have equal ones.
    """

    limits: ClassVar[Limits] = OWN

    digests: list[str]


@dataclass(frozen=True, kw_only=True)
class MeasureOrder(Unit):
    """Measure on these records.

    Attributes:
        unit: What to measure, its measurements cut down to those that have no answer yet.
        documents: Digests of the records.
        audit: Whether the unit's audit is to be done.
    """

    limits: ClassVar[Limits] = OWN

    unit: MeasureUnit
    documents: list[str]
    audit: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One record under one model.

    Attributes:
        loss: Summed loss in nats.
        count: Over how many tokens, visits or rows.
        scores: Further sums by name.
        shares: Share of the routing weight by slot; empty where nothing is routed.
    """

    loss: float
    count: int
    scores: dict[str, float] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class MeasureRecords(Unit):
    """What was measured, record by record.

    Attributes:
        anchor: Under the anchor by itself, in the order's order of documents.
        rows: The same under each measurement's model, by its name.
        slots: Names of the slots that the shares are of, by measurement.
        classes: Number of classes, for workloads that have classes; else 0.
        audit: What the audit found, by name.
    """

    limits: ClassVar[Limits] = OWN

    anchor: list[Row]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    slots: dict[str, list[str]] = field(default_factory=dict)
    classes: int = 0
    audit: dict[str, float] = field(default_factory=dict)
