"""The tables of a run as rows of text, for the page and the terminal alike."""

from dataclasses import dataclass

from atoll.coordinator.report.wording import (
    NOTHING,
    kinds_sent,
    loss_text,
    ordered_models,
    over_text,
    routed_slots,
    share_text,
    size_text,
    whole_models,
)
from atoll.coordinator.results import RunResults


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A table.

    Attributes:
        columns: Headings; the first column names the row.
        rows: As many cells each as there are columns.
        summary: A last row that stands for all; empty where there is none.
    """

    columns: list[str]
    rows: list[list[str]]
    summary: list[str]


def loss_grid(results: RunResults, *, each_withdrawn: bool) -> Grid:
    """Test losses by silo and model, and what share of the gain the mixture keeps.

    Args:
        results: Of the run.
        each_withdrawn: With the mixtures without each owner.
    """
    models = ordered_models(results) if each_withdrawn else whole_models(results)
    shares = results.share_of_gain
    rows = []
    for silo in results.silos:
        losses = results.losses.get(silo.name, {})
        kept = share_text(shares.get(silo.name))
        rows.append([silo.name, *(loss_text(losses.get(model)) for model in models), kept])
    means = [loss_text(results.mean_loss(model)) for model in models]
    mean_share = share_text(results.mean_share_of_gain) + over_text(len(shares), len(results.measured))
    summary = ["mean", *means, mean_share] if results.measured else []
    return Grid(columns=["silo", *models, "gain kept"], rows=rows, summary=summary)


def routing_grid(results: RunResults) -> Grid | None:
    """Share of the routing weight by silo and slot; ``None`` where nothing was routed."""
    slots = routed_slots(results)
    if not slots:
        return None
    rows = [
        [silo, *(share_text(shares.get(slot)) for slot in slots)] for silo, shares in results.routing.items() if shares
    ]
    return Grid(columns=["silo", *slots], rows=rows, summary=[])


def left_grid(results: RunResults) -> Grid:
    """Bytes that left each silo, by what they were."""
    kinds, left = kinds_sent(results), results.left
    rows = [
        [silo, *(size_text(sent[what]) if what in sent else NOTHING for what in kinds), size_text(sum(sent.values()))]
        for silo, sent in left.items()
    ]
    sums = [sum(sent.get(what, 0) for sent in left.values()) for what in kinds]
    summary = ["all silos", *map(size_text, sums), size_text(sum(sums))] if rows else []
    return Grid(columns=["silo", *kinds, "together"], rows=rows, summary=summary)
