"""Extraction: edit distances against the plain recurrence, and models that do and do not remember."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import ConfigError, DataError
from atoll.privacy.canaries import CHANCE, exposure, plant
from atoll.privacy.extraction import ExtractionSettings, Sampler, extraction
from atoll.privacy.levenshtein import edit_distances, lengths, similar

TOKENS = st.lists(st.integers(0, 2), max_size=12)
Tokens = NDArray[np.integer[Any]]


def _plain(a: list[int], b: list[int]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


def _padded(sequences: list[list[int]]) -> Tokens:
    width = max(len(tokens) for tokens in sequences)
    return np.array([tokens + [-1] * (width - len(tokens)) for tokens in sequences]).reshape(len(sequences), width)


@given(st.lists(st.tuples(TOKENS, TOKENS, st.integers(0, 12)), min_size=1, max_size=6))
def test_distances_are_the_plain_ones_up_to_the_limit(pairs: list[tuple[list[int], list[int], int]]) -> None:
    a, b, limits = zip(*pairs, strict=True)
    found = edit_distances(_padded(list(a)), _padded(list(b)), np.array(limits))
    assert found.tolist() == [min(_plain(x, y), limit + 1) for x, y, limit in pairs]


@given(st.lists(TOKENS, min_size=1, max_size=6))
def test_lengths_end_at_the_first_negative_number(sequences: list[list[int]]) -> None:
    assert lengths(_padded(sequences)).tolist() == [len(tokens) for tokens in sequences]


@pytest.mark.parametrize(("changes", "expected"), [(0, True), (1, True), (2, False)])
def test_the_threshold_is_met_exactly(changes: int, expected: bool) -> None:
    # 1 - 0.9 is a little less than 0.1 in floating point; ten tokens may have one change all the same.
    a = np.arange(10)[None]
    b = a.copy()
    b[0, :changes] += 50
    assert similar(a, b, 0.9).tolist() == [expected]


def _documents(count: int, length: int, seed: int = 0) -> list[Tokens]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 500, length) for _ in range(count)]


SETTINGS = ExtractionSettings(prefixes=12, prefix=8, continuation=40, minimum=20, samples=3)


def _remembering(documents: list[Tokens], errors: float, seed: int = 0) -> Sampler:
    """A model that goes on with what it read, each token wrong with this probability."""
    rng = np.random.default_rng(seed)
    known = {tuple(tokens[at : at + 8]): tokens[at + 8 :] for tokens in documents for at in range(len(tokens) - 8)}

    def sample(prefixes: Tensor, n: int) -> Tensor:
        assert prefixes.dtype == torch.int64
        drawn = np.full((len(prefixes), n, 64), -1)
        for row, prefix in enumerate(prefixes.tolist()):
            continuation = known.get(tuple(prefix), rng.integers(0, 500, 64))[:64]
            for one in range(n):
                wrong = rng.random(len(continuation)) < errors
                drawn[row, one, : len(continuation)] = np.where(wrong, rng.integers(0, 500, len(wrong)), continuation)
        return torch.from_numpy(drawn)

    return sample


def _rate(documents: list[Tokens], sample: Sampler) -> float:
    return extraction(documents, sample, SETTINGS, seed=1, batch=5).rate


def test_a_model_that_remembers_is_found_and_one_that_does_not_is_not() -> None:
    documents = _documents(30, 64)
    assert _rate(documents, _remembering(documents, 0.0)) == 1
    assert _rate(documents, _remembering(documents, 0.05)) > 0.7
    assert _rate(documents, _remembering(documents, 0.3)) == 0
    assert _rate(documents, _remembering([], 0.0)) == 0
    assert _rate(_documents(30, 64, seed=1), _remembering(documents, 0.0)) == 0


def test_any_one_of_the_samples_is_enough_and_the_right_sequence_is_named() -> None:
    documents = _documents(4, 48)
    truth = _remembering(documents[2:3], 0.0)

    def sample(prefixes: Tensor, n: int) -> Tensor:
        drawn = truth(prefixes, n)
        drawn[:, : n - 1] = 1
        return drawn

    found = extraction(documents, sample, SETTINGS, seed=0)
    assert found.extracted == (2,)
    assert (found.prefixes, found.rate) == (4, 0.25)
    assert 0 < found.low < 0.25 < found.high < 1


def test_a_short_end_of_a_document_is_compared_with_as_much_of_the_sample() -> None:
    documents = _documents(3, 30)
    truth = _remembering(documents, 0.0)

    def talkative(prefixes: Tensor, n: int) -> Tensor:
        drawn = truth(prefixes, n)
        return torch.where(drawn < 0, 7, drawn)

    assert extraction(documents, talkative, SETTINGS, seed=0).rate == 1


def test_a_sample_that_stops_at_once_gives_nothing_back() -> None:
    assert _rate(_documents(5, 64), lambda prefixes, n: torch.empty(len(prefixes), n, 0, dtype=torch.int64)) == 0


def test_too_short_sequences_are_left_out_and_counted() -> None:
    documents = _documents(3, 64) + _documents(4, 27)
    found = extraction(documents, _remembering(documents, 0.0), SETTINGS, seed=0)
    assert (found.prefixes, found.too_short) == (3, 4)
    with pytest.raises(DataError, match=r"none of 4 sequences has 28 tokens"):
        extraction(documents[3:], _remembering([], 0.0), SETTINGS, seed=0)


def test_prefixes_come_from_anywhere_and_from_the_seed() -> None:
    documents = [np.arange(500)]
    seen = []

    def sample(prefixes: Tensor, n: int) -> Tensor:
        seen.append(int(prefixes[0, 0]))
        assert torch.equal(prefixes[0], torch.arange(8) + prefixes[0, 0])
        return torch.zeros(1, n, 1, dtype=torch.int64)

    for seed in [*range(30), 0]:
        extraction(documents, sample, SETTINGS, seed)
    assert seen[0] == seen[-1]
    assert min(seen) < 100
    assert 350 < max(seen) <= 500 - 48


def test_figures_do_not_name_anyones_sequence() -> None:
    documents = _documents(3, 64)
    found = extraction(documents, _remembering(documents, 0.0), SETTINGS, seed=0)
    assert set(found.figures("canaries")) == {"canaries_prefixes", "canaries_rate", "canaries_low", "canaries_high"}


@pytest.mark.parametrize(
    "change", [{"samples": 0}, {"minimum": 50}, {"similarity": 0.0}, {"top_p": 1.5}, {"temperature": 0.0}]
)
def test_impossible_settings_are_refused(change: dict[str, float]) -> None:
    impossible = ExtractionSettings(**{"continuation": 40, "minimum": 20, **change})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"extraction.{next(iter(change))}"):
        impossible.check()


def test_a_sampler_of_another_shape_is_refused() -> None:
    with pytest.raises(DataError, match=r"must give \[5, 3, tokens\]"):
        _rate(_documents(5, 64), lambda prefixes, n: torch.zeros(len(prefixes), 40, dtype=torch.int64))


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
    st.integers(1, 4),
    st.integers(1, 8),
    st.integers(0, 2**31),
)
def test_canaries_stand_where_it_is_said_and_nothing_else_is_changed(
    sizes: list[int], n: int, repeats: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    documents = [np.array([500, 501]), *(rng.integers(0, 400, size) for size in sizes)]
    before = [tokens.copy() for tokens in documents]
    mixed, canaries = plant(documents, n, repeats, seed, length=5, candidates=3)
    assert all((a == b).all() for a, b in zip(documents, before, strict=True))
    assert [sum(place.canary == canary for place in canaries.places) for canary in range(n)] == [repeats] * n
    assert canaries.candidates.shape == (3, 5)
    assert set(canaries.planted.ravel()) <= set(np.concatenate(documents))
    for place in canaries.places:
        there = mixed[place.document][place.offset : place.offset + 5]
        assert (there == canaries.planted[place.canary]).all()
    for place in reversed(canaries.places):
        mixed[place.document] = np.delete(mixed[place.document], np.s_[place.offset : place.offset + 5])
    assert [tokens.tolist() for tokens in mixed] == [tokens.tolist() for tokens in documents]


def test_copies_of_a_canary_go_to_different_documents() -> None:
    _, canaries = plant(_documents(10, 20), 3, 10, seed=0)
    assert all(len({p.document for p in canaries.places if p.canary == canary}) == 10 for canary in range(3))


def test_nothing_to_plant_in_is_refused() -> None:
    with pytest.raises(DataError, match="0 different tokens"):
        plant([], 1, 1, 0)
    with pytest.raises(DataError, match="1 different tokens"):
        plant([np.zeros(9, np.int64)], 1, 1, 0)


def test_exposure_is_by_rank() -> None:
    candidates = np.arange(1.0, 8)
    assert exposure(np.array([0.0, 7.5, 1.5, 4.0]), candidates).tolist() == pytest.approx([3, 0, 2, np.log2(8 / 4.5)])
    with pytest.raises(DataError, match="no candidates"):
        exposure(candidates, np.empty(0))


def _bigrams(documents: Sequence[Tokens]) -> Callable[[Tokens], NDArray[np.float64]]:
    """Losses of a model that counts pairs of tokens, which is one that remembers."""
    counts = np.full((51, 51), 0.05)
    for tokens in documents:
        np.add.at(counts, (tokens[:-1], tokens[1:]), 1)
    losses = -np.log(counts / counts.sum(1, keepdims=True))
    return lambda rows: np.asarray(losses[rows[:, :-1], rows[:, 1:]].mean(1))


def test_a_trained_model_exposes_planted_canaries_and_no_others() -> None:
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, 51, 100) for _ in range(40)]
    mixed, canaries = plant(documents, 30, 3, seed=1, length=20)
    with_them, without = _bigrams(mixed), _bigrams(documents)
    seen = exposure(with_them(canaries.planted), with_them(canaries.candidates))
    unseen = exposure(without(canaries.planted), without(canaries.candidates))
    assert seen.mean() > 8
    assert abs(unseen.mean() - CHANCE) < 0.8
