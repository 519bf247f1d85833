"""Two receipts that cannot both be of one history."""

import itertools
from collections.abc import Sequence

from atoll.experts.receipts import Receipt, contradiction
from atoll.experts.signing import PublicKey


def find_fork(
    one: Sequence[Receipt], other: Sequence[Receipt], coordinator: PublicKey | None
) -> tuple[list[Receipt], str]:
    """Look for a fork among receipts whose signatures are verified.

    Args:
        one: Of one node.
        other: Of another node, or of the same one.
        coordinator: Whose receipts count; ``None`` for anyone's, each with its own.

    Returns:
        The two receipts that prove it, and a sentence; no receipts where there is no proof.
    """
    counted = [each for each in (*one, *other) if coordinator is None or each.public_key == coordinator.hex]
    if len(counted) < len(one) + len(other):
        skipped = f"; {len(one) + len(other) - len(counted)} receipts are not signed by that key"
    else:
        skipped = ""
    seen: dict[tuple[str, int], Receipt] = {}
    for receipt in counted:
        known = seen.setdefault((receipt.public_key, receipt.sequence), receipt)
        if known.digest != receipt.digest:
            return [known, receipt], f"PROOF of {contradiction(known, receipt)}{skipped}"
    backwards = _backwards(counted)
    if backwards:
        return [], f"no proof of a fork, but {backwards}, by the coordinator's own clock{skipped}"
    return [], f"no proof of a fork: {len(counted)} receipts can be of one history{skipped}"


def _backwards(receipts: Sequence[Receipt]) -> str:
    """Whether a coordinator had fewer events later on."""
    ordered = sorted(receipts, key=lambda receipt: (receipt.public_key, receipt.time))
    for before, after in itertools.pairwise(ordered):
        if before.public_key == after.public_key and after.sequence < before.sequence:
            return contradiction(before, after) or "their times do not fit"
    return ""
