"""Canaries: random sequences planted in the training data, and how well a model remembers them.

Carlini et al. 2019, The Secret Sharer (arXiv 1802.08232). Planted canaries are given to
:func:`atoll.privacy.extraction.extraction` as well, and their losses against the candidates' to
:func:`atoll.privacy.membership.membership_report`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError

Tokens = NDArray[np.integer[Any]]

CHANCE = math.log2(math.e)
"""Mean exposure, in bits, of canaries that were never seen, with many candidates."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one copy of a canary stands.

    Attributes:
        canary: Its row.
        document: Index of the document.
        offset: Of its first token in the document, as returned.
    """

    canary: int
    document: int
    offset: int


@dataclass(frozen=True, eq=False, slots=True)
class Canaries:
    """What was planted.

    Attributes:
        planted: [n, length], token numbers.
        candidates: [m, length], drawn by the same law, but planted nowhere.
        places: Every copy, in the order of documents and offsets.
    """

    planted: Tokens
    candidates: Tokens
    places: tuple[Place, ...]


def plant(
    documents: Sequence[Tokens], n: int, repeats: int, seed: int, *, length: int = 64, candidates: int = 1023
) -> tuple[list[Tokens], Canaries]:
    """Put canaries between the tokens of documents, which are not changed themselves.

    Each token of a canary is drawn uniformly from those that occur in the documents. Copies of one canary go to
    different documents as far as there are enough.

    Args:
        documents: Token numbers of each, 1-D.
        n: Canaries.
        repeats: Copies of each.
        seed: Of everything that is drawn.
        length: Tokens of a canary; more than the prefix that extraction shows.
        candidates: Never planted, to rank the canaries among.

    Returns:
        The documents with canaries, and what is in them.

    Raises:
        DataError: no documents, or too few different tokens for the canaries to be random.
    """
    alphabet = np.unique(np.concatenate(documents)) if len(documents) else np.empty(0, np.int64)
    if len(alphabet) < 2:
        raise DataError(f"canaries: the documents hold {len(alphabet)} different tokens; plant them in more text")
    if n < 1 or repeats < 1:
        raise DataError(f"canaries: {n} canaries of {repeats} copies are none; plant at least one")
    rng = np.random.default_rng(seed)
    drawn = rng.choice(alphabet, size=(n + candidates, length))
    copies: list[list[tuple[int, int]]] = [[] for _ in documents]
    for canary in range(n):
        order = rng.permutation(len(documents))
        for copy in range(repeats):
            document = int(order[copy % len(documents)])
            copies[document].append((int(rng.integers(len(documents[document]) + 1)), canary))
    planted, places = [], []
    for index, (document_tokens, wanted) in enumerate(zip(documents, copies, strict=True)):
        gaps = sorted(wanted)
        for earlier, (gap, canary) in enumerate(gaps):
            places.append(Place(canary, index, gap + earlier * length))
        pieces = np.split(np.asarray(document_tokens), [gap for gap, _ in gaps])
        mixed = [pieces[0]]
        for piece, (_, canary) in zip(pieces[1:], gaps, strict=True):
            mixed += [drawn[canary], piece]
        planted.append(np.concatenate(mixed))
    return planted, Canaries(drawn[:n], drawn[n:], tuple(places))


def exposure(canaries: NDArray[np.floating[Any]], candidates: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Exposure in bits, by rank among candidates (section 4.3): ``log2(m + 1) - log2(rank)``.

    A canary that the model never saw has exposure ``b`` or more with probability ``2^-b``, and :data:`CHANCE` on
    average; no canary has more than ``log2(m + 1)``.

    Args:
        canaries: Losses [n] of the planted ones.
        candidates: Losses [m] of those that were not; ties count half.

    Raises:
        DataError: no candidates.
    """
    if not len(candidates):
        raise DataError("canaries: there are no candidates to rank them among")
    ordered = np.sort(candidates)
    below, up_to = np.searchsorted(ordered, canaries, "left"), np.searchsorted(ordered, canaries, "right")
    found: NDArray[np.float64] = np.log2(len(ordered) + 1) - np.log2(1 + (below + up_to) / 2)
    return found
