"""Experts of kind ``lora``: what PEFT trained is what PEFT loads, and what the mixture runs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from atoll.clients.training.lora import LoraTrainable
from atoll.clients.work import train_expert
from atoll.errors import ConfigError
from atoll.experts.package import ExpertPackage, read_package, unpack
from atoll.experts.training import ExpertConfig
from atoll.plugins import build

from .conftest import LAYERS, Silo, quiet, text_of, train_unit

ATTENTION_TOO = ["q_proj", "o_proj", "down_proj"]


def as_mixture(silo_node: Any, package: ExpertPackage, ids: Tensor) -> Tensor:
    """Logits of anchor and this one expert, the expert in the anchor's place."""
    model = silo_node.model()
    frame = silo_node.frame(model, package.card.sites)
    soup = build("atoll.integrators", "soup", {})
    mixture = soup.integrate(model, frame, [package], build("atoll.routers", "uniform", {}))
    with torch.no_grad(), mixture.use(None):
        return mixture(input_ids=ids, use_cache=False).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "expert",
    [{}, {"last_layers": 1}, {"modules": ATTENTION_TOO, "rank": 3, "alpha": 5.0}],
    ids=["all", "last", "attention"],
)
def test_peft_loads_the_package_as_it_is(
    silo: Silo, tmp_path: Path, anchor_folder: Path, expert: dict[str, Any]
) -> None:
    node = silo()
    _, file = train_expert(node, train_unit(node, learning_rate=0.05, **expert), quiet)
    unpack(file, tmp_path / "adapter", trusted=node.key.public)
    package = read_package(file, trusted=node.key.public)
    ids = text_of(node).batch(0, 3, 0)
    plain = AutoModelForCausalLM.from_pretrained(anchor_folder).eval()
    with torch.no_grad():
        before = plain(input_ids=ids).logits
        after = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()(input_ids=ids).logits
    assert float((after - before).abs().max()) > 1e-3, "the expert changes nothing, so nothing is compared"
    torch.testing.assert_close(as_mixture(node, package, ids), after, rtol=1e-4, atol=1e-5)


def test_the_card_names_just_the_modules_that_changed(silo: Silo) -> None:
    node = silo()
    _, file = train_expert(node, train_unit(node, last_layers=2, modules=ATTENTION_TOO), quiet)
    card = read_package(file, trusted=None).card
    expected = {
        f"model.layers.{layer}.{path}"
        for layer in range(LAYERS - 2, LAYERS)
        for path in ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj")
    }
    assert set(card.targets) == expected
    assert set(card.sites) == {target.rpartition(".")[0] for target in expected}
    assert card.settings == {"rank": 4, "alpha": 8.0}


def test_only_the_adapter_is_trained(silo: Silo) -> None:
    node = silo()
    model = node.model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainable = LoraTrainable(model, range(LAYERS), ExpertConfig(kind="lora", rank=2), seed=0)
    assert trainable.parameters
    assert all("lora_" in name for name in trainable.parameters)
    with torch.no_grad():
        for parameter in trainable.parameters.values():
            parameter.add_(1.0)
    for name, value in trainable.model.state_dict().items():
        if "lora_" not in name:
            assert torch.equal(value, before[name.replace(".base_layer", "")]), name


def test_the_seed_decides_where_training_starts(silo: Silo) -> None:
    node = silo()

    def start(seed: int) -> list[Tensor]:
        made = LoraTrainable(node.model(), range(LAYERS), ExpertConfig(kind="lora", rank=2), seed)
        return list(made.export().weights.values())

    assert all(torch.equal(a, b) for a, b in zip(start(1), start(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(start(1), start(2), strict=True))


def test_a_module_that_the_anchor_lacks_is_refused(silo: Silo) -> None:
    node = silo()
    with pytest.raises(ConfigError, match=r"expert\.modules \['w1'\] do not fit"):
        LoraTrainable(node.model(), range(LAYERS), ExpertConfig(kind="lora", modules=["w1"]), seed=0)
