"""Which documents a split's figures rest on: the node's choice, kept for as long as the data allows."""

from collections.abc import Collection, Sequence, Set

from atoll.clients.gate.policy import Refusal
from atoll.clients.measuring.budget import MeasuringBudget, Version


def choose_documents(there: Collection[str], most: int) -> list[str]:
    """Digests of the documents to rest on: the lowest (they are keyed), the same for the same data in any order.

    Args:
        there: Digests of all documents of the split; equal documents are one.
        most: How many are taken at most.
    """
    return sorted(set(there))[:most]


def settle_version(
    budget: MeasuringBudget, split: str, there: Sequence[str], *, fewest: int, most: int
) -> tuple[Version, str]:
    """The version of a split that questions are about now, and why nothing new may be measured on it, if so.

    Two versions that differ by fewer than ``fewest`` documents would tell of those few by their difference. So a choice
    of documents stays while all of them are there; where some are gone, the next choice must differ from every choice
    that was ever measured by enough documents. Until then only what was told already is told.

    Args:
        budget: What was measured so far.
        split: The split.
        there: Digests of its documents as they are now.
        fewest: Fewest documents that anything told may rest on.
        most: Most that are chosen.

    Raises:
        Refusal: the split has too few documents, and no version was ever measured.
    """
    current, fresh = budget.current(split), choose_documents(there, most)
    if current is None:
        if len(fresh) < fewest:
            raise Refusal(_too_few(split, fewest))
        return budget.begin(split, fresh), ""
    changed = min(_changed(each.documents_set, set(fresh)) for each in budget.versions if each.split == split)
    if len(fresh) >= fewest and (changed == 0 or changed >= fewest):
        return (current if set(fresh) == current.documents_set else budget.begin(split, fresh)), ""
    if current.documents_set <= set(there):
        # Documents came, and none that figures rest on went: the figures go on resting on the same ones.
        return current, "" if len(current.documents) >= fewest else _too_few(split, fewest)
    if len(fresh) < fewest:
        return current, _too_few(split, fewest)
    return current, (
        f"of the documents that figures of the {split} split rest on, some have changed since they were measured, but "
        f"fewer than the policy's min_documents ({fewest}): a difference of two versions would tell of those few; what "
        "was told of the version before stays, and new questions are answered when enough documents have changed"
    )


def _changed(before: Set[str], after: Set[str]) -> int:
    return max(len(before - after), len(after - before))


def _too_few(split: str, fewest: int) -> str:
    # How many there are is not told: a difference of two such messages would be a document.
    return f"measuring on the {split} split would rest on fewer different documents than min_documents ({fewest})"
