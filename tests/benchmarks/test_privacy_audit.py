"""The benchmark of the audit plants its canaries where they are trained on, and shows what was found of them."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from atoll.benchmarks.privacy import planted
from atoll.benchmarks.privacy.arms import arms
from atoll.benchmarks.privacy.audit import _cell, _table
from atoll.benchmarks.privacy.planted import Planting, Secrets, write_silo
from atoll.config import read_config
from atoll.federation.node_config import NodeConfig
from atoll.federation.units import Choice
from atoll.workloads.text import TextConfig
from atoll.workloads.text.split import split_of

PLANTING = Planting(canaries=3, repeats=2, words=12, candidates=5)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Secrets, list[str]]:
    """The node's folder, the canaries, and the documents as they were."""
    texts = [
        f"record {number} of ward {number % 7} says that all is well with bed {number * 3}" for number in range(90)
    ]
    source = tmp_path / "source.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    fields = {"paths": [str(source)], "format": "jsonl"}
    silo = SimpleNamespace(name="clinic", domain="wards", licence="CC0-1.0", text_config=lambda: fields)
    monkeypatch.setattr(planted, "write_silos", lambda root: (silo,))
    secrets = write_silo(tmp_path / "node", "clinic", PLANTING, train=0.4, seed=0)
    return tmp_path / "node", secrets, texts


def test_canaries_are_in_training_documents_as_often_as_was_said_and_nowhere_else(
    written: tuple[Path, Secrets, list[str]],
) -> None:
    folder, secrets, texts = written
    data = read_config(NodeConfig, folder / "node.yaml", []).data
    assert isinstance(data, TextConfig)
    lines = (folder / "documents.jsonl").read_text().splitlines()
    found: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for text in (json.loads(line)["text"] for line in lines):
        found[split_of(text, validation=data.validation, test=data.test)].append(text)
    before: list[str] = [split_of(text, validation=data.validation, test=data.test) for text in texts]
    assert {split: len(there) for split, there in found.items()} == {split: before.count(split) for split in found}
    assert set(found["test"]) <= set(texts)
    trained, others = "\n".join(found["train"]), "\n".join([*found["validation"], *found["test"]])
    assert [trained.count(canary) for canary in secrets.planted] == [2, 2, 2]
    assert not any(canary in others for canary in secrets.planted)
    assert not any(candidate in trained + others for candidate in secrets.candidates)


def test_the_arms_differ_in_training_alone() -> None:
    made = arms(steps=120, by_heart=300, epsilon=8.0)
    units = {name: arm.unit("sha256:" + "0" * 64, Choice(name="autoregressive"), 0) for name, arm in made.items()}
    assert [name for name, unit in units.items() if unit.privacy.on] == ["private, ε = 8"]
    assert len({str(unit.expert) for unit in units.values()}) == 1
    heart = units["by heart"].training
    assert heart.patience == 0
    assert heart.evaluate_every == heart.steps, "the last weights are kept, however badly they do on other documents"


def test_the_table_has_a_column_for_every_arm_and_a_gap_where_nothing_was_measured() -> None:
    figures = {"loss": 1.25, "exposure": 2.0, "exposure_low": 1.0, "exposure_high": 3.0, "membership_loss_auc": 0.5}
    table = _table({"usual": figures, "private": {**figures, "epsilon": 7.9}})
    assert [column.header for column in table.columns] == ["measured", "private", "usual"]
    assert _cell(figures, "exposure", ".2f") == "2.00 [1.00, 3.00]"
    assert _cell(figures, "epsilon", ".2f") == "–"
    assert _cell({"extraction_canaries_rate": 0.5}, "extraction_canaries", ".1%") == "50.0%"
