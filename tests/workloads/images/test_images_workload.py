"""The workload images: splits, batches, scores, and what replay gets of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from atoll.anchors import Anchor
from atoll.errors import ConfigError, DataError, PackageError
from atoll.testing import toy_image_anchor, toy_mobility_anchor, toy_pictures
from atoll.workloads.data import DataConfig
from atoll.workloads.images import Images, ImagesConfig
from atoll.workloads.images.drawn import KINDS, drawn_pictures
from atoll.workloads.workload import SPLITS, workload_class


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    return toy_image_anchor(tmp_path_factory.mktemp("anchor"))


@pytest.fixture
def config(tmp_path: Path) -> ImagesConfig:
    return toy_pictures(tmp_path, ("clinic",), count=60)["clinic"]


@pytest.fixture
def there(config: ImagesConfig, anchor: Anchor) -> Images:
    return Images(config, anchor)


def test_it_is_registered() -> None:
    assert workload_class("images") is Images
    assert DataConfig.variant({"workload": "images"}) is ImagesConfig


def test_a_batch_is_what_the_model_takes(there: Images, anchor: Anchor) -> None:
    batch = there.samples("train", [0, 2, 1])
    raw = there.split("train")
    assert torch.equal(batch.inputs["pixels"], torch.from_numpy(raw.values[[0, 2, 1]]) / 255)
    assert batch.inputs["classes"].tolist() == [0, 1, 2]
    assert batch.targets["label"].tolist() == raw.label[[0, 2, 1]].tolist()
    assert (batch.units, batch.predicted) == (3, 3)
    logits = anchor.model()(**batch.inputs, use_cache=False).logits
    assert logits.shape == (3, 1, 3)
    assert there.predicts(batch.targets).shape == (3, 1)
    assert bool(there.predicts(batch.targets).all())


def test_splits_are_disjoint_whole_and_the_same_when_data_is_added(
    there: Images, config: ImagesConfig, anchor: Anchor, tmp_path: Path
) -> None:
    found = {split: {row.tobytes() for row in there.split(split).values} for split in SPLITS}
    assert sum(map(len, found.values())) == 60
    assert not found["train"] & found["test"]
    more = toy_pictures(tmp_path / "more", ("other",), count=30)["other"]
    both = Images(replace(config, paths=[*config.paths, *more.paths]), anchor)
    for split in SPLITS:
        assert found[split] <= {row.tobytes() for row in both.split(split).values}
    less = Images(replace(config, validation=0.1), anchor)
    assert {row.tobytes() for row in less.split("test").values} == found["test"]


def test_a_person_is_in_one_split(config: ImagesConfig, anchor: Anchor) -> None:
    (path,) = config.paths
    with np.load(path) as file:
        np.savez(path, images=file["images"], labels=file["labels"], persons=np.arange(60) // 3)
    there = Images(config, anchor)
    persons = [set(there.persons(split).tolist()) for split in SPLITS]  # type: ignore[union-attr]
    assert sum(map(len, persons)) == len(set.union(*persons)) == 20


def test_loss_accuracy_and_brier_score_are_sums(there: Images) -> None:
    logits = torch.tensor([[[8.0, 0, 0]], [[0.0, 0, 0]]])
    targets = {"label": torch.tensor([0, 2])}
    loss, count = there.loss(logits, targets)
    first = torch.tensor([8.0, 0, 0]).softmax(0)
    assert count == 2
    assert float(loss) == pytest.approx(-float(first[0].log()) + np.log(3), abs=1e-5)
    scores = there.scores(logits, targets)
    assert scores["accuracy"] == 1
    expected = float((first - torch.tensor([1.0, 0, 0])).square().sum()) + (4 + 1 + 1) / 9
    assert scores["brier"] == pytest.approx(expected, abs=1e-5)


def test_every_epoch_takes_each_picture_once(there: Images) -> None:
    count = there.counts["train"].documents
    taken = [index for step in range(count) for index in there.batch_indices(step, 2, 0)]
    assert sorted(taken[:count]) == sorted(taken[count:]) == list(range(count))


def test_the_key_is_of_the_data_and_the_classes(there: Images, config: ImagesConfig, anchor: Anchor) -> None:
    assert Images(config, anchor).key == there.key
    renamed = replace(config, classes=["top", "left", "centre"])
    assert Images(renamed, anchor).key != there.key
    assert Images(replace(config, salt="x"), anchor).key != there.key


def test_replay_gets_features_of_the_frozen_stem(there: Images, anchor: Anchor) -> None:
    private = there.replay_private()
    expected = anchor.model().get_submodule("stem")(there.samples("train", [3]).inputs["pixels"])
    assert torch.allclose(private.features[3], expected[0], atol=1e-5)
    assert private.label.tolist() == there.split("train").label.tolist()
    assert len(set(private.unit.tolist())) == len(private)
    assert there.replay_templates() is None
    context = there.replay_context(there.public_context())
    assert (context.classes.names, context.width) == (("top", "left", "middle"), 16)
    with pytest.raises(PackageError, match="without its list of classes"):
        there.replay_context(None)
    for data in (b"{}", b'{"classes": 3}', b'{"classes": ["a"]}', b"\xff", b'{"classes": ["a", "a"]}'):
        with pytest.raises(PackageError, match="no list of classes"):
            there.replay_context(data)


def test_replayed_samples_carry_their_class(there: Images) -> None:
    inputs = {"features": torch.zeros(2, 1, 16), "classes": torch.arange(3), "label": torch.tensor([1, 0])}
    batch = there.as_batch(inputs, torch.ones(2, 1, dtype=torch.bool))
    assert batch.targets["label"].tolist() == [1, 0]
    assert sorted(batch.inputs) == ["classes", "features"]


def test_public_pictures_are_the_same_everywhere(anchor: Anchor, tmp_path: Path) -> None:
    drawn, kinds = drawn_pictures(30, 0, 28, 28)
    assert drawn.mean((1, 2))[:6].tolist() == pytest.approx([0.4618, 0.116, 0.5675, 0.2434, 0.1027, 0.4922], abs=1e-3)
    assert kinds.tolist() == [0, 1, 2] * 10
    public = Images.public(anchor)
    assert public.classes.names == KINDS
    assert public.counts["train"].documents > 400
    frame = Images.frame(anchor, anchor.model(), ["model.layers.0.mlp"], tmp_path)
    assert frame.samples == 600
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paths": []}, "paths is empty"),
        ({"classes": ["top"]}, "name at least two"),
        ({"classes": ["top", "top", "left"]}, "'top' is named twice"),
        ({"classes": ["top", "\n"]}, "is no name"),
        ({"test": 1.0}, "not a share"),
        ({"validation": 0.6, "test": 0.5}, "leave nothing to train on"),
        ({"classes": [str(place) for place in range(13)]}, "names 13, and anchor .* has room for 12"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(
    changes: dict[str, object], message: str, config: ImagesConfig, anchor: Anchor
) -> None:
    with pytest.raises(ConfigError, match=message):
        Images(replace(config, **changes), anchor)  # type: ignore[arg-type]


def test_an_anchor_for_other_data_is_refused(config: ImagesConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reads mobility; name one for images, such as anchor: atoll-images"):
        Images(config, toy_mobility_anchor(tmp_path / "mobility"))


def test_an_empty_split_is_named(config: ImagesConfig, anchor: Anchor) -> None:
    tiny = Images(replace(config, test=1e-9), anchor)
    tiny.prepare()
    assert tiny.counts["test"].documents == 1, "a share that would come to nothing is one"
    untested = Images(replace(config, test=0.0), anchor)
    with pytest.raises(DataError, match="the test split is empty, because it was given no share"):
        untested.evaluation_indices("test")
    with pytest.raises(IndexError, match="has samples 0 to"):
        untested.samples("train", [1000])
