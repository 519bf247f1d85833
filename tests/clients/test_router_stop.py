"""The router stops while the new expert goes on, and the locality loss, in the real training of an arrival."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from atoll.clients.training.arrival import ArrivalTrainable, in_use
from atoll.clients.training.loop import train
from atoll.errors import ConfigError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.integrator import members
from atoll.experts.stop_config import ROUTER_STOPPED, RouterStop
from atoll.experts.training import TrainingConfig
from atoll.mixture import Mixture
from atoll.plugins import build
from atoll.testing import toy_anchor, toy_experts, toy_frame
from atoll.workloads.text.loss import next_token_loss
from atoll.workloads.workload import Batch

from .conftest import Silo
from .test_arrival import second

STEPS = 24
TRAINING = TrainingConfig(
    steps=STEPS, batch=2, warmup=0, learning_rate=1e-2, evaluate_every=STEPS, checkpoint_every=5, weight_decay=0.1
)
Taken = list[dict[str, Tensor]]


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return toy_anchor(tmp_path_factory.mktemp("stop") / "anchor")


def opened(anchor: Any, **config: Any) -> ArrivalTrainable:
    experts = toy_experts(anchor, ("clinic", "court"), "ffn")
    frame, router = toy_frame(anchor, experts[0].card.sites), build("atoll.routers", "top-k", {})
    made = Mixture(anchor.model(), frame, *members(experts), router)
    trainable = ArrivalTrainable(made, "court", ArrivalConfig(rows=True, **config), STEPS)
    trainable.probe = [batch(99)]
    return trainable


def batch(step: int) -> Batch:
    ids = torch.randint(0, 256, (2, 12), generator=torch.Generator().manual_seed(step))
    return Batch(inputs={"input_ids": ids}, targets={"ids": ids}, predicted=22, units=24)


def trained(trainable: ArrivalTrainable, checkpoint: Path, stop: int = -1) -> Taken:
    """Parameters before every step, and after the last one."""
    seen: Taken = []

    def parts(step: int) -> list[Batch]:
        trainable.begin(step)
        seen.append(now(trainable))
        return [batch(step)]

    def report(done: int, total: int, note: str) -> None:
        if done == stop:
            raise KeyboardInterrupt

    with in_use(trainable.model):
        train(
            trainable,
            parts,
            lambda logits, targets: next_token_loss(logits, targets["ids"]),
            lambda: -float(trainable.step),  # the last parameters are the best
            TRAINING,
            checkpoint,
            report,
        )
    return [*seen, now(trainable)]


def now(trainable: ArrivalTrainable) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in trainable.parameters.items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[bool]:
    """Whether rows of the router, and whether tensors of experts, changed: ``True`` is a row."""
    return {name.startswith("router.") for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    "stop",
    [RouterStop(when="steps", after=7), RouterStop(when="converged", after=3, agreement=0.01, patience=1)],
)
def test_after_the_stop_no_row_changes_and_the_expert_goes_on(anchor: Any, tmp_path: Path, stop: RouterStop) -> None:
    trainable = opened(anchor, stop=stop)
    seen = trained(trainable, tmp_path / "checkpoint.pt")
    stopped = int(trainable.metrics()[ROUTER_STOPPED])
    assert stopped == (7 if stop.when == "steps" else 20)
    for step, (before, after) in enumerate(pairwise(seen)):
        assert changed(before, after) == ({True, False} if step < stopped else {False}), f"step {step}"


def test_by_default_it_is_as_if_there_were_no_switch(anchor: Any, tmp_path: Path) -> None:
    plain, late = opened(anchor), opened(anchor, stop=RouterStop(when="steps", after=STEPS))
    expected, found = trained(plain, tmp_path / "a.pt"), trained(late, tmp_path / "b.pt")
    assert all(changed(one, other) == set() for one, other in zip(expected, found, strict=True))
    assert plain.metrics() == {}
    assert late.metrics() == {ROUTER_STOPPED: 0.0}
    assert plain.auxiliary_loss() is None


@pytest.mark.parametrize("killed_at", [8, 22])
def test_killed_and_resumed_is_the_same_as_never_killed(anchor: Any, tmp_path: Path, killed_at: int) -> None:
    how = {"stop": RouterStop(when="converged", after=3, agreement=0.01, patience=1), "locality": 0.5}
    expected = trained(opened(anchor, **how), tmp_path / "whole.pt")[-1]
    with pytest.raises(KeyboardInterrupt):
        trained(opened(anchor, **how), tmp_path / "cut.pt", stop=killed_at)
    resumed = opened(anchor, **how)
    seen = trained(resumed, tmp_path / "cut.pt")
    assert len(seen) < STEPS, "it went on and did not begin anew"
    assert changed(seen[-1], expected) == set()
    assert resumed.metrics() == {ROUTER_STOPPED: 20.0}


def test_the_locality_loss_is_routing_weight_times_the_way_of_the_latest_step(anchor: Any) -> None:
    trainable = opened(anchor, locality=0.5)
    trainable.begin(0)
    ids = batch(1).inputs["input_ids"]
    with trainable.model.use():
        trainable.model(input_ids=ids)
        assert trainable.auxiliary_loss() == 0, "nothing has moved yet"
    sites = [site.path for site in trainable.model.sites]
    with torch.no_grad():
        for name, value in trainable.parameters.items():
            if name.startswith(f"{sites[0]}."):
                value.add_(0.01)
    moved = sum(v.numel() for n, v in trainable.parameters.items() if n.startswith(f"{sites[0]}.")) ** 0.5 * 0.01
    trainable.begin(1)
    with trainable.model.use() as call:
        trainable.model(input_ids=ids)
        loss = trainable.auxiliary_loss()
        assert loss is not None
        share = float(call.routing[sites[0]].dense(3)[:, 2].mean().detach())
    assert float(loss.detach()) == pytest.approx(0.5 * moved * share, rel=1e-4)
    loss.backward()
    rows = {name for name, value in trainable.parameters.items() if value.grad is not None and bool(value.grad.any())}
    assert any(name.startswith(f"router.{sites[0]}") for name in rows)
    trainable.begin(2)
    with trainable.model.use():
        trainable.model(input_ids=ids)
        assert trainable.auxiliary_loss() == 0, "of the latest step, in which it stayed where it was"


def test_the_card_says_when_the_router_was_stopped(silo: Silo) -> None:
    package, first = second(silo, stop=RouterStop(when="steps", after=2))
    assert package.card.metrics[ROUTER_STOPPED] == 2
    assert ROUTER_STOPPED not in first.card.metrics


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"arrival\.locality is -1"):
        ArrivalConfig(locality=-1.0).check()
    with pytest.raises(ConfigError, match=r"arrival\.stop\.when"):
        replace(ArrivalConfig(), stop=RouterStop(when="soon")).check()
