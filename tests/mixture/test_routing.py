"""What a router keeps of its weights."""

import pytest
import torch

from atoll.mixture import Routing
from atoll.mixture.routing import largest

WEIGHTS = torch.tensor([[0.1, 0.6, 0.0, 0.3], [0.25, 0.05, 0.5, 0.2]])


@pytest.mark.parametrize("k", [0, 4, 9])
def test_all_are_kept_as_they_are(k: int) -> None:
    weights, slots = largest(WEIGHTS, k)
    torch.testing.assert_close(Routing(slots, weights).dense(4), WEIGHTS)


def test_the_largest_are_kept_and_sum_to_one() -> None:
    weights, slots = largest(WEIGHTS, 2)
    expected = torch.tensor([[0.0, 2 / 3, 0.0, 1 / 3], [1 / 3, 0.0, 2 / 3, 0.0]])
    torch.testing.assert_close(Routing(slots, weights).dense(4), expected)


def test_weights_below_one_in_all_are_scaled_too() -> None:
    weights, _ = largest(WEIGHTS / 2, 0)
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
