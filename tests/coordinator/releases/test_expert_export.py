"""An owner leaves with its model: what plain transformers and PEFT load is what Atoll computes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.coordinator.releases.conftest import save_anchor, save_expert
from torch import nn
from typer.testing import CliRunner

from atoll.anchors import Anchor
from atoll.cli.expert import app
from atoll.coordinator import expert_export, own_package
from atoll.coordinator.expert_export import CHECKPOINT, PEFT, export_expert
from atoll.errors import AnchorError, AtollError, MixtureError, PackageError
from atoll.experts.adapter import NAME, plain_adapter
from atoll.experts.package import unpack, write_package
from atoll.experts.signing import OwnerKey
from atoll.federation.units import Choice
from atoll.testing import toy_anchor, toy_image_anchor, toy_mobility_anchor
from atoll.testing.experts import toy_experts

IDS = torch.tensor([[1, 2, 3, 200, 45, 99, 7, 8], [255, 254, 3, 3, 3, 12, 80, 81]])


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


@pytest.mark.parametrize("family", ["olmo2", "llama"])
@pytest.mark.parametrize("learned", [False, True])
def test_an_ffn_expert_is_a_plain_checkpoint(tmp_path: Path, family: Any, learned: bool) -> None:
    from transformers import AutoModelForCausalLM

    anchor = save_anchor(tmp_path / "anchor", family)
    package = save_expert(tmp_path / "clinic.atoll", anchor, "clinic", "ffn", [1, 2], learned=learned)
    made = export_expert(package, tmp_path / "out", form=CHECKPOINT, anchor=anchor)
    assert made.difference < 1e-4 < made.from_anchor
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    several = {"olmo2": "FlexOlmoForCausalLM", "llama": "MixtralForCausalLM"}
    alone = {"olmo2": "Olmo2ForCausalLM", "llama": "LlamaForCausalLM"}
    assert type(model).__name__ == made.form == (several if learned else alone)[family]
    if not learned:  # by hand, with nothing of Atoll: the owner's three matrices in the anchor's place
        from safetensors.torch import load_file

        unpack(package, tmp_path / "open")
        by_hand = anchor.model()
        by_hand.load_state_dict(load_file(tmp_path / "open" / "expert.safetensors"), strict=False)
        torch.testing.assert_close(logits(model), logits(by_hand), rtol=1e-5, atol=1e-6)


def test_a_lora_expert_is_an_adapter_and_a_merged_checkpoint(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    anchor = save_anchor(tmp_path / "anchor", "olmo2", tie_word_embeddings=True)
    package = save_expert(tmp_path / "clinic.atoll", anchor, "clinic", "lora")
    for form in (CHECKPOINT, PEFT):
        made = export_expert(package, tmp_path / form, form=form, anchor=anchor)
        assert made.difference < 1e-3 < made.from_anchor
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / CHECKPOINT)
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(anchor.path), str(tmp_path / PEFT))
    scale = float(logits(adapted).abs().max())
    torch.testing.assert_close(logits(merged), logits(adapted), rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("form", [CHECKPOINT, PEFT])
@pytest.mark.parametrize("make", [toy_image_anchor, toy_mobility_anchor])
def test_other_anchors_have_a_form_of_their_own(tmp_path: Path, make: Any, form: str) -> None:
    anchor: Anchor = make(tmp_path / "anchor")
    (expert,) = toy_experts(anchor, ["clinic"], "lora")
    package = tmp_path / "clinic.atoll"
    adapter = plain_adapter(expert.card.targets, expert.card.settings, generates=False)
    _write(package, replace(expert, extra={NAME: adapter}))
    made = export_expert(package, tmp_path / "out", form=form, anchor=anchor)
    assert made.difference < 1e-3 < made.from_anchor
    if form == CHECKPOINT:
        assert Anchor.open(tmp_path / "out").family == anchor.family


def test_what_has_no_plain_form_is_refused_by_name(tmp_path: Path) -> None:
    anchor = save_anchor(tmp_path / "anchor", "olmo2")
    package = save_expert(tmp_path / "clinic.atoll", anchor, "clinic", "ffn")
    with pytest.raises(MixtureError, match="no PEFT adapter holds"):
        export_expert(package, tmp_path / "out", form=PEFT, anchor=anchor)
    biased = save_anchor(tmp_path / "biased", "llama", attention_bias=True)
    coordinated = save_expert(tmp_path / "other.atoll", biased, "clinic", "ffn", learned=True)
    with pytest.raises(MixtureError, match="biases"):
        export_expert(coordinated, tmp_path / "out", form=CHECKPOINT, anchor=biased)
    images = toy_image_anchor(tmp_path / "images")
    (expert,) = toy_experts(images, ["clinic"], "ffn")
    _write(tmp_path / "images.atoll", expert)
    with pytest.raises(MixtureError, match="no plain form"):
        export_expert(tmp_path / "images.atoll", tmp_path / "out", form=CHECKPOINT, anchor=images)
    assert not (tmp_path / "out").exists()


def test_a_coordinated_expert_is_written_under_the_router_that_it_was_trained_under(tmp_path: Path) -> None:
    anchor = save_anchor(tmp_path / "anchor", "olmo2")
    found = {}
    steep = Choice(name="top-k", options={"gain": 40.0})
    for name, training in {"plain": None, "steep": {"router": steep.to_json()}}.items():
        package = save_expert(tmp_path / f"{name}.atoll", anchor, "clinic", learned=True, training=training)
        export_expert(package, tmp_path / name, form=CHECKPOINT, anchor=anchor)
        found[name] = load_file(tmp_path / name / "model.safetensors")["model.layers.0.mlp.gate.weight"]
    # The anchor's row is the router's; the expert's was trained.
    assert torch.allclose(found["steep"][0], 10 * found["plain"][0])
    assert torch.equal(found["steep"][1], found["plain"][1])


def test_a_model_that_computes_something_else_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anchor = save_anchor(tmp_path / "anchor", "olmo2")
    package = save_expert(tmp_path / "clinic.atoll", anchor, "clinic", "ffn")
    monkeypatch.setattr(expert_export, "plain_model", lambda folder: anchor.model())
    with pytest.raises(MixtureError, match="other logits"):
        export_expert(package, tmp_path / "out", form=CHECKPOINT, anchor=anchor)
    assert not any(path.name.startswith((".out", "out")) for path in tmp_path.iterdir())


def test_the_command_finds_a_nodes_expert_and_its_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_package, "_KNOWN", ("atoll-3m",))  # converting SmolLM2 to look at it takes a while
    anchor = toy_anchor(tmp_path / "anchor")
    node = tmp_path / "hospital"
    (node / "work" / "1").mkdir(parents=True)
    (node / "node.yaml").write_text(f"{{owner: hospital, domain: x, data: {{paths: [x]}}, anchor: {anchor.path}}}")
    (expert,) = toy_experts(anchor, ["hospital"])
    _write(node / "work" / "1" / "hospital.atoll", expert)
    said = run("export", node, "--out", tmp_path / "out", "--as", "peft")
    assert "PEFT adapter" in said
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    assert "the anchor" in (tmp_path / "out" / "README.txt").read_text()
    with pytest.raises(PackageError, match="no expert"):
        run("export", node, "--out", tmp_path / "again", "--expert", "sha256:" + "0" * 64)
    with pytest.raises(AnchorError, match="--anchor"):
        run("export", node / "work" / "1" / "hospital.atoll", "--out", tmp_path / "again")
    with pytest.raises(PackageError):
        run("export", node, "--out", tmp_path / "again", "--key", OwnerKey.generate().public.hex)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if isinstance(result.exception, AtollError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def _write(path: Path, expert: Any) -> None:
    extra, weights = dict(expert.extra), expert.weights
    write_package(
        path, card=expert.card, weights=weights, descriptor=expert.descriptor, key=OwnerKey.generate(), extra=extra
    )
