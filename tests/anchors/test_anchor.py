import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from atoll.anchors import DEFAULT, Anchor, Architecture, resolve
from atoll.errors import AnchorError

Make = Callable[..., Path]


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


@pytest.mark.parametrize("family", ["olmo2", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_what_the_headers_say_is_what_the_model_has(checkpoint: Make, family: str, tied: bool) -> None:
    anchor = Anchor.open(checkpoint(family=family, tied=tied))
    model = anchor.model()
    assert dict(anchor.shapes) == {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert anchor.parameters == sum(p.numel() for p in model.parameters())
    assert (anchor.family, anchor.layers, anchor.hidden_size, anchor.intermediate_size) == (family, 2, 16, 24)
    assert isinstance(anchor.architecture, Architecture)
    assert anchor.architecture.tied == tied
    assert (anchor.architecture.heads, anchor.architecture.kv_heads, anchor.architecture.head_size) == (4, 2, 4)


def test_the_model_is_frozen_evaluating_and_of_the_wanted_type(checkpoint: Make) -> None:
    model = Anchor.open(checkpoint()).model(dtype=torch.bfloat16)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_the_tokenizer_gives_the_text_back(checkpoint: Make) -> None:
    tokenizer = Anchor.open(checkpoint()).tokenizer()
    assert tokenizer.decode(tokenizer("tabs\tand ümlauts")["input_ids"]) == "tabs\tand ümlauts"


def test_a_stored_copy_of_a_tied_embedding_is_no_parameter(checkpoint: Make) -> None:
    folder = checkpoint()
    before = Anchor.open(folder)
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "lm_head.weight": weights["model.embed_tokens.weight"].clone()}, folder / "model.safetensors")
    after = Anchor.open(folder)
    assert after == before
    assert dict(after.shapes) == dict(before.shapes)


def test_resolve_takes_a_folder_and_names_it(checkpoint: Make) -> None:
    anchor = resolve(str(checkpoint("our-model")))
    assert anchor.name == "our-model"
    assert anchor.digest == resolve(str(anchor.path)).digest


def test_resolve_finds_the_shipped_anchor() -> None:
    import atoll.anchors

    if not (Path(atoll.anchors.__file__).parent / "atoll_3m" / "config.json").is_file():
        pytest.skip("the weights of atoll-3m are not in this checkout")
    anchor = resolve(DEFAULT)
    assert (anchor.name, anchor.family) == (DEFAULT, "olmo2")
    assert anchor.parameters < 8_000_000
    assert sum(file.stat().st_size for file in anchor.path.iterdir()) < 16e6


def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path: Path, checkpoint: Make) -> None:
    with pytest.raises(AnchorError, match="did you mean smollm2"):
        resolve("smolm2")
    near = checkpoint("our-model")
    with pytest.raises(AnchorError, match=f"did you mean {near}"):
        resolve(str(tmp_path / "our-modle"))
    with pytest.raises(AnchorError, match=r"an anchor is atoll-3m, smollm2 or the folder"):
        resolve(str(tmp_path / "nowhere" / "zzz"))


def test_a_file_is_no_anchor(checkpoint: Make) -> None:
    with pytest.raises(AnchorError, match="give the folder"):
        resolve(str(checkpoint() / "config.json"))


def test_an_empty_folder_is_no_anchor(tmp_path: Path) -> None:
    with pytest.raises(AnchorError, match=r"not a transformers checkpoint: it has no config\.json"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "family 'gpt2': anchors are of llama or olmo2"),
        ({"model_type": None}, "family 'None'"),
        ({"architectures": ["Olmo2ForSequenceClassification"]}, "not a causal language model"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantized"),
        ({"hidden_size": None}, "hidden_size"),
        ({"num_attention_heads": 0}, "olmo2"),
        ({"num_hidden_layers": "many"}, "many"),
    ],
)
def test_a_config_that_cannot_be_an_anchor_is_refused(
    checkpoint: Make, changes: dict[str, object], message: str
) -> None:
    folder = checkpoint()
    edit_config(folder, **changes)
    with pytest.raises(AnchorError, match=message):
        Anchor.open(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_config_that_is_no_object_is_refused(checkpoint: Make, text: str) -> None:
    folder = checkpoint()
    (folder / "config.json").write_text(text)
    with pytest.raises(AnchorError, match="not a transformers configuration"):
        Anchor.open(folder)


def test_pickled_weights_are_refused(checkpoint: Make) -> None:
    folder = checkpoint()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(AnchorError, match=r"pytorch_model\.bin.*run code.*safetensors"):
        Anchor.open(folder)


@pytest.mark.parametrize(("name", "message"), [("model.safetensors", "no weights"), ("tokenizer.json", "tokenizer")])
def test_a_missing_part_is_named(checkpoint: Make, name: str, message: str) -> None:
    folder = checkpoint()
    (folder / name).unlink()
    with pytest.raises(AnchorError, match=message):
        Anchor.open(folder)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_weights_are_refused(checkpoint: Make, kept: int) -> None:
    path = checkpoint() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(AnchorError, match="safetensors"):
        Anchor.open(path.parent)


def test_weights_of_another_form_are_refused_instead_of_filled_with_random_numbers(checkpoint: Make) -> None:
    folder = checkpoint()
    edit_config(folder, num_hidden_layers=3)
    with pytest.raises(AnchorError, match="missing keys"):
        Anchor.open(folder).model()
    edit_config(folder, num_hidden_layers=1)
    with pytest.raises(AnchorError, match="unexpected keys"):
        Anchor.open(folder).model()


def test_a_shape_that_config_json_does_not_expect_is_refused(checkpoint: Make) -> None:
    folder = checkpoint()
    edit_config(folder, intermediate_size=32)
    with pytest.raises(AnchorError, match=r"does not load|mismatched"):
        Anchor.open(folder).model()


def test_a_broken_tokenizer_is_refused(checkpoint: Make) -> None:
    folder = checkpoint()
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(AnchorError, match="tokenizer"):
        Anchor.open(folder).tokenizer()
