"""What is digested is what computes: folders that two readers would read otherwise are refused, and so is what differs
after loading.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from atoll.anchors import Anchor
from atoll.anchors.checkpoint import stored_tensors
from atoll.anchors.loaded import check_loaded
from atoll.errors import AnchorError, ConfigError
from atoll.testing import toy_anchor
from atoll.workloads.text import TextConfig
from atoll.workloads.text.workload import Text

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toy_anchor(tmp_path / "anchor").path


def rewritten(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def configured(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def sharded(folder: Path, moved: str = "") -> None:
    """The same weights in two shards beside an index."""
    tensors = load_file(folder / WEIGHTS)
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: tensors[name].clone() for name in held}, folder / file, {"format": "pt"})
    places = {name: f"{moved}{file}" for file, held in parts.items() for name in held}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_tied_embeddings_that_the_file_contradicts_are_refused(folder: Path) -> None:
    untied = Anchor.open(folder)
    configured(folder, tie_word_embeddings=True)

    def copied(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    rewritten(folder, copied)
    tied = Anchor.open(folder)
    assert tied.digest != untied.digest
    assert tied.model() is not None

    def changed(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"][0, 0] += 1

    rewritten(folder, changed)
    with pytest.raises(AnchorError, match="the file holds two that differ"):
        Anchor.open(folder)


def test_an_index_beside_another_file_of_weights_is_refused(folder: Path) -> None:
    whole = Anchor.open(folder)
    sharded(folder)
    with pytest.raises(AnchorError, match="holds two models"):
        Anchor.open(folder)
    (folder / WEIGHTS).unlink()
    assert Anchor.open(folder).digest == whole.digest
    assert Anchor.open(folder).model() is not None


def test_shards_elsewhere_are_refused(folder: Path) -> None:
    sharded(folder, "elsewhere/")
    (folder / WEIGHTS).unlink()
    with pytest.raises(AnchorError, match="without folders"):
        Anchor.open(folder)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_live_parameters_are_held_against_the_file(folder: Path, dtype: torch.dtype) -> None:
    anchor = Anchor.open(folder)
    model = anchor.model(dtype=dtype)
    stored = stored_tensors(folder)
    check_loaded(model, stored, dtype)
    some = next(iter(stored))
    with torch.no_grad():
        model.get_parameter(some).view(-1)[0] += 1
    with pytest.raises(AnchorError, match=f"what was loaded as {some} is not what"):
        check_loaded(model, stored, dtype)
    with pytest.raises(AnchorError, match="has not the parameters"):
        check_loaded(model, {name: each for name, each in stored.items() if name != some}, dtype)


def test_a_reader_that_reads_otherwise_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    anchor = Anchor.open(folder)
    read: Any = transformers.AutoModelForCausalLM.from_pretrained

    def otherwise(*args: Any, **kwargs: Any) -> Any:
        model, report = read(*args, **kwargs)
        with torch.no_grad():
            model.get_output_embeddings().weight.mul_(2)
        return model, report

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", otherwise)
    with pytest.raises(AnchorError, match="it was read otherwise"):
        anchor.model()


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    rows = tensors["model.embed_tokens.weight"].shape[0]

    def smaller(tensors: dict[str, torch.Tensor]) -> None:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            tensors[name] = tensors[name][:200].clone()

    rewritten(folder, smaller)
    configured(folder, vocab_size=200, pad_token_id=None, eos_token_id=None, bos_token_id=None)
    with pytest.raises(AnchorError, match="embeddings for 200"):
        Anchor.open(folder).tokenizer()
    assert rows > 200


def test_windows_longer_than_the_anchor_reads_are_refused(folder: Path, tmp_path: Path) -> None:
    anchor = Anchor.open(folder)
    Text.open(TextConfig(paths=["x"], sequence_length=64), anchor, tmp_path)
    with pytest.raises(ConfigError, match="sequence_length is 65, and anchor anchor reads at most 64"):
        Text.open(TextConfig(paths=["x"], sequence_length=65), anchor, tmp_path)
