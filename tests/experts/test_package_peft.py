import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from atoll.errors import PackageError
from atoll.experts.lora import Lora
from atoll.experts.package import read_package, unpack, write_package
from atoll.experts.signing import OwnerKey

if TYPE_CHECKING:
    from tests.experts.conftest import Example


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers an old name
@pytest.mark.parametrize("family", ["Llama", "Olmo2"])
def test_an_unpacked_lora_package_is_a_peft_adapter(
    family: str, lora: "Example", key: OwnerKey, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    model = _tiny(transformers, family)
    adapted = peft.get_peft_model(
        _tiny(transformers, family),
        peft.LoraConfig(r=2, lora_alpha=4.0, target_modules=["up_proj", "down_proj"], task_type="CAUSAL_LM"),
    )
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(tmp_path / "saved")
    weights = load_file(tmp_path / "saved" / "adapter_model.safetensors")
    config = (tmp_path / "saved" / "adapter_config.json").read_bytes()
    targets = tuple(f"model.layers.{n}.mlp.{m}" for n in range(2) for m in ("down_proj", "up_proj"))
    card = _card_for(lora, targets)

    write_package(
        tmp_path / "a.atoll",
        card=card,
        weights=weights,
        descriptor=lora.descriptor,
        key=key,
        extra={"adapter_config.json": config},
    )
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    expected = Lora().expected_shapes(shapes, targets, card.settings)
    read_package(tmp_path / "a.atoll", trusted=key.public, expected_shapes=expected)
    unpack(tmp_path / "a.atoll", tmp_path / "adapter")

    loaded = peft.PeftModel.from_pretrained(model, tmp_path / "adapter")
    ids = torch.arange(12).reshape(2, 6)
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, adapted(ids).logits)
        assert not torch.allclose(loaded(ids).logits, _tiny(transformers, family)(ids).logits)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peft_type", "IA3"),
        ("auto_mapping", {"base_model_class": "system", "parent_library": "os"}),
        ("modules_to_save", ["lm_head"]),
        ("trust_remote_code", True),
        ("megatron_config", {"a": 1}),
        ("megatron_core", "os"),
        ("init_lora_weights", "pissa"),
        ("use_dora", True),
        ("use_rslora", True),
        ("rank_pattern", {"up_proj": 7}),
        ("target_modules", ".*"),
        ("target_modules", []),
        ("bias", "all"),
        ("something_new", 1),
        ("r", 2),
        ("r", True),
        ("lora_alpha", 3.0),
        ("lora_alpha", "2"),
        ("layers_to_transform", "all"),
    ],
)
def test_an_adapter_that_is_more_than_lora_is_refused(
    field: str, value: Any, lora: "Example", key: OwnerKey, tmp_path: Path
) -> None:
    config = {**json.loads(lora.extra["adapter_config.json"]), field: value}
    with pytest.raises(PackageError, match=rf"adapter_config\.json: '{field}'"):
        _write(lora, json.dumps(config).encode(), key, tmp_path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x80\x04.", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "'peft_type' is missing"),
        (b'{"r": 1, "r": 2}', "twice"),
        (b"[" * 100_000, "not JSON"),
        (b'{"r": ' + b"9" * 5000 + b"}", "not JSON"),
        (b" " * 2_000_000, "at most|the most"),
    ],
)
def test_a_broken_adapter_config_is_refused(
    raw: bytes, message: str, lora: "Example", key: OwnerKey, tmp_path: Path
) -> None:
    with pytest.raises(PackageError, match=message):
        _write(lora, raw, key, tmp_path)


def _write(lora: "Example", config: bytes, key: OwnerKey, folder: Path) -> None:
    write_package(
        folder / "a.atoll",
        card=lora.card,
        weights=lora.weights,
        descriptor=lora.descriptor,
        key=key,
        extra={"adapter_config.json": config},
    )


def _card_for(lora: "Example", targets: tuple[str, ...]) -> Any:
    return dataclasses.replace(lora.card, targets=targets, settings={"rank": 2, "alpha": 4.0})


def _tiny(transformers: Any, family: str) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=32,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return getattr(transformers, f"{family}ForCausalLM")(config).eval()
