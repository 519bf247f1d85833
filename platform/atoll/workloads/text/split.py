"""Which split a document belongs to."""

import hashlib

from atoll.workloads.workload import Split


def split_of(text: str, *, validation: float, test: float, salt: str = "") -> Split:
    """The split of one document, decided by a hash of the salt and the text alone.

    Neither other documents, nor their order, nor the file it lies in play a part: equal documents (but for white space
    at their ends) are in the same split, and adding data later moves nothing. The test split comes first on the scale,
    so that changing the share of validation does not change what is tested on.
    """
    digest = hashlib.sha256(salt.encode() + b"\0" + text.strip().encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < test:
        return "test"
    if place < test + validation:
        return "validation"
    return "train"
