"""Training an expert into a package: kills, precision, divergence, and that the same work is not done twice."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from atoll.clients.node import Node
from atoll.clients.work import evaluate, expert_layers, targets_of, train_expert
from atoll.errors import ConfigError, DataError, FederationError
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.training import ExpertConfig
from atoll.federation.units import Choice, EvaluateUnit, MemberRef, Variant
from atoll.plugins import load

from .conftest import Silo, quiet, train_unit

KINDS: dict[str, dict[str, Any]] = {
    "lora": {"kind": "lora"},
    "lora on cached states": {"kind": "lora", "last_layers": 1},
    "ffn": {"kind": "ffn"},
    "ffn alone": {"kind": "ffn", "coordinated": False, "last_layers": 2},
}
# Trains as a node's worker would, and dies without a word when the step that it is told has been reported.
KILLED = """
import os, signal, sys
from pathlib import Path
from atoll.clients.node import Node
from atoll.clients.work import train_expert
from atoll.federation.units import TrainUnit

def report(done, total, note):
    if done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

train_expert(Node(Path(sys.argv[1])), TrainUnit.from_json(sys.argv[2]), report)
"""


def trained(node: Node, **changes: Any) -> ExpertPackage:
    _, file = train_expert(node, train_unit(node, **changes), quiet)
    return read_package(file, trusted=node.key.public)


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
@pytest.mark.parametrize(("name", "step"), [("lora on cached states", 5), ("ffn", 3)])
def test_killed_and_resumed_is_bit_identical(silo: Silo, name: str, step: int) -> None:
    killed, whole = silo("killed"), silo("whole")
    unit = train_unit(killed, **KINDS[name])
    killed.frame(killed.model(), [f"model.layers.{layer}.mlp" for layer in expert_layers(3, unit.expert.last_layers)])
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(killed.folder), unit.to_json(), str(step)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not list(killed.folder.glob("**/*.atoll"))
    (saved,) = killed.folder.glob("work/*/checkpoint.pt")
    assert torch.load(saved, weights_only=True)["progress"]["step"] == step - 1
    told: list[int] = []
    resumed, file = train_expert(killed, unit, lambda done, total, note: told.append(done))
    assert told[1] == step, "it began again"  # told[0] is the descriptor
    expected, other = train_expert(whole, unit, quiet)
    assert resumed.digest == expected.digest
    one, two = (read_package(path, trusted=None).weights for path in (file, other))
    assert all(torch.equal(value, two[key]) for key, value in one.items())


@pytest.mark.parametrize("step", range(7))
def test_interrupted_at_any_step_the_package_is_the_same(silo: Silo, step: int) -> None:
    node, whole = silo("cut"), silo("whole")
    unit = train_unit(node, "ffn", last_layers=1)

    def report(done: int, total: int, note: str) -> None:
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_expert(node, unit, report)
    assert train_expert(node, unit, quiet)[0].digest == train_expert(whole, unit, quiet)[0].digest


@pytest.mark.parametrize("name", KINDS)
def test_the_package_verifies_and_is_as_good_as_its_card_says(silo: Silo, name: str) -> None:
    node = silo()
    package = trained(node, **KINDS[name], router=Choice(name="top-k", options={"bias": True}))
    card = package.card
    kind = load("atoll.experts", card.kind)()
    shapes = kind.expected_shapes(node.anchor.shapes, card.targets, card.settings)
    assert {name: tuple(tensor.shape) for name, tensor in package.weights.items()} == shapes
    assert card.metrics["validation_loss_expert"] < card.metrics["validation_loss_anchor"]
    router = Choice(name="top-k", options={"bias": True})
    alone = Variant(name="own", members=["clinic"], integrator=Choice(name="flexolmo"), router=router, alone=True)
    assert ("router" in card.training) is bool(card.settings.get("coordinated"))
    anchor = Variant(name="anchor", members=[], integrator=Choice(name=""), router=Choice(name=""))
    found = measured(node, package, [alone, anchor])
    assert found["own"] == pytest.approx(card.metrics["validation_loss_expert"], rel=1e-4)
    assert found["anchor"] == pytest.approx(card.metrics["validation_loss_anchor"], rel=1e-4)


def measured(node: Node, package: ExpertPackage, variants: list[Variant]) -> dict[str, float]:
    (file,) = node.folder.glob("work/*/*.atoll")
    blob = node.blobs.put(file.read_bytes())
    member = MemberRef(owner=package.card.owner, digest=package.digest, blob=blob, public_key=node.key.public.hex)
    unit = EvaluateUnit(
        anchor=node.anchor.digest, members=[member], variants=variants, split="validation", windows=4, batch=3
    )
    return evaluate(node, unit, quiet).loss


def test_the_best_parameters_are_packed_not_the_last(silo: Silo) -> None:
    node = silo()
    # So large a rate that training soon gets worse than it was.
    changes = {
        "learning_rate": 3.0,
        "clip": 0.0,
        "warmup": 0,
        "schedule": "constant",
        "evaluate_every": 1,
        "patience": 2,
    }
    card = trained(node, steps=30, **changes).card
    steps, best = int(card.training["steps"]), int(card.training["best_step"])
    assert steps == best + 2 < 30, "it did not stop early"
    assert card.metrics["validation_loss_expert"] <= card.metrics["validation_loss_anchor"]
    alone = Variant(
        name="own", members=["clinic"], integrator=Choice(name="soup"), router=Choice(name="uniform"), alone=True
    )
    (file,) = node.folder.glob("work/*/*.atoll")
    found = measured(node, read_package(file, trusted=None), [alone])
    assert found["own"] == pytest.approx(card.metrics["validation_loss_expert"], rel=1e-4)


@pytest.mark.parametrize("kind", ["lora", "ffn"])
def test_accumulated_parts_are_as_one_larger_batch(silo: Silo, kind: str) -> None:
    one = trained(silo("one"), kind=kind, last_layers=1, steps=3, learning_rate=1e-3)
    parts = trained(silo("parts"), kind=kind, last_layers=1, steps=3, learning_rate=1e-3, accumulation=4)
    for name, value in one.weights.items():
        torch.testing.assert_close(parts.weights[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["lora", "ffn"])
def test_bf16_runs_on_a_cpu_and_learns(silo: Silo, kind: str) -> None:
    package = trained(silo(), kind=kind, precision="bf16")
    assert package.card.metrics["validation_loss_expert"] < package.card.metrics["validation_loss_anchor"]
    for value in package.weights.values():
        assert value.dtype == torch.float32
        assert bool(torch.isfinite(value).all())
    full = trained(silo("full"), kind=kind)
    assert any(not torch.equal(value, full.weights[name]) for name, value in package.weights.items()), "it ran in fp32"


def test_divergence_is_one_clear_error_and_no_package(silo: Silo) -> None:
    node = silo()
    unit = train_unit(node, "ffn", coordinated=False, learning_rate=1e30, clip=0.0, warmup=0)
    for _ in range(2):  # also when it is tried again
        with pytest.raises(DataError, match=r"training diverged: .* at step \d+; lower training.learning_rate"):
            train_expert(node, unit, quiet)
    assert not list(node.folder.glob("**/*.atoll"))


def test_the_same_work_is_done_once(silo: Silo) -> None:
    node = silo()
    unit = train_unit(node)
    first = train_expert(node, unit, quiet)
    told: list[int] = []
    assert train_expert(node, unit, lambda done, total, note: told.append(done)) == first
    assert not told
    assert train_expert(node, replace(unit, seed=6), quiet)[0].digest != first[0].digest


def test_a_new_key_signs_a_new_package_of_the_same_content(silo: Silo) -> None:
    node = silo()
    unit = train_unit(node)
    first, _ = train_expert(node, unit, quiet)
    (node.folder / "owner.key").unlink()
    again = silo()
    second, file = train_expert(again, unit, quiet)
    assert second.digest == first.digest
    assert second.blob != first.blob
    assert read_package(file, trusted=again.key.public).card.owner == "clinic"


def test_a_silo_without_validation_text_is_told_before_training(silo: Silo) -> None:
    node = silo(data={"validation": 0.0})
    with pytest.raises(DataError, match="validation"):
        train_expert(node, train_unit(node), quiet)


def test_impossible_units_are_refused(silo: Silo) -> None:
    node = silo()
    with pytest.raises(ConfigError, match=r"expert\.last_layers is 9, but the anchor has 3"):
        train_expert(node, train_unit(node, last_layers=9), quiet)
    with pytest.raises(ConfigError, match=r"training\.steps"):
        train_expert(node, train_unit(node, steps=0), quiet)
    with pytest.raises(FederationError, match="set `anchor`"):
        train_expert(node, train_unit(node, anchor="sha256:" + "00" * 32), quiet)


def test_the_last_layers_are_counted_from_the_top() -> None:
    assert expert_layers(4, 0) == [0, 1, 2, 3]
    assert expert_layers(4, 1) == [3]
    assert targets_of(ExpertConfig(kind="ffn"), [2, 3]) == ["model.layers.2.mlp", "model.layers.3.mlp"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("name", KINDS)
def test_a_gpu_gives_what_the_cpu_gives(silo: Silo, name: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        node = silo(device, device=device)
        card = trained(node, **KINDS[name]).card
        (file,) = node.folder.glob("work/*/*.atoll")
        mixed = Variant(
            name="mixture", members=["clinic"], integrator=Choice(name="flexolmo"), router=Choice(name="naive-bayes")
        )
        found.append({**card.metrics, **measured(node, read_package(file, trusted=None), [mixed])})
    assert found[1] == pytest.approx(found[0], rel=1e-3)
