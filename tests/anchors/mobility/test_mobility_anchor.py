"""A mobility anchor on disk: what it says of itself, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from atoll.anchors import Anchor, resolve
from atoll.anchors.mobility import MobilityModel, save_mobility_anchor
from atoll.errors import AnchorError
from atoll.testing import toy_mobility_anchor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toy_mobility_anchor(tmp_path / "ours").path


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def test_what_the_files_say_is_what_the_model_has(folder: Path) -> None:
    anchor = Anchor.open(folder)
    model = anchor.model()
    assert dict(anchor.shapes) == {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert anchor.parameters == sum(p.numel() for p in model.parameters())
    assert (anchor.family, anchor.workload, anchor.name) == ("mobility", "mobility", "ours")
    assert (anchor.layers, anchor.hidden_size, anchor.intermediate_size) == (2, 16, 24)
    assert anchor.architecture.context == 144
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in anchor.model(torch.bfloat16).parameters()} == {torch.bfloat16}


def test_what_is_saved_again_is_the_same_anchor(folder: Path, tmp_path: Path) -> None:
    anchor = resolve(str(folder))
    model = anchor.model()
    assert isinstance(model, MobilityModel)
    save_mobility_anchor(model, tmp_path / "again")
    again = Anchor.open(tmp_path / "again")
    assert again.digest == anchor.digest
    assert sorted(path.name for path in again.path.iterdir()) == ["config.json", "model.safetensors"]


def test_making_a_model_leaves_the_generator_alone(folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    Anchor.open(folder).model()
    assert torch.equal(torch.rand(1), expected)


def test_the_digest_tells_apart_what_computes_differently(folder: Path) -> None:
    digests = {Anchor.open(folder).digest}
    for changes in ({"norm_epsilon": 1e-3}, {"rope_theta": 500.0}, {"heads": 2}):
        config = (folder / "config.json").read_text()
        edit_config(folder, **changes)
        digests.add(Anchor.open(folder).digest)
        (folder / "config.json").write_text(config)
    weights = load_file(folder / "model.safetensors")
    weights["pointer.bias"] += 0.5
    save_file(weights, folder / "model.safetensors")
    digests.add(Anchor.open(folder).digest)
    assert len(digests) == 5


def test_defaults_that_are_not_written_change_nothing(folder: Path) -> None:
    before = Anchor.open(folder).digest
    edit_config(folder, rope_theta=None, context=None, heads="4")
    assert Anchor.open(folder).digest == before


def test_it_has_no_tokenizer_and_says_so(folder: Path) -> None:
    with pytest.raises(AnchorError, match=r"ours reads trajectories, not text: it has no tokenizer"):
        Anchor.open(folder).tokenizer()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"layers": "many"}, "many"),
        ({"layers": 0}, "at least 1"),
        ({"experts": 4}, "does not know experts"),
    ],
)
def test_a_config_that_cannot_be_is_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(AnchorError, match=message):
        Anchor.open(folder)


@pytest.mark.parametrize("changes", [{"layers": 3}, {"layers": 1}, {"intermediate_size": 32}, {"pois": 3}])
def test_weights_of_another_form_are_refused(folder: Path, changes: dict[str, object]) -> None:
    edit_config(folder, **changes)
    with pytest.raises(AnchorError, match=r"not those of config\.json.*(mlp|layers\.2|pois)"):
        Anchor.open(folder).model()


def test_missing_pickled_and_truncated_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AnchorError, match="truncated"):
        Anchor.open(folder)
    path.rename(folder / "pytorch_model.bin")
    with pytest.raises(AnchorError, match="pickled weights"):
        Anchor.open(folder)
