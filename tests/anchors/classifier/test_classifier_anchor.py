"""A classifier anchor on disk: what it says of itself, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from atoll.anchors import Anchor, resolve
from atoll.anchors.classifier import ClassifierArchitecture, ClassifierModel, ImagesForm, save_classifier_anchor
from atoll.errors import AnchorError
from atoll.testing import toy_image_anchor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toy_image_anchor(tmp_path / "ours").path


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def stem(**changes: object) -> dict[str, object]:
    whole = {"input": "images", "channels": 1, "height": 8, "width": 8, "filters": [8], **changes}
    return {key: value for key, value in whole.items() if value is not None}


def test_what_the_files_say_is_what_the_model_has(folder: Path) -> None:
    anchor = Anchor.open(folder)
    model = anchor.model()
    assert dict(anchor.shapes) == {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert anchor.parameters == sum(p.numel() for p in model.parameters())
    assert (anchor.family, anchor.workload, anchor.name) == ("classifier", "images", "ours")
    assert (anchor.layers, anchor.hidden_size, anchor.intermediate_size) == (2, 16, 24)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in anchor.model(torch.bfloat16).parameters()} == {torch.bfloat16}


def test_the_head_is_no_weight_that_anyone_could_train(folder: Path) -> None:
    anchor = Anchor.open(folder)
    assert not [name for name in anchor.shapes if "head" in name]
    assert not [name for name in anchor.model().state_dict() if "head" in name]


def test_what_is_saved_again_is_the_same_anchor(folder: Path, tmp_path: Path) -> None:
    anchor = resolve(str(folder))
    model = anchor.model()
    assert isinstance(model, ClassifierModel)
    save_classifier_anchor(model, tmp_path / "again")
    again = Anchor.open(tmp_path / "again")
    assert again.digest == anchor.digest
    assert again.architecture == anchor.architecture


def test_making_a_model_leaves_the_generator_alone(folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    Anchor.open(folder).model()
    assert torch.equal(torch.rand(1), expected)


def test_the_digest_tells_apart_what_computes_differently(folder: Path) -> None:
    digests = {Anchor.open(folder).digest}
    for changes in ({"norm_epsilon": 1e-3}, {"scale": 8.0}, {"classes": 10}, {"stem": stem(width=9)}):
        config = (folder / "config.json").read_text()
        edit_config(folder, **changes)
        digests.add(Anchor.open(folder).digest)
        (folder / "config.json").write_text(config)
    weights = load_file(folder / "model.safetensors")
    weights["stem.project.bias"] += 0.5
    save_file(weights, folder / "model.safetensors")
    digests.add(Anchor.open(folder).digest)
    assert len(digests) == 6


def test_it_has_no_tokenizer_and_says_so(folder: Path) -> None:
    with pytest.raises(AnchorError, match=r"ours reads images, not text: it has no tokenizer"):
        Anchor.open(folder).tokenizer()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"layers": "many"}, "many"),
        ({"layers": 0}, "at least 1"),
        ({"experts": 4}, "does not know experts"),
        ({"classes": 16}, "less than its hidden_size, 16"),
        ({"scale": -1.0}, "above zero"),
        ({"stem": None}, "stem"),
        ({"stem": stem(input="sounds")}, "no stem reads 'sounds'"),
        ({"stem": stem(depth=3)}, "does not know depth"),
        ({"stem": stem(height=0)}, "at least 1"),
        ({"stem": stem(filters=[12])}, "multiple of 8"),
        ({"stem": stem(filters=[])}, "filters"),
    ],
)
def test_a_config_that_cannot_be_is_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(AnchorError, match=message):
        Anchor.open(folder)


@pytest.mark.parametrize("changes", [{"layers": 3}, {"intermediate_size": 32}, {"stem": stem(filters=[16])}])
def test_weights_of_another_form_are_refused(folder: Path, changes: dict[str, object]) -> None:
    edit_config(folder, **changes)
    with pytest.raises(AnchorError, match=r"not those of config\.json.*(mlp|layers\.2|stem)"):
        Anchor.open(folder).model()


def test_defaults_that_are_not_written_change_nothing(folder: Path) -> None:
    before = Anchor.open(folder)
    edit_config(folder, norm_epsilon=None, stem=stem(channels=None))
    assert Anchor.open(folder).digest == before.digest
    assert ClassifierArchitecture(hidden_size=4, layers=1, intermediate_size=4, classes=2).stem == ImagesForm()
