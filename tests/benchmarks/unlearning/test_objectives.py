"""Losses of unlearning methods, against values by hand."""

import math

import pytest
import torch

from atoll.benchmarks.unlearning.objectives import (
    anchor_loss,
    gradient_ascent,
    gradient_difference,
    negative_preference,
)


def test_ascent_and_difference_by_hand() -> None:
    forget, retain = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 6.0])
    assert float(gradient_ascent(forget)) == -2
    assert float(gradient_difference(forget, retain, 0.5)) == 0


def test_npo_by_hand() -> None:
    # The model is the one before: log sigmoid(0) = -log 2.
    same = torch.tensor([3.0, 5.0])
    assert float(negative_preference(same, same, beta=0.1)) == pytest.approx(20 * math.log(2))
    # Ten nats unlikelier than before, beta 0.1: sigmoid(1).
    less = negative_preference(torch.tensor([13.0]), torch.tensor([3.0]), beta=0.1)
    assert float(less) == pytest.approx(-20 * math.log(1 / (1 + math.exp(-1))))


def test_npo_pulls_as_ascent_at_first_and_less_at_what_is_forgotten() -> None:
    loss = torch.tensor([3.0, 40.0], requires_grad=True)
    negative_preference(loss, torch.tensor([3.0, 3.0]), beta=0.2).backward()
    assert loss.grad is not None
    assert float(loss.grad[0]) == pytest.approx(-0.5)  # half of ascent's, for the mean is of two
    assert 0 > float(loss.grad[1]) > -0.01


def test_anchor_loss_by_hand() -> None:
    at_target, elsewhere = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.5, 0.0, 0.5]])
    assert float(anchor_loss([at_target], 1)) == 0
    assert float(anchor_loss([at_target, elsewhere], 1)) == pytest.approx(0.75)  # (0 + 1.5) / 2
