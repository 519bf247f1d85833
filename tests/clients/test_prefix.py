"""The layers below the first expert, computed once: faster, and otherwise as if they had not been."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from atoll.clients.training.prefix import Prefix, tail
from atoll.clients.work import train_expert
from atoll.experts.package import read_package

from .conftest import LAYERS, Silo, quiet, text_of, train_unit

IDS = torch.arange(8) * 7


class Counted:
    """Counts how often the first layer of a model is run."""

    def __init__(self, model: nn.Module) -> None:
        self.times = 0
        model.get_submodule("model.layers.0").register_forward_pre_hook(self._count)

    def _count(self, module: nn.Module, args: object) -> None:
        self.times += 1


@pytest.mark.parametrize("first", range(1, LAYERS))
def test_the_tail_on_cached_states_is_the_whole_model(silo: Silo, tmp_path: Path, first: int) -> None:
    model = silo().model()
    prefix = Prefix(model, first, tmp_path / "cache" / "states")
    windows = [IDS, IDS.flip(0)]
    states = torch.stack([prefix.states(index, window) for index, window in enumerate(windows)])
    with torch.no_grad():
        whole = model(input_ids=torch.stack(windows)).logits
        upper = tail(model, first)(inputs_embeds=states, use_cache=False).logits
    torch.testing.assert_close(upper, whole, rtol=1e-4, atol=1e-5)
    assert len(model.get_submodule("model.layers")) == LAYERS, "the model itself was cut"  # type: ignore[arg-type]


def test_the_tail_from_the_first_layer_is_the_model(silo: Silo) -> None:
    model = silo().model()
    assert tail(model, 0) is model


def test_a_second_run_computes_nothing(silo: Silo, tmp_path: Path) -> None:
    model = silo().model()
    counted = Counted(model)
    first = [Prefix(model, 1, tmp_path / "states").states(index, IDS + index) for index in (3, 0)]
    assert counted.times == 2
    second = [Prefix(model, 1, tmp_path / "states").states(index, IDS + index) for index in (3, 0)]
    assert counted.times == 2
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[-5] ^= 1
    elif how == "flipped digest":
        content[0] ^= 128
    elif how == "truncated":
        content = content[: len(content) // 2]
    elif how == "zeros":
        content = bytearray(len(content))
    elif how == "moved":
        content = bytearray(b"x") + content
    path.write_bytes(content) if how != "gone" else path.unlink()


@pytest.mark.parametrize("how", ["flipped", "flipped digest", "truncated", "zeros", "moved", "gone"])
def test_a_damaged_cache_is_computed_again(silo: Silo, tmp_path: Path, how: str) -> None:
    model = silo().model()
    expected = Prefix(model, 1, tmp_path / "states").states(0, IDS)
    damage(tmp_path / "states", how)
    counted = Counted(model)
    assert torch.equal(Prefix(model, 1, tmp_path / "states").states(0, IDS), expected)
    assert counted.times == 1
    assert torch.equal(Prefix(model, 1, tmp_path / "states").states(0, IDS), expected)
    assert counted.times == 1, "it was not mended"


def test_states_of_other_text_are_never_taken(silo: Silo, tmp_path: Path) -> None:
    model = silo().model()
    prefix = Prefix(model, 1, tmp_path / "states")
    prefix.states(0, IDS)
    other = IDS + 1
    assert torch.equal(prefix.states(0, other), Prefix(model, 1, tmp_path / "fresh").states(0, other))


def test_windows_of_another_length_are_computed_anew(silo: Silo, tmp_path: Path) -> None:
    model = silo().model()
    for index in range(3):
        Prefix(model, 1, tmp_path / "states").states(index, IDS)
    found = [Prefix(model, 1, tmp_path / "states").states(index, IDS[:5]) for index in range(3)]
    expected = Prefix(model, 1, tmp_path / "fresh").states(0, IDS[:5])
    assert all(torch.equal(states, expected) for states in found)


@pytest.mark.parametrize("kind", ["lora", "ffn"])
def test_training_is_the_same_with_and_without_the_cache(
    silo: Silo, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    node = silo()
    unit = train_unit(node, kind, last_layers=1)
    cached, file = train_expert(node, unit, quiet)

    import atoll.clients.work as work

    # The whole model on token ids, as if there were nothing to save.
    monkeypatch.setattr(work, "tail", lambda model, first: model)
    monkeypatch.setattr(work, "Prefix", lambda *args: None)
    other = silo("without")
    plain, full = train_expert(other, unit, quiet)
    assert plain.metrics == pytest.approx(cached.metrics, rel=1e-5)
    assert plain.metrics["validation_loss_expert"] < plain.metrics["validation_loss_anchor"]
    one, two = (read_package(path, trusted=None).weights for path in (file, full))
    assert set(one) == set(two)
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-3, atol=1e-4)


def test_training_runs_the_lower_layers_once_a_window(silo: Silo, monkeypatch: pytest.MonkeyPatch) -> None:
    node = silo()
    computed: list[Tensor] = []
    original = Prefix._compute

    def compute(self: Prefix, ids_S: Tensor) -> Tensor:
        computed.append(ids_S)
        return original(self, ids_S)

    monkeypatch.setattr(Prefix, "_compute", compute)
    windows = text_of(node).windows("train")
    steps = 2 * windows // 16 + 1
    train_expert(node, train_unit(node, last_layers=1, steps=steps, batch=16, evaluate_every=5, patience=0), quiet)
    assert len(computed) == windows + 4, "every training window was needed twice, and 4 for validation more often"


def test_the_states_are_gone_when_the_package_is_there(silo: Silo) -> None:
    node = silo()
    _, file = train_expert(node, train_unit(node, last_layers=1), quiet)
    assert not list(file.parent.glob("**/*.states"))
