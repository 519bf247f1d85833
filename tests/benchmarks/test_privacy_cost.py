"""The cost of privacy: which trainings are compared, and what the table says of them."""

import math

import pytest

from atoll.benchmarks.privacy.cost import Found, Settings, chosen, show


def found(epsilon: float, rate: float, seed: int, validation: float, test: float) -> Found:
    spent = None if math.isinf(epsilon) else epsilon - 0.01
    delta = None if math.isinf(epsilon) else 1e-4
    return Found(epsilon, rate, seed, spent, delta, validation, anchor=4.0, test=test)


RUNS = [
    found(math.inf, 0.1, 0, validation=2.1, test=1.0),
    found(math.inf, 0.2, 0, validation=2.0, test=2.1),
    found(math.inf, 0.2, 1, validation=2.9, test=1.9),
    found(8.0, 0.1, 0, validation=3.0, test=3.5),
    found(8.0, 0.2, 0, validation=3.1, test=0.1),
    found(8.0, 0.1, 1, validation=3.2, test=3.5),
]


def test_the_rate_is_chosen_by_validation_and_all_its_seeds_are_compared() -> None:
    assert [(one.rate, one.seed) for one in chosen(RUNS, math.inf)] == [(0.2, 0), (0.2, 1)]
    assert [(one.rate, one.seed) for one in chosen(RUNS, 8.0)] == [(0.1, 0), (0.1, 1)]


def test_the_table_says_what_was_spent_and_what_is_left_of_the_gain(capsys: pytest.CaptureFixture[str]) -> None:
    show(RUNS, Settings(epsilons=(math.inf, 8.0), seeds=(0, 1)))
    printed = capsys.readouterr().out
    (private,) = [line for line in printed.splitlines() if "7.99" in line]
    assert "25.0%" in private  # 0.5 of 2.0 nats
    assert "1.0e-04" in private
    assert "100.0%" in printed
