"""Which split a document belongs to."""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from atoll.workloads.workload import Split

_MANY = 1000
"""Different documents among which a split with a share that can be used is never empty."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """How documents are split: each by a hash of the salt and itself, so that adding data later moves next to nothing.

    The hash is a place on a scale from 0 to 1, with the test split first, then validation, then training; so changing
    the share of validation does not change what is tested on.

    Attributes:
        test: Where the test split ends on the scale.
        validation: Where the validation split ends.
        salt: Changes which documents fall where.
    """

    test: float
    validation: float
    salt: str = ""

    @classmethod
    def of(cls, documents: Iterable[str], *, validation: float, test: float, salt: str = "") -> Self:
        """The splitting of these documents: by the shares, but that none with a share stays empty.

        Of few documents the hash may leave a split without any. Then its border is moved to the nearest document, so
        that one more is on its side: with further documents it moves back, and that one alone changes its split.

        Args:
            documents: Or keys of what is split; equal ones count once.
            validation: Share for validation.
            test: Share for the test.
            salt: See above.
        """
        shared = cls(test, test + validation, salt)
        places: set[float] = set()
        for document in documents:
            places.add(shared.place(document))
            if len(places) >= _MANY:
                return shared
        first, second = _borders(sorted(places), shared, test > 0, validation > 0)
        return cls(first, second, salt)

    def place(self, document: str) -> float:
        """Of a document on the scale; white space at its ends plays no part."""
        digest = hashlib.sha256(self.salt.encode() + b"\0" + document.strip().encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def split_of(self, document: str) -> Split:
        """The split of a document."""
        place = self.place(document)
        if place < self.test:
            return "test"
        return "validation" if place < self.validation else "train"


def split_of(text: str, *, validation: float, test: float, salt: str = "") -> Split:
    """The split of one document by the shares alone, whatever other documents there are."""
    return Splitting(test, test + validation, salt).split_of(text)


def _borders(places: list[float], shared: Splitting, has_test: bool, has_validation: bool) -> tuple[float, float]:
    """Where test and validation end, so that no split that has a share is empty, if there are documents enough."""
    count = len(places)
    if count < 1 + has_test + has_validation:
        return shared.test, shared.validation
    tested, held = bisect_left(places, shared.test), bisect_left(places, shared.validation)
    wanted = max(tested, int(has_test))
    both = max(held, wanted + has_validation)
    both = min(both, count - 1)  # something is left to train on
    wanted = min(wanted, both - has_validation)
    return _border(places, wanted, tested, shared.test), _border(places, both, held, shared.validation)


def _border(places: list[float], wanted: int, found: int, shared: float) -> float:
    """A place that has so many places below it; where it has them already, as it is."""
    return shared if wanted == found else places[wanted]
