"""Pairs of sequences that are nearly the same, without comparing all with all.

Two that are alike share n-grams, and of one's rarest at least one: an index of n-grams gives the few that can be alike,
and only these are compared (Chaudhuri, Ganti and Kaushik 2006, doi 10.1109/ICDE.2006.9). Nothing is missed.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from atoll.privacy.levenshtein import similar
from atoll.replay.grams import Grams, Tokens, grams

_LONGEST_GRAM = 6
_AT_ONCE = 1 << 22
"""Tokens that are compared at a time, padding counted."""


def edit_pairs(asked: Sequence[Tokens], others: Sequence[Tokens], threshold: float) -> Iterator[tuple[int, Tokens]]:
    """For each that has any: its number, and which others have a Levenshtein similarity of at least ``threshold``.

    Similarity is ``1 - distance / longer length``. Sequences at distance d share at least ``longer length - q + 1 - q
    d`` of their q-grams (Jokinen and Ukkonen 1991, doi 10.1007/3-540-54345-7_67), so that q is chosen by length.
    """
    by_size: dict[int, list[int]] = {}
    for index, tokens in enumerate(asked):
        by_size.setdefault(_gram_size(len(tokens), threshold), []).append(index)
    lengths = np.array([len(tokens) for tokens in others], dtype=np.int64)
    for size, members in sorted(by_size.items()):

        def common(index: int, size: int = size) -> int:
            length = len(asked[index])
            return math.ceil(length * (1 - size * (1 - threshold)) - size + 1 - 1e-9)

        for index, candidates in _candidates(asked, others, members, size, common):
            length = len(asked[index])
            longer = np.maximum(lengths[candidates], length)
            close = np.abs(lengths[candidates] - length) <= (1 - threshold) * longer + 1e-9
            found = _similar(asked[index], others, candidates[close], threshold)
            if len(found):
                yield index, found


def jaccard_pairs(
    asked: Sequence[Tokens], others: Sequence[Tokens], threshold: float, shingle: int
) -> Iterator[tuple[int, Tokens]]:
    """The same for the Jaccard similarity of the sets of their shingles (Broder 1997, doi 10.1109/SEQUEN.1997.666900).

    Sets of similarity t share at least t of the larger one.
    """
    both = grams([*asked, *others], shingle)
    sets = [frozenset(both.of(index).tolist()) for index in range(len(asked) + len(others))]

    def common(index: int) -> int:
        return math.ceil(threshold * len(sets[index]) - 1e-9)

    for index, candidates in _candidates(asked, others, range(len(asked)), shingle, common, once=True, both=both):
        mine = sets[index]
        alike = [
            other for other in candidates.tolist() if _jaccard(mine, sets[len(asked) + other]) >= threshold - 1e-12
        ]
        if alike:
            yield index, np.array(alike, dtype=np.int64)


def shared_runs(asked: Sequence[Tokens], others: Sequence[Tokens], length: int) -> NDArray[np.bool_]:
    """Which sequences share ``length`` tokens in a row with any of the others, [asked]."""
    # The tail of sequences that are shorter is padding, which would match that of another such sequence.
    mine = [index for index, tokens in enumerate(asked) if len(tokens) >= length]
    theirs = [tokens for tokens in others if len(tokens) >= length]
    found = np.zeros(len(asked), dtype=np.bool_)
    if mine and theirs:
        both = grams([*(asked[index] for index in mine), *theirs], length)
        border = both.start[len(mine)]
        hit = np.isin(both.number[:border], both.number[border:])
        found[np.array(mine)] = np.logical_or.reduceat(hit, both.start[: len(mine)])
    return found


def _candidates(
    asked: Sequence[Tokens],
    others: Sequence[Tokens],
    members: Sequence[int],
    size: int,
    common: Callable[[int], int],
    *,
    once: bool = False,
    both: Grams | None = None,
) -> Iterator[tuple[int, Tokens]]:
    """For each member, the others that have one of its rarest n-grams: so many that fewer than ``common`` are left."""
    if both is None:
        both = grams([*(asked[index] for index in members), *others], size)
    border = both.start[len(members)]
    postings, owner = both.number[border:], np.repeat(np.arange(len(others)), np.diff(both.start[len(members) :]))
    order = np.argsort(postings, kind="stable")
    postings, owner = postings[order], owner[order]
    for place, index in enumerate(members):
        mine = both.of(place)
        if once:
            mine = np.unique(mine)
        low, high = np.searchsorted(postings, mine, "left"), np.searchsorted(postings, mine, "right")
        rarest = np.argsort(high - low, kind="stable")[: len(mine) - common(index) + 1]
        spans = [owner[low[gram] : high[gram]] for gram in rarest if high[gram] > low[gram]]
        if spans:
            yield index, np.unique(np.concatenate(spans))


def _gram_size(length: int, threshold: float) -> int:
    """Half of the longest n-grams of which a near sequence must share one: longer ones are rarer, but more are lost."""
    longest = math.ceil((length + 1) / (1 + length * (1 - threshold)) - 1e-9) - 1
    return min(max(longest // 2, 1), _LONGEST_GRAM)


def _similar(tokens: Tokens, others: Sequence[Tokens], candidates: Tokens, threshold: float) -> Tokens:
    """Those of the candidates that are within the edit distance."""
    found = []
    longest = max([len(tokens), *(len(others[other]) for other in candidates)])
    step = max(1, _AT_ONCE // max(longest, 1))
    for begin in range(0, len(candidates), step):
        some = candidates[begin : begin + step]
        table = np.full((len(some), max(len(others[other]) for other in some)), -1, dtype=np.int64)
        for row, other in enumerate(some):
            table[row, : len(others[other])] = others[other]
        mine = np.broadcast_to(tokens, (len(some), len(tokens)))
        found.append(some[similar(mine, table, threshold)])
    return np.concatenate(found) if found else candidates


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
