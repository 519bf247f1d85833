"""A mixture holds every expert's weights once, and its members still have what they brought."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from atoll.experts.integrator import members
from atoll.mixture import Member, Mixture
from atoll.plugins import build, names
from atoll.testing import toy_anchor, toy_experts, toy_frame

OWNERS = ("archive", "clinic", "court")
IDS = torch.randint(0, 256, (2, 7), generator=torch.Generator().manual_seed(1))


def brought(folder: Path, kind: str) -> list[Member]:
    return members(toy_experts(toy_anchor(folder / "anchor"), OWNERS, kind))[1]


def mixture(folder: Path, kind: str, experts: list[Member]) -> Mixture:
    anchor = toy_anchor(folder / "anchor")
    made = members(toy_experts(anchor, OWNERS[:1], kind))[0]
    router = build("atoll.routers", "top-k", {})
    return Mixture(anchor.model(), toy_frame(anchor, experts[0].descriptor.sites), made, experts, router)


def places(tensors: list[Tensor]) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


def logits(model: Mixture) -> Tensor:
    with model.use():
        found: Tensor = model(input_ids=IDS).logits
    return found


@pytest.mark.parametrize("kind", names("atoll.experts"))
def test_members_share_the_stacks_and_have_the_same_values(tmp_path: Path, kind: str) -> None:
    experts = brought(tmp_path, kind)
    made = mixture(tmp_path, kind, experts)
    stacks = places([*made.buffers()])
    for member, own in zip(made.members, experts, strict=True):
        assert set(member.weights) == set(own.weights)
        for name, value in own.weights.items():
            assert torch.equal(member.weights[name], value)
            if value.ndim >= 2:
                assert places([member.weights[name]]) <= stacks, f"{name} is held twice"
        assert not places([*own.weights.values()]) & stacks, "what was brought belongs to whoever brought it"


@pytest.mark.parametrize("kind", names("atoll.experts"))
def test_a_restricted_mixture_lets_go_of_the_others(tmp_path: Path, kind: str) -> None:
    made = mixture(tmp_path, kind, brought(tmp_path, kind))
    left = made.restrict(OWNERS[:1])
    assert not places([*left.members[0].weights.values()]) & places([*made.buffers()])
    assert torch.equal(logits(left), logits(mixture(tmp_path, kind, brought(tmp_path, kind)[:1])))


def test_experts_of_another_type_or_rank_keep_their_own(tmp_path: Path) -> None:
    """What was cast or padded is not what was brought: a mixture made of the members again must not change."""
    experts = brought(tmp_path, "lora")
    first = {name: value.bfloat16() for name, value in experts[0].weights.items()}
    second = {name: value[:1] if "lora_A" in name else value[:, :1] for name, value in experts[1].weights.items()}
    mixed = [replace(experts[0], weights=first), replace(experts[1], weights=second), experts[2]]
    made = mixture(tmp_path, "lora", mixed)
    for member, own in zip(made.members, mixed, strict=True):
        for name, value in own.weights.items():
            assert member.weights[name].dtype == value.dtype
            assert torch.equal(member.weights[name], value)
