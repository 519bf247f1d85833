"""Number the n-grams of many sequences, exactly: equal n-grams have equal numbers, others do not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atoll.errors import DataError

Tokens = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Grams:
    """The n-grams of N sequences.

    Attributes:
        number: Of each n-gram, in the order in which they stand, [G].
        start: Where each sequence's begin, [N + 1].
    """

    number: Tokens
    start: Tokens

    def of(self, index: int) -> Tokens:
        """The numbers of one sequence's n-grams, in order; a view."""
        return self.number[self.start[index] : self.start[index + 1]]


def as_tokens(sequences: Sequence[ArrayLike]) -> list[Tokens]:
    """Sequences as int64 arrays.

    Raises:
        DataError: one is not a list of whole numbers from zero.
    """
    found = [np.asarray(sequence) for sequence in sequences]
    for place, tokens in enumerate(found):
        if tokens.ndim != 1 or (len(tokens) and (tokens.dtype.kind not in "iu" or tokens.min() < 0)):
            raise DataError(f"replay: sequence {place} is no list of whole numbers from zero")
    return [tokens.astype(np.int64) for tokens in found]


def grams(sequences: Sequence[Tokens], n: int) -> Grams:
    """Number all n-grams; a sequence of fewer than n tokens has one, itself.

    A table of pairs of k-grams numbers the 2k-grams (Karp, Miller and Rosenberg 1972, doi 10.1145/800152.804905), so
    the work grows with the logarithm of n.
    """
    short = [np.concatenate([tokens, np.full(max(0, n - len(tokens)), -1)]) for tokens in sequences]
    start = np.concatenate([[0], np.cumsum([len(tokens) for tokens in short], dtype=np.int64)])
    whole = np.concatenate(short) if short else np.zeros(0, np.int64)
    ends = np.repeat(start[1:], np.diff(start))
    place = np.arange(len(whole))
    number, length = _numbered(whole), 1
    while length < n:
        step = min(length, n - length)
        # Grams that overlap by length - step make one of length + step. Those that run over an end are left out below.
        after = np.minimum(place + step, max(0, len(whole) - 1))
        number = _numbered(number * (len(whole) + 1) + number[after])
        length += step
    fits = place + n <= ends
    counts = np.maximum(np.diff(start) - n + 1, 0)
    return Grams(number[fits], np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]))


def _numbered(values: Tokens) -> Tokens:
    found: Tokens = np.unique(values, return_inverse=True)[1].astype(np.int64)
    return found
