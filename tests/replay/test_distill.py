"""Distillation's losses are those of the definition, over what is kept and nothing else."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from atoll.errors import ConfigError
from atoll.replay.distill import DIVERGENCES, Distillation, followed, forward_kl, reverse_kl

RNG = torch.Generator().manual_seed(3)
TEACHER, STUDENT = torch.randn(2, 3, 5, generator=RNG), torch.randn(2, 3, 5, generator=RNG)
MASK = torch.tensor([[True, True, False], [True, False, True]])


def divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) of logits, at each position, by the library."""
    found = functional.kl_div(q.log_softmax(-1), p.log_softmax(-1), reduction="none", log_target=True)
    return found.sum(-1)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_divergences_are_the_definitions(temperature: float) -> None:
    one, other = TEACHER / temperature, STUDENT / temperature
    scale = temperature**2
    forward = scale * divergence(one, other)[MASK].mean()
    backward = scale * divergence(other, one)[MASK].mean()
    assert torch.allclose(forward_kl(TEACHER, STUDENT, MASK, temperature=temperature), forward, atol=1e-6)
    assert torch.allclose(reverse_kl(TEACHER, STUDENT, MASK, temperature=temperature), backward, atol=1e-6)
    for name, expected in (("forward-kl", forward), ("reverse-kl", backward)):
        found = Distillation(divergence=name, temperature=temperature).loss(TEACHER, STUDENT, MASK)
        assert torch.allclose(found, expected, atol=1e-6)
    assert set(DIVERGENCES) == {"forward-kl", "reverse-kl"}


def test_weights_of_samples_and_of_positions() -> None:
    each = 4 * divergence(TEACHER / 2, STUDENT / 2)
    samples = torch.tensor([3.0, 1.0])
    weights = samples[:, None].expand(2, 3) * MASK
    assert torch.allclose(forward_kl(TEACHER, STUDENT, MASK, weights=samples), (weights * each).sum() / weights.sum())
    positions = torch.rand(2, 3, generator=torch.Generator().manual_seed(1))
    weights = positions * MASK
    assert torch.allclose(forward_kl(TEACHER, STUDENT, MASK, weights=positions), (weights * each).sum() / weights.sum())


def test_columns_that_are_padding_take_no_probability() -> None:
    real = torch.tensor([True, True, True, False, True])
    wide = forward_kl(TEACHER, STUDENT, MASK, candidates=real)
    assert torch.allclose(wide, forward_kl(TEACHER[..., real], STUDENT[..., real], MASK), atol=1e-6)
    odd = STUDENT.masked_fill(~real, 1e4)
    assert torch.allclose(forward_kl(TEACHER, odd, MASK, candidates=real), wide)


def test_what_is_not_kept_is_not_read_and_gradients_go_to_the_student_alone() -> None:
    teacher, student = TEACHER.clone(), STUDENT.clone()
    teacher[~MASK] = float("nan")
    student[~MASK] = float("inf")
    teacher.requires_grad_(True)
    student.requires_grad_(True)
    forward_kl(teacher, student, MASK).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())
    assert not student.grad[~MASK].any()
    assert bool(student.grad[MASK].any())


def test_nothing_kept_is_a_loss_of_zero_with_a_gradient() -> None:
    student = STUDENT.clone().requires_grad_(True)
    loss = forward_kl(TEACHER, student, torch.zeros_like(MASK))
    loss.backward()
    assert float(loss.detach()) == 0
    assert student.grad is not None
    assert not student.grad.any()


def test_what_a_teacher_rules_out_costs_nothing() -> None:
    teacher = torch.tensor([[0.0, float("-inf")]])
    student = torch.tensor([[0.0, 0.0]])
    kept = torch.tensor([True])
    assert float(forward_kl(teacher, student, kept, temperature=1.0)) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    "bad", [{"divergence": "mse"}, {"temperature": 0.0}, {"temperature": math.inf}, {"temperature": -1.0}]
)
def test_what_cannot_be_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="distillation"):
        Distillation(**bad)


@pytest.mark.parametrize(
    ("teacher", "mask"), [(TEACHER[:, :2], MASK), (TEACHER, MASK[:, :2]), (TEACHER[..., :4], MASK)]
)
def test_shapes_that_do_not_fit_are_refused(teacher: torch.Tensor, mask: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        forward_kl(teacher, STUDENT, mask)
    with pytest.raises(ConfigError, match="temperature is 0"):
        forward_kl(TEACHER, STUDENT, MASK, temperature=0.0)


def test_positions_that_another_one_follows() -> None:
    mask = torch.tensor([[True, True, False, True, True], [False, True, True, True, False]])
    assert followed(mask).tolist() == [[True, False, False, True, False], [False, True, True, False, False]]
