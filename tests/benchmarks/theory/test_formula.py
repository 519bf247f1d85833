"""The closed forms against an exact expectation: every order of tasks, and every direction of a spherical design."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from atoll.benchmarks.theory.formula import expected_forgetting, expected_generalization_error

Floats = NDArray[np.float64]


def axes(dimension: int) -> Floats:
    """Directions over which every polynomial of degree 4 has the mean that it has over the whole sphere.

    Squared distances are of degree 2 in each round's projection, which is of degree 2 in its direction.
    """
    if dimension == 2:
        turns = np.pi * np.arange(3) / 3
        return np.stack([np.cos(turns), np.sin(turns)], axis=1)
    golden = (1 + np.sqrt(5)) / 2
    corners = [np.roll([0, 1, sign * golden], turn) for turn in range(3) for sign in (1, -1)]
    found: Floats = np.array(corners) / np.sqrt(1 + golden**2)
    return found


def exact(truths: Floats, rounds: int, samples: int) -> tuple[float, float]:
    """E[F_T] and E[G_T] by enumeration: one sample's line, or the plane that is at right angles to it."""
    dimension = truths.shape[1]
    lines = [np.outer(axis, axis) for axis in axes(dimension)]
    projections = lines if samples == 1 else [np.eye(dimension) - line for line in lines]
    forgetting, error = [], []
    for order in itertools.product(range(len(truths)), repeat=rounds):
        for moves in itertools.product(projections, repeat=rounds):
            weights = [np.zeros(dimension)]
            for task, move in zip(order, moves, strict=True):
                weights.append(weights[-1] + move @ (truths[task] - weights[-1]))
            last = [float(np.square(weights[-1] - truths[task]).sum()) for task in order]
            first = [float(np.square(w - truths[task]).sum()) for w, task in zip(weights[1:], order, strict=True)]
            forgetting.append(sum(last[:-1]) - sum(first[:-1]))
            error.append(sum(last))
    return float(np.mean(forgetting)) / (rounds - 1), float(np.mean(error)) / rounds


def closed(truths: Floats, rounds: int, samples: int) -> tuple[float, float]:
    remains = 1 - samples / truths.shape[1]
    size = np.square(truths).sum(-1).mean()
    spread = np.square(truths[None] - truths[:, None]).sum(-1).mean()
    return (
        float(expected_forgetting(rounds, remains, size, spread)),
        float(expected_generalization_error(rounds, remains, size, spread)),
    )


numbers = st.floats(-2, 2, allow_subnormal=False)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=2), st.integers(2, 4))
def test_two_dimensions_and_one_sample(truths: list[tuple[float, float]], rounds: int) -> None:
    found = closed(np.array(truths), rounds, 1)
    assert found == pytest.approx(exact(np.array(truths), rounds, 1), rel=1e-9, abs=1e-9)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=2, max_size=2), st.integers(2, 3), st.integers(1, 2))
def test_three_dimensions(truths: list[tuple[float, float, float]], rounds: int, samples: int) -> None:
    found = closed(np.array(truths), rounds, samples)
    assert found == pytest.approx(exact(np.array(truths), rounds, samples), rel=1e-9, abs=1e-9)


def test_the_written_out_sums_are_the_sums() -> None:
    rounds, r, size, spread = 9, 0.4, 1.3, 0.7
    terms = [
        (r**rounds - r**t) * size + (1 - r ** (rounds - t) + r ** (rounds - t + 1) - r**rounds - r + r**t) * spread
        for t in range(1, rounds)
    ]
    found = expected_forgetting(rounds, r, np.array(size), np.array(spread))
    assert float(found) == pytest.approx(sum(terms) / (rounds - 1))


def test_with_one_task_nothing_is_forgotten_and_all_is_learned() -> None:
    found = closed(np.array([[1.0, 0.0]]), 60, 1)
    assert found[0] < 0, "later rounds on the same task make earlier ones better"
    assert found[1] == pytest.approx(0, abs=1e-12)
