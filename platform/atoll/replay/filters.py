"""What is left out of replay: repetitions, and what is too near an owner's training data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atoll.errors import ConfigError
from atoll.replay.grams import as_tokens
from atoll.replay.near import edit_pairs, jaccard_pairs, shared_runs

Mask = NDArray[np.bool_]

MEASURES = ("jaccard", "edit")


@dataclass(frozen=True, kw_only=True, slots=True)
class Memorised:
    """From when on a sample counts as a copy of training data.

    Attributes:
        similarity: Normalised Levenshtein similarity to a whole training sequence; FlexOlmo's extraction counts from
            0.9 on (arXiv 2507.07024). ``None`` leaves it out.
        run: Tokens in a row that any training sequence has; 50 as in the study of Carlini et al. 2023 (arXiv
            2202.07646). It finds excerpts of sequences that are longer than the sample. ``None`` leaves it out.

    Raises:
        ConfigError: an impossible value.
    """

    similarity: float | None = 0.9
    run: int | None = 50

    def __post_init__(self) -> None:
        if self.similarity is not None and not 0 < self.similarity <= 1:
            raise ConfigError(f"replay: similarity is {self.similarity}; it must be above 0 and at most 1, or null")
        if self.run is not None and self.run < 1:
            raise ConfigError(f"replay: run is {self.run}; it must be at least 1, or null")


def too_near(samples: Sequence[ArrayLike], private: Sequence[ArrayLike], threshold: Memorised) -> Mask:
    """Which samples are copies of private training sequences, [samples]; for the owner's eyes.

    How many they are may leave the owner, but not which: that a sample is among them says that there is somebody of
    that kind. So it must not be possible either to draw the whole set again and see what is missing: an owner that
    filters draws with a seed of its own, and publishes a set without it (:class:`atoll.replay.Provenance`).

    Raises:
        DataError: something else than whole numbers from zero.
    """
    asked, others = as_tokens(samples), as_tokens(private)
    found = np.zeros(len(asked), dtype=np.bool_)
    if threshold.run is not None:
        found |= shared_runs(asked, others, threshold.run)
    if threshold.similarity is not None:
        left = np.flatnonzero(~found)
        for index, _ in edit_pairs([asked[place] for place in left], others, threshold.similarity):
            found[left[index]] = True
    return found


def repeated(samples: Sequence[ArrayLike]) -> Mask:
    """Which samples are equal to an earlier one, [samples]."""
    seen: set[bytes] = set()
    found = np.zeros(len(samples), dtype=np.bool_)
    for index, tokens in enumerate(as_tokens(samples)):
        found[index] = tokens.tobytes() in seen
        seen.add(tokens.tobytes())
    return found


def nearly_repeated(
    samples: Sequence[ArrayLike], threshold: float, *, measure: str = "jaccard", shingle: int = 5
) -> Mask:
    """Which samples are nearly an earlier one that was kept, [samples]; exact repetitions among them.

    Args:
        samples: Whole numbers from zero.
        threshold: Similarity from which on two are nearly the same, above 0 and at most 1.
        measure: ``jaccard`` of the sets of shingles, for text; ``edit``, normalised Levenshtein similarity, for
            trajectories, where the order and the number of visits matter.
        shingle: Tokens of a shingle.

    Raises:
        ConfigError: an impossible value.
        DataError: something else than whole numbers from zero.
    """
    if measure not in MEASURES:
        raise ConfigError(f"replay: the measure of repetitions is '{measure}'; there are {' and '.join(MEASURES)}")
    if not 0 < threshold <= 1 or shingle < 1:
        raise ConfigError(f"replay: threshold {threshold} must be above 0 and at most 1, shingle {shingle} at least 1")
    tokens = as_tokens(samples)
    dropped = repeated(samples)
    left = np.flatnonzero(~dropped)
    unlike = [tokens[place] for place in left]
    pairs = (
        jaccard_pairs(unlike, unlike, threshold, shingle)
        if measure == "jaccard"
        else edit_pairs(unlike, unlike, threshold)
    )
    for index, others in sorted(pairs, key=lambda pair: pair[0]):
        # Of each pair the later goes, unless the earlier has gone itself.
        earlier = others[others < index]
        dropped[left[index]] = bool((~dropped[left[earlier]]).any())
    return dropped
