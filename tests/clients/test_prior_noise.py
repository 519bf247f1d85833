"""Two tables of one owner's data never share their noise: their difference would be free of it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from atoll.clients import prior as priors
from atoll.clients.node import Node
from atoll.clients.prior import make_prior
from atoll.federation.units import Choice
from atoll.replay.disclosure import Counts
from atoll.testing import toy_image_anchor, toy_pictures

from .conftest import Silo, documents

CHOICE = Choice(name="autoregressive")
Noise = list[Counts]


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Noise:
    """What the Laplace mechanism adds, table by table."""
    from atoll.replay import disclosure

    added: Noise = []
    plain = disclosure.laplace

    def watched(counts: Counts, scale: float, rng: np.random.Generator) -> Counts:
        noisy = plain(counts, scale, rng)
        added.append(noisy - counts)
        return noisy

    monkeypatch.setattr(disclosure, "laplace", watched)
    return added


def of_length(silo: Silo, length: int, **more: Any) -> Node:
    """The same silo, with its key, and windows of another length."""
    texts = [text * 3 for text in documents("clinic")]
    node = silo(f"w{length}", texts=texts, data={"sequence_length": length}, replay={"smallest": 0}, **more)
    return node


def added(node: Node, noise: Noise, choice: Choice = CHOICE) -> Noise:
    noise.clear()
    assert make_prior(node, choice) is not None
    return list(noise)


def same_key(first: Node, second: Node) -> None:
    assert first.key.public, "it is made when it is first needed"
    shutil.copyfile(first.folder / "owner.key", second.folder / "owner.key")


def test_windows_of_another_length_have_noise_of_their_own(silo: Silo, noise: Noise) -> None:
    """The difference of two tables of lengths gave the number of longer documents to 5e-6, at ε = 4."""
    short, long = of_length(silo, 32), of_length(silo, 64)
    same_key(short, long)
    assert short.workload.key == long.workload.key, "the data are the same"
    for one, other in zip(added(short, noise), added(long, noise), strict=True):
        shared = min(len(one), len(other))
        assert np.abs(one[:shared] - other[:shared]).max() > 1e-3
        assert not np.isin(one, other).any()


def test_the_same_table_has_the_same_noise_whatever_its_samples_are_drawn_with(silo: Silo, noise: Noise) -> None:
    node = of_length(silo, 64)
    first = added(node, noise)
    cooler = Choice(name="autoregressive", options={"sampling": {"temperature": 0.5}})
    for one, other in zip(first, added(node, noise, cooler), strict=True):
        np.testing.assert_array_equal(one, other)


def of_pictures(folder: Path, pictures: Any, seed: int) -> Node:
    anchor = toy_image_anchor(folder / "anchor", seed=seed)
    data = {"workload": "images", "paths": pictures.paths, "classes": pictures.classes, "validation": 0.2, "test": 0.2}
    config = {"owner": "clinic", "domain": "scans", "data": data, "anchor": str(anchor.path), "device": "cpu"}
    (folder / "node.yaml").write_text(yaml.safe_dump(config))
    return Node(folder)


def test_another_anchor_gives_classifiers_other_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of vectors under two anchors' stems were had to 4e-6 from the difference of their noisy sums."""
    seeds: list[int] = []
    plain = priors.owners_seed

    def watched(*words: Any) -> int:
        seeds.append(plain(*words))
        return seeds[-1]

    monkeypatch.setattr(priors, "owners_seed", watched)
    pictures = toy_pictures(tmp_path / "data", ("clinic",), count=150)["clinic"]
    first, second = (of_pictures(tmp_path / str(seed), pictures, seed) for seed in (0, 1))
    same_key(first, second)
    made = [make_prior(node, Choice(name="gaussian")) for node in (first, second)]
    assert first.workload.key == second.workload.key
    assert len(set(seeds)) == 2
    assert all(one is not None and torch.isfinite(one.tensors["mean"]).all() for one in made)
