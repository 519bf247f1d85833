"""From records to figures: clipped against the anchor, averaged over records, made coarse; nothing finer leaves."""

import fnmatch
import math
from collections.abc import Mapping, Sequence

from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.clients.measuring.records import Row
from atoll.clients.measuring.rounding import Coarsening, rounded, step_of
from atoll.errors import FederationError
from atoll.workloads.classification.figures import class_figures

LOSS, SHARES = "loss", "shares"
_HIGHEST = 50.0
"""Nats a token above which nobody asks how bad the anchor is."""
_WHOLE = ("accuracy", "brier")
"""Figures of classes that every document has a part in, the same for each."""
_RANGES = {"brier": 2.0}
"""The largest value of scores that are not shares of one."""


def anchor_figure(anchor: Sequence[Row], coarse: Coarsening) -> float:
    """Mean loss of the anchor by itself over records, in nats; a part of every model's loss."""
    base = [_bounded(_mean(row), 0.0, _HIGHEST) for row in anchor]
    return coarse.figure("anchor", LOSS, _average(base), loss_weight(len(anchor), coarse.policy))


def loss_figure(rows: Sequence[Row], anchor: Sequence[Row], question: str, coarse: Coarsening) -> float:
    """Mean loss of a model over records in nats, each record's clipped to within ``clip`` of its loss under the anchor.

    Every record counts alike, however long it is. What is not a number counts as the worst. A model that does what the
    anchor does has its noise all the same: else it would tell that it does so on every document.

    Args:
        rows: Of the model.
        anchor: Of the anchor, for the same records.
        question: What is asked.
        coarse: Noise and rounding.
    """
    clip, weight = coarse.policy.clip, loss_weight(len(anchor), coarse.policy)
    base = [_bounded(_mean(row), 0.0, _HIGHEST) for row in anchor]
    moved = [_bounded(_mean(row) - before, -clip, clip) for row, before in zip(rows, base, strict=True)]
    return round(anchor_figure(anchor, coarse) + coarse.figure(question, LOSS, _average(moved), weight), 9)


def loss_weight(records: int, policy: MeasuringPolicy) -> float:
    """How far one record can move a loss, nats."""
    return policy.clip / records


def loss_step(records: int, policy: MeasuringPolicy) -> float:
    """What losses are rounded to, nats."""
    return step_of(loss_weight(records, policy), policy)


def share_figures(rows: Sequence[Row], slots: Sequence[str], question: str, coarse: Coarsening) -> dict[str, float]:
    """Share of the routing weight of each slot, a mean over records; nothing where nothing is routed.

    Raises:
        FederationError: a record without the shares that the others have.
    """
    if not any(row.shares for row in rows):
        return {}
    if any(len(row.shares) != len(slots) for row in rows):
        raise FederationError("the worker gave shares for some records and slots only")
    columns = zip(*(row.shares for row in rows), strict=True)
    means = [_average([_bounded(share, 0.0, 1.0) for share in column]) for column in columns]
    return {
        slot: coarse.figure(question, SHARES, mean, 1 / len(rows), part=slot)
        for slot, mean in zip(slots, means, strict=True)
    }


def score_figure(
    name: str, rows: Sequence[Row], classes: int, question: str, coarse: Coarsening, *, fewest: int
) -> tuple[float | None, str]:
    """A further figure, or ``None`` and why it is left out.

    Args:
        name: Such as ``accuracy`` or ``auroc@sex=F``.
        rows: Of the model.
        classes: Of the workload; 0 where it has none.
        question: What is asked.
        coarse: Noise and rounding.
        fewest: Records that a figure must rest on.
    """
    if all(name in row.scores for row in rows) or (name in _WHOLE and classes):
        highest = _RANGES.get(name, 1.0)
        means = [_bounded(row.scores.get(name, 0.0) / max(1, row.count), 0.0, highest) for row in rows]
        return coarse.figure(question, name, _average(means), highest / len(rows)), ""
    if not classes:
        return None, f"no record has a figure '{name}'"
    return _class_figure(name, rows, classes, question, coarse, fewest)


def signal_weights(name: str, classes: int) -> float:
    """How many weights one document that is replaced can move a figure; 0 where that depends on the data.

    A loss moves by two: from ``-clip`` to ``clip``. Areas, rates and calibration weigh as the rarer side does, and how
    rare that is, is of the data itself: their noise is no promise.
    """
    if name == LOSS:
        return 2.0
    return 1.0 if name == SHARES or not classes or name in _WHOLE else 0.0


def score_names(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The asked names that the policy's patterns let out, each once."""
    return [name for name in dict.fromkeys(names) if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def audit_figures(
    found: Mapping[str, float], patterns: Sequence[str], fewest: int, policy: MeasuringPolicy
) -> dict[str, float]:
    """What an audit found and may be told, rounded to the weight of one of the fewest samples that it may rest on."""
    step = max(policy.step, 1 / fewest)
    names = score_names(sorted(found), patterns)
    return {name: rounded(found[name], step) for name in names if math.isfinite(found[name])}


def _class_figure(
    name: str, rows: Sequence[Row], classes: int, question: str, coarse: Coarsening, fewest: int
) -> tuple[float | None, str]:
    """Areas, rates and calibration, from the sums that the agent adds up itself."""
    kind, _, group = name.partition("@")
    suffix = f"@{group}" if group else ""
    positive, negative = (_records_with(rows, f"{side}{suffix}/") for side in ("positive", "negative"))
    # A rate among positives rests on those alone; a score of a group, on the group.
    rests = {"tpr": len(positive), "ece": len(rows)}.get(kind, len(positive | negative))
    if rests < fewest:
        return None, f"'{name}' would rest on fewer documents than the policy's min_documents ({fewest})"
    sums: dict[str, float] = {}
    for row in rows:
        for key, value in row.scores.items():
            sums[key] = sums.get(key, 0.0) + _bounded(value, 0.0, float(row.count))
    count = sum(row.count for row in rows)
    made = class_figures(sums, count, classes, [group] if group else [])
    if name not in made or not math.isfinite(made[name]):
        return None, f"the data does not define '{name}'"
    weight = _area_weight(rows, suffix, classes) if kind == "auroc" else {"ece": 2 / rests}.get(kind, 1 / rests)
    return coarse.figure(question, name, made[name], weight), ""


def _area_weight(rows: Sequence[Row], suffix: str, classes: int) -> float:
    """How far one record moves an area: one part in so many as there are of the rarer side, of the rarest class."""
    found = []
    for one in range(1 if classes == 2 else 0, classes):
        sides = [len(_records_with(rows, f"{side}{suffix}/{one}/")) for side in ("positive", "negative")]
        found += [1 / min(sides)] if min(sides) else []
    return max(found, default=1.0)


def _records_with(rows: Sequence[Row], prefix: str) -> set[int]:
    return {number for number, row in enumerate(rows) if any(key.startswith(prefix) for key in row.scores)}


def _mean(row: Row) -> float:
    return row.loss / row.count if row.count > 0 else math.nan


def _bounded(value: float, low: float, high: float) -> float:
    return high if math.isnan(value) else min(max(value, low), high)


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
