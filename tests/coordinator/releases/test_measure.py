from pathlib import Path
from typing import Any

import pytest
import torch

from atoll.coordinator.measure import measure
from atoll.errors import ConfigError, DataError, MixtureError
from atoll.workloads.text import TextConfig
from atoll.workloads.text.loss import next_token_loss

TEXT = "It was the clerk who wrote to the clinic. " * 9


@pytest.fixture
def data(tmp_path: Path) -> TextConfig:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.txt").write_text(TEXT)
    return TextConfig(paths=[str(tmp_path / "data")], sequence_length=32)


@pytest.mark.parametrize("integrator", ["flexolmo", "soup", "ensemble"])
def test_all_of_the_text_is_measured(make: Any, data: TextConfig, integrator: str) -> None:
    opened = make(integrator=integrator, router="uniform")
    told: list[tuple[str, int, int]] = []
    found = measure(opened, data, batch=3, progress=lambda *progress: told.append(progress))
    ids = opened.anchor.tokenizer()(TEXT)["input_ids"]
    ids = torch.tensor([*ids, 257][: len(ids) // 32 * 32]).reshape(-1, 32)
    assert found.windows == len(ids)
    assert (found.documents, found.tokens) == (1, len(ids) * 31)
    with torch.no_grad():
        anchor, count = next_token_loss(opened.anchor.model()(input_ids=ids).logits, ids)
        with opened.mixture.use():
            mixture, _ = next_token_loss(opened.mixture(input_ids=ids).logits, ids)
    assert found.anchor == pytest.approx(float(anchor) / count, rel=1e-5)
    assert found.mixture == pytest.approx(float(mixture) / count, rel=1e-5)
    assert abs(found.mixture - found.anchor) > 1e-3
    assert [progress for progress in told if progress[0] == "mixture"][-1][1:] == (4, 4)
    expected = dict.fromkeys(opened.mixture.slots, pytest.approx(0.25)) if integrator == "flexolmo" else {}
    assert found.shares == expected


def test_nobody_entitled_is_the_anchor(make: Any, data: TextConfig) -> None:
    found = measure(make(router="domain"), data, entitlement=[], windows=2)
    assert found.windows == 2
    assert found.mixture == pytest.approx(found.anchor, rel=1e-5)
    assert found.shares["anchor"] == pytest.approx(1)


def test_a_text_shorter_than_a_window_is_one_window(make: Any, data: TextConfig, tmp_path: Path) -> None:
    (tmp_path / "data" / "one.txt").write_text("hm")
    assert measure(make(router="domain"), data).tokens == 2


def test_nothing_of_the_text_is_left(make: Any, data: TextConfig, tmp_path: Path, monkeypatch: Any) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    measure(make(router="domain"), data)
    assert list(scratch.iterdir()) == []
    assert not list((tmp_path / "cache").rglob("*.tokens"))


def test_text_that_cannot_be_used_is_refused(make: Any, data: TextConfig, tmp_path: Path) -> None:
    opened = make(router="domain")
    with pytest.raises(MixtureError, match="ofice"):
        measure(opened, data, entitlement=["ofice"])
    with pytest.raises(ConfigError, match="nowhere"):
        measure(opened, TextConfig(paths=[str(tmp_path / "nowhere")], sequence_length=32))
    with pytest.raises(ConfigError, match="at most 64"):
        measure(opened, TextConfig(paths=data.paths, sequence_length=65))
    (tmp_path / "data" / "one.txt").write_text(" \n")
    with pytest.raises(DataError, match="no"):
        measure(opened, data)
