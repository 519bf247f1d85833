"""Experts of kind ``ffn``: trained beside the anchor's frozen block, or, as the ablation, in its place."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from atoll.clients.descriptor import describe_domain
from atoll.clients.node import Node
from atoll.clients.training.ffn import CoordinatedBlock, FeedForwardTrainable
from atoll.clients.training.loop import train
from atoll.clients.work import make_trainable, train_expert
from atoll.errors import ConfigError
from atoll.experts.package import read_package
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.mixture import Router
from atoll.plugins import build

from .conftest import LAYERS, Silo, quiet, text_of, train_unit

BLOCKS = [f"model.layers.{layer}.mlp" for layer in range(LAYERS)]


def trainable_of(node: Node, router: str = "top-k", **expert: Any) -> FeedForwardTrainable:
    model = node.model()
    frame = node.frame(model, BLOCKS)
    domain = describe_domain(
        node.anchor, model, BLOCKS, text_of(node), embedder="anchor-states", documents=16, counted=16, frame=frame
    )
    how: Router = build("atoll.routers", router, {})
    made = make_trainable(
        model, range(LAYERS), ExpertConfig(kind="ffn", **{"coordinated": True, **expert}), how, domain, frame, 0
    )
    assert isinstance(made, FeedForwardTrainable)
    return made


def fit(node: Node, trainable: FeedForwardTrainable, **changes: Any) -> None:
    config = TrainingConfig(steps=4, batch=4, warmup=1, learning_rate=0.02, evaluate_every=4, checkpoint_every=9)
    looks = iter([2.0, 1.0])  # the later the better, so that the last parameters are kept
    train(
        trainable,
        lambda step: [node.workload.samples("train", node.workload.batch_indices(step, 4, 0))],
        node.workload.loss,
        lambda: next(looks),
        replace(config, **changes),
        node.folder / "checkpoint.pt",
        quiet,
    )


def blocks_of(trainable: FeedForwardTrainable) -> list[CoordinatedBlock]:
    found = [module for module in trainable.model.modules() if isinstance(module, CoordinatedBlock)]
    assert len(found) == LAYERS
    return found


def test_the_anchor_and_its_row_stand_still_while_the_expert_moves(silo: Silo) -> None:
    node = silo()
    trainable = trainable_of(node)
    anchor = dict(node.model().named_parameters())
    fixed = [{name: value.clone() for name, value in block._fixed.items()} for block in blocks_of(trainable)]
    start = {name: value.detach().clone() for name, value in trainable.parameters.items()}
    fit(node, trainable, weight_decay=0.1)
    for block, row in zip(blocks_of(trainable), fixed, strict=True):
        assert all(torch.equal(block._fixed[name], value) for name, value in row.items())
    for name, value in trainable.model.named_parameters():
        if name not in trainable.parameters:
            assert torch.equal(value, anchor[name.replace(".mlp.anchor.", ".mlp.")]), name
            assert value.grad is None
    assert all(not torch.equal(value, start[name]) for name, value in trainable.parameters.items())


def test_what_is_trained_is_the_experts_block_its_row_and_its_bias(silo: Silo) -> None:
    trainable = trainable_of(silo())
    names = {name.partition(".mlp.")[2] for name in trainable.parameters}
    assert names == {"expert.gate_proj.weight", "expert.up_proj.weight", "expert.down_proj.weight", "row", "slack"}
    anchors = {id(parameter) for block in blocks_of(trainable) for parameter in block.anchor.parameters()}
    assert not anchors & {id(parameter) for parameter in trainable.parameters.values()}


def test_weight_decay_leaves_the_router_alone(silo: Silo) -> None:
    node = silo()
    # From one step: later ones differ because the matrices do.
    found = {}
    for decay in (0.0, 0.9):
        trainable = trainable_of(node)
        fit(node, trainable, steps=1, warmup=0, weight_decay=decay)
        found[decay] = {name: value.detach().clone() for name, value in trainable.parameters.items()}
        (node.folder / "checkpoint.pt").unlink()
    for name, value in found[0.0].items():
        assert torch.equal(value, found[0.9][name]) == name.endswith(("row", "slack")), name


def test_training_begins_with_the_anchors_predictions(silo: Silo) -> None:
    node = silo()
    ids = text_of(node).batch(0, 2, 0)
    with torch.no_grad():
        plain = node.model()(input_ids=ids).logits
        for coordinated in (True, False):
            begun = trainable_of(node, coordinated=coordinated).model(input_ids=ids).logits
            torch.testing.assert_close(begun, plain, rtol=1e-4, atol=1e-5)


def test_the_mixture_of_its_package_computes_what_was_trained(silo: Silo) -> None:
    node = silo()
    trainable = trainable_of(node)
    fit(node, trainable)
    made = trainable.export()
    assert made.settings == {"coordinated": True}
    ids = text_of(node).batch(7, 3, 0)
    with torch.no_grad():
        trained = trainable.model(input_ids=ids, use_cache=False).logits
    model = node.model()
    frame = node.frame(model, BLOCKS)
    # The package itself, with the weights of just this training.
    _, file = train_expert(node, train_unit(node, "ffn"), quiet)
    package = replace(read_package(file, trusted=None), weights=made.weights)
    router = build("atoll.routers", "top-k", {"bias": True})
    mixture = build("atoll.integrators", "flexolmo", {}).integrate(model, frame, [package], router)
    with torch.no_grad(), mixture.use([package.card.owner]):
        answered = mixture(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(answered, trained, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert float((answered - model(input_ids=ids).logits).abs().max()) > 1e-3


def test_the_bias_is_below_zero_and_is_what_the_package_holds(silo: Silo) -> None:
    node = silo()
    trainable = trainable_of(node)
    fit(node, trainable, learning_rate=1.0, clip=0.0)
    held = trainable.export().weights
    for path, block in zip(BLOCKS, blocks_of(trainable), strict=True):
        assert float(held[f"router.{path}.bias"]) < 0
        torch.testing.assert_close(held[f"router.{path}.bias"], -functional.softplus(block.slack.detach()))
        assert torch.equal(held[f"router.{path}.row"], block.row.detach())


def test_uncoordinated_is_plain_fine_tuning_of_the_blocks(silo: Silo) -> None:
    node = silo()
    trainable = trainable_of(node, coordinated=False)
    fit(node, trainable, clip=0.0, schedule="constant", warmup=0)
    plain = node.model()
    tuned = {name: p for name, p in plain.named_parameters() if ".mlp." in name}
    for parameter in tuned.values():
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(tuned.values(), lr=0.02, betas=(0.9, 0.95), weight_decay=0.0)
    for step in range(4):
        ids = text_of(node).batch(step, 4, 0)
        logits = plain(input_ids=ids).logits[:, :-1]
        functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
    made = trainable.export()
    assert made.settings == {"coordinated": False}
    assert set(made.weights) == set(tuned)
    for name, value in made.weights.items():
        torch.testing.assert_close(value, tuned[name].detach(), rtol=1e-3, atol=1e-4)


def test_the_z_loss_is_added_with_its_weight_and_there_is_no_other(silo: Silo) -> None:
    node = silo()
    ids = text_of(node).batch(0, 2, 0)
    found = []
    for weight in (1.0, 0.25):
        trainable = trainable_of(node, z_loss=weight)
        trainable.model(input_ids=ids)
        assert all(set(block.losses) == {"z"} for block in blocks_of(trainable))
        loss = trainable.auxiliary_loss()
        assert loss is not None
        found.append(float(loss.detach()))
    assert found[0] > 0
    assert found[1] == pytest.approx(found[0] / 4)
    plain = trainable_of(node, coordinated=False)
    plain.model(input_ids=ids)
    assert plain.auxiliary_loss() is None


def test_the_router_chooses_in_full_precision_under_bf16(silo: Silo) -> None:
    block = blocks_of(trainable_of(silo()))[0]
    x = torch.randn(2, 5, 16)
    with torch.autocast("cpu", torch.bfloat16):
        block(x)
        low = float(block.losses["z"].detach())
    block(x)
    assert low == float(block.losses["z"].detach())


@pytest.mark.parametrize("router", ["uniform", "domain", "naive-bayes"])
def test_a_router_that_learns_nothing_is_refused(silo: Silo, router: str) -> None:
    with pytest.raises(ConfigError, match=r"training_router\.name=top-k"):
        trainable_of(silo(), router)
    assert trainable_of(silo("other"), router, coordinated=False).parameters


def test_blocks_with_biases_are_refused(silo: Silo) -> None:
    node = silo()
    frame = node.frame(node.model(), BLOCKS)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "vocab_size": 32}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_hidden_layers=1, mlp_bias=True)).requires_grad_(False)
    with pytest.raises(ConfigError, match="has biases"):
        FeedForwardTrainable(
            model, [0], ExpertConfig(coordinated=True), build("atoll.routers", "top-k", {}), frame, frame
        )


def test_parameters_are_where_the_anchor_is(silo: Silo) -> None:
    node = silo()
    frame = node.frame(node.model(), BLOCKS)
    block: nn.Module = node.model().get_submodule(BLOCKS[0]).to("meta")
    made = CoordinatedBlock(block, BLOCKS[0], build("atoll.routers", "top-k", {}), frame, frame)
    tensors: list[Tensor] = [*made.parameters(), *made._fixed.values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
