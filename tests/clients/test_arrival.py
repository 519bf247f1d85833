"""A new owner's expert, trained beside those that are there: what moves, what stays, and what the card says of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from atoll.clients.node import Node
from atoll.clients.training.arrival import ArrivalTrainable, ReplayedParts, arrival_loss, start_expert
from atoll.clients.work import train_expert
from atoll.errors import ConfigError, FederationError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.integrator import members
from atoll.experts.package import ExpertPackage, read_package
from atoll.federation.units import Choice, MemberRef, Past, TrainUnit
from atoll.mixture import Mixture
from atoll.plugins import build
from atoll.replay import Disclosure, Teacher, Vocabulary
from atoll.strategies.replay.autoregressive import Autoregressive
from atoll.testing import toy_anchor, toy_experts, toy_frame
from atoll.workloads.workload import Batch

from .conftest import Silo, quiet, text_of, train_unit

TOP_K = Choice(name="top-k")


def past(stage: int, beside: list[MemberRef], **arrival: Any) -> Past:
    return Past(
        release=f"sha256:{'7' * 64}" if beside else "",
        members=beside,
        integrator=Choice(name="flexolmo"),
        router=TOP_K,
        shared="",
        stage=stage,
        arrival=ArrivalConfig(**{"budget": 8, **arrival}),
        replay=Choice(name="autoregressive"),
    )


def unit_for(node: Node, where: Past, kind: str = "ffn") -> TrainUnit:
    return replace(train_unit(node, kind), past=where, replay=Choice(name="autoregressive"))


def arrived(node: Node, where: Past, kind: str = "ffn") -> tuple[ExpertPackage, MemberRef, Path]:
    said, file = train_expert(node, unit_for(node, where, kind), quiet)
    member = MemberRef(owner=node.config.owner, digest=said.digest, blob=said.blob, public_key=node.key.public.hex)
    return read_package(file, trusted=node.key.public), member, file


def second(silo: Silo, kind: str = "ffn", **arrival: Any) -> tuple[ExpertPackage, ExpertPackage]:
    """The court's expert beside the clinic's, and the clinic's."""
    clinic, court = silo("clinic"), silo("court", owner="court")
    first, member, file = arrived(clinic, past(1, []), kind)
    court.blobs.adopt(file)
    package, _, _ = arrived(court, past(2, [member], **arrival), kind)
    return package, first


@pytest.mark.parametrize("kind", ["ffn", "lora"])
def test_the_card_says_what_an_expert_was_trained_beside(silo: Silo, kind: str) -> None:
    package, first = second(silo, kind)
    assert (first.card.training["stage"], first.card.training["beside"]) == (1, "")
    assert first.card.training["replayed"] == 0
    assert (package.card.training["stage"], package.card.training["beside"]) == (2, f"sha256:{'7' * 64}")
    assert package.card.training["replayed"] == 8
    assert package.card.replay, "what its own prior keeps is declared"
    kept, there = members([first, package])
    assert kept.name == kind
    assert [member.owner for member in there] == ["clinic", "court"]


def test_its_row_of_the_router_travels_in_the_package(silo: Silo) -> None:
    package, _ = second(silo)
    assert package.card.settings["coordinated"] is True
    assert {name.rpartition(".")[2] for name in package.weights if name.startswith("router.")} == {"row", "bias"}


def test_without_labels_the_release_says_what_samples_are(silo: Silo) -> None:
    labelled, _ = second(silo, replay=False)
    taught, _ = second(silo, replay=False, labels=False)
    assert labelled.digest != taught.digest
    assert taught.card.training["replayed"] == 0


def test_the_past_must_be_at_hand(silo: Silo) -> None:
    clinic, court = silo("clinic"), silo("court", owner="court")
    _, member, _ = arrived(clinic, past(1, []))
    with pytest.raises(FederationError, match=r"blob sha256:[0-9a-f]+ is not here"):
        arrived(court, past(2, [member]))


def test_the_same_work_gives_the_same_package(silo: Silo) -> None:
    clinic, member, file = arrived(silo("clinic"), past(1, []))
    assert clinic.card.owner == "clinic"
    made = []
    for name in ("court", "again"):
        node = silo(name, owner="court")
        node.blobs.adopt(file)
        made.append(arrived(node, past(2, [member]))[0])
    one, two = made
    assert torch.equal(
        one.weights["model.layers.0.mlp.up_proj.weight"], two.weights["model.layers.0.mlp.up_proj.weight"]
    )


def student(folder: Path, **config: Any) -> tuple[Mixture, Mixture, ArrivalTrainable]:
    anchor = toy_anchor(folder / "anchor")
    experts = toy_experts(anchor, ("clinic", "court"), "ffn")
    frame, router = toy_frame(anchor, experts[0].card.sites), build("atoll.routers", "top-k", {})
    teacher = Mixture(anchor.model(), frame, *members(experts[:1]), router)
    made = Mixture(anchor.model(), frame, *members(experts), router)
    return teacher, made, ArrivalTrainable(made, "court", ArrivalConfig(**config), steps=10)


def test_only_the_newcomer_is_trained(tmp_path: Path) -> None:
    _, _, trainable = student(tmp_path)
    assert trainable.parameters
    assert all(name.endswith(".court") for name in trainable.parameters)
    _, _, everyone = student(tmp_path / "rows", rows=True)
    assert any(name.startswith("router.") and name.endswith(".anchor") for name in everyone.parameters)
    assert not any(name.endswith("proj.clinic") for name in everyone.parameters)


def test_a_newcomer_whose_domain_others_claim_is_heard_all_the_same(tmp_path: Path) -> None:
    _, made, trainable = student(tmp_path)
    ids = torch.randint(0, 256, (4, 12), generator=torch.Generator().manual_seed(1))
    batch = Batch(inputs={"input_ids": ids}, targets={}, predicted=48, units=48)
    biases = {name: value for name, value in trainable.parameters.items() if ".bias." in name}
    assert len(biases) == len(made.gates)
    with torch.no_grad():
        for value in biases.values():
            value.fill_(-30.0)
    before = {name: value.detach().clone() for name, value in trainable.parameters.items()}
    assert share_of(made, "court", ids) == 0, "no gradient would ever reach it"
    trainable.meet(batch)
    assert share_of(made, "court", ids) == pytest.approx(0.5, abs=0.1)
    changed = {name for name, value in trainable.parameters.items() if not torch.equal(value, before[name])}
    assert changed == set(biases)


def share_of(mixture: Mixture, owner: str, ids: torch.Tensor) -> float:
    with torch.no_grad(), mixture.use() as call:
        mixture(input_ids=ids)
        return call.shares()[mixture.slots.index(owner)]


def test_layers_take_turns_from_the_outside_in(tmp_path: Path) -> None:
    anchor = toy_anchor(tmp_path / "anchor", layers=4)
    experts = toy_experts(anchor, ("clinic", "court"), "ffn")
    frame, router = toy_frame(anchor, experts[0].card.sites), build("atoll.routers", "top-k", {})
    made = Mixture(anchor.model(), frame, *members(experts), router)
    trainable = ArrivalTrainable(made, "court", ArrivalConfig(progressive=True), steps=10)
    ids = torch.randint(0, 256, (2, 7), generator=torch.Generator().manual_seed(1))
    moved = {}
    for step in (0, 9):
        trainable.step = step
        with made.use():
            made(input_ids=ids).logits.square().mean().backward()
        moved[step] = {
            int(name.split("layers.")[1].split(".")[0])
            for name, value in trainable.parameters.items()
            if value.grad is not None and bool(value.grad.any())
        }
        for value in trainable.parameters.values():
            value.grad = None
    assert moved == {0: {0, 3}, 9: {1, 2}}


@pytest.mark.parametrize("start", ["anchor", "mean", "most-used"])
def test_what_the_expert_starts_as(tmp_path: Path, start: str) -> None:
    anchor = toy_anchor(tmp_path)
    _, (clinic, court, fresh) = members(toy_experts(anchor, ("clinic", "court", "yard"), "ffn"))
    found = start_expert(ArrivalConfig(start=start), [clinic, court], fresh, "court")
    name = next(iter(fresh.weights))
    expected = {
        "anchor": fresh.weights[name],
        "mean": (clinic.weights[name] + court.weights[name]) / 2,
        "most-used": court.weights[name],
    }
    torch.testing.assert_close(found.weights[name], expected[start])
    assert found.owner == "yard"


def test_real_and_replayed_weigh_one_to_the_earlier_silos(silo: Silo, tmp_path: Path) -> None:
    workload = text_of(silo())
    teacher, _, _ = student(tmp_path)
    own = workload.samples("train", [0, 1])
    old = workload.samples("train", [2, 3])
    config = ArrivalConfig()
    parts = ReplayedParts(lambda step: [own], [lambda step: old], teacher, config, stage=4)
    real, replayed = parts(0)
    assert real.scale == pytest.approx(1 / 4 / own.predicted)
    assert replayed.scale == pytest.approx(3 / 4 / old.predicted)
    loss = arrival_loss(workload, config)
    with teacher.use():
        same = teacher(**old.inputs, use_cache=False).logits
    assert float(loss(same, replayed.targets)[0]) == pytest.approx(0, abs=1e-4), "a student that says the same"
    assert float(loss(same, real.targets)[0]) > 0


def test_without_distillation_replay_is_trained_on_as_data(silo: Silo, tmp_path: Path) -> None:
    workload = text_of(silo())
    teacher, _, _ = student(tmp_path)
    batch: Batch = workload.samples("train", [0])
    parts = ReplayedParts(lambda step: [batch], [lambda step: batch], teacher, ArrivalConfig(distillation="none"), 2)
    assert set(parts(0)[1].targets) == set(batch.targets)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to learn from"):
        ArrivalConfig(labels=False, distillation="none").check()


@pytest.mark.parametrize("told", [9, 33, 65])
def test_owners_of_other_windows_can_be_replayed(tmp_path: Path, told: int) -> None:
    teacher, _, _ = student(tmp_path)
    documents = [torch.arange(5, 5 + size).numpy() for size in (3, 8, 20, 40) * 5]
    size = teacher.model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    prior = Autoregressive().remember(documents, Vocabulary(size, 0, told), Disclosure(smallest=0))
    here = Vocabulary(size, 0, 33)
    samples = Autoregressive().generate(Teacher(teacher), prior, here, budget=12, seed=1)
    lengths = [len(sample["input_ids"]) for sample in samples]
    assert len(samples) == 12
    assert all(2 <= length <= here.longest for length in lengths)
