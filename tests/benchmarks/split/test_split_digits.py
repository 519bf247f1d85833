"""The study's own parts: data, networks, generative replay, class means, and what cannot be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.benchmarks.avalanche.blobs import blobs, needs_avalanche
from torch import nn

from atoll.benchmarks.avalanche.contexts import PARTS, Samples
from atoll.benchmarks.datasets.image_set import ImageSet
from atoll.benchmarks.split import study as studies
from atoll.benchmarks.split.data import context_of
from atoll.benchmarks.split.measure import accuracies
from atoll.benchmarks.split.networks import Autoencoder, perceptron
from atoll.benchmarks.split.scholar import Replayed, Scholar, shuffled
from atoll.benchmarks.split.study import SplitDigits
from atoll.benchmarks.suites.study import Work
from atoll.errors import ConfigError, DataError
from atoll.federation.units import Choice
from atoll.replay import Distillation


def stripes(each: int = 40) -> ImageSet:
    """Four classes of 4 × 4 pictures, one bright row each."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), each)
    images = rng.integers(0, 60, (len(labels), 4, 4))
    images[np.arange(len(labels)), labels] += 150
    return ImageSet(
        name="stripes",
        classes=("a", "b", "c", "d"),
        images=images.astype(np.uint8),
        labels=labels.astype(np.int64),
        licence="none",
    )


@pytest.fixture
def striped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "read_images", lambda name: stripes())


def cell(method: str, folder: Path, seed: int = 0, **settings: object) -> dict[str, float]:
    study = SplitDigits(**{"hidden": 16, "latent": 4, "steps": 60, "batch": 16, "learning_rate": 5e-3, **settings})  # type: ignore[arg-type]
    return study.run(Work(method=Choice(name=method), seed=seed, folder=folder)).figures()


def test_parts_are_apart_and_even_by_class() -> None:
    pictures = stripes()
    whole = context_of(pictures, seed=1)
    assert [len(whole.part(part)) for part in PARTS] == [112, 16, 32]
    rows = [row.tobytes() for part in (whole.train, whole.validation, whole.test) for row in part.inputs]
    assert len(set(rows)) == len(pictures)
    assert np.bincount(whole.test.labels).tolist() == [8] * 4
    assert whole.train.inputs.max() <= 1
    assert not np.array_equal(whole.test.inputs, context_of(pictures, seed=2).test.inputs)
    assert len(context_of(pictures, seed=1, samples=20).train) == 4 * 14
    with pytest.raises(DataError, match="class 'a' has 3 pictures"):
        context_of(pictures, seed=1, samples=3)


def test_an_epoch_has_every_sample_once() -> None:
    samples = Samples(np.arange(10, dtype=np.float32)[:, None], np.zeros(10, np.int64))
    batches = shuffled(samples, batch=4, seed=0)
    epochs = [torch.cat([next(batches)[0] for _ in range(3)]).ravel().tolist() for _ in range(2)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_an_autoencoders_loss_is_a_bound_that_training_lowers() -> None:
    torch.manual_seed(0)
    generator = Autoencoder((1, 2, 2), hidden=16, latent=2)
    x = torch.rand(64, 1, 2, 2).round()
    optimizer = torch.optim.Adam(generator.parameters(), lr=1e-2)
    before = float(generator.loss(x).detach())
    for _ in range(100):
        optimizer.zero_grad()
        generator.loss(x).backward()
        optimizer.step()
    after = float(generator.loss(x).detach())
    assert after < before
    # The entropy of four coins is 4 ln 2; no bound on it can be below, but for chance in 64 samples.
    assert after > 4 * np.log(2) - 0.5
    drawn = generator.sample(5)
    assert drawn.shape == (5, 1, 2, 2)
    assert 0 <= drawn.min() <= drawn.max() <= 1


class Told(nn.Module):
    """Says the same of everything."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), -1)


@pytest.mark.parametrize("distillation", [None, Distillation()])
def test_a_student_that_says_the_same_loses_nothing(distillation: Distillation | None) -> None:
    stream = blobs("class")
    generator = Autoencoder(stream.shape, hidden=8, latent=2)
    # The last two classes have not come: whatever the teacher says of them does not count.
    teacher = Scholar(solver=Told([30.0, 0.0, 90.0, 0.0]), generator=generator)
    replayed = Replayed(teacher, stream, 2, distillation)
    x = generator.sample(3)
    assert float(replayed.loss(Told([30.0, 0.0, -50.0, -50.0]), x).detach()) == pytest.approx(0, abs=1e-3)
    assert float(replayed.loss(Told([30.0, 0.0, 90.0, 0.0]), x).detach()) > 10


def test_in_a_told_context_replay_is_asked_about_each_that_came() -> None:
    stream = blobs("task", classes=6)
    teacher = Scholar(solver=Told([9.0, 0, 0, 0, 0, 9.0]), generator=Autoencoder(stream.shape, hidden=8, latent=2))
    replayed = Replayed(teacher, stream, 3, None)
    assert replayed.choices.tolist() == [[True, True] + [False] * 4, [False, False, True, True, False, False]]
    x = teacher.generator.sample(2)
    # Right in the first context, and as good as a coin in the second.
    assert float(replayed.loss(Told([50.0, 0, 0, 0, 0, 0]), x).detach()) == pytest.approx(np.log(2) / 2, abs=1e-4)


@pytest.mark.parametrize("method", ["dgr", "dgr-distill"])
def test_generative_replay_beats_doing_nothing(method: str, tmp_path: Path, striped: None) -> None:
    found = cell(method, tmp_path, scenario="class", steps=200, hidden=32)
    # Without replay the first of two pairs would be lost, and a half is the most that is left.
    assert found["accuracy/average_final"] > 0.7
    assert found["parameters"] > cell("class-means", tmp_path)["parameters"] == 0


def test_the_seed_decides(tmp_path: Path, striped: None) -> None:
    one, same, other = (cell("dgr", tmp_path, seed=seed, steps=20) for seed in (0, 0, 1))
    for found in (one, same, other):
        del found["seconds"]
    assert one == same
    assert one != other


def test_class_means_keep_a_mean_of_every_context(tmp_path: Path, striped: None) -> None:
    for scenario in ("task", "domain", "class"):
        found = cell("class-means", tmp_path, scenario=scenario)
        assert found["accuracy/average_final"] > 0.95
        assert found["accuracy/forgetting_max"] < 0.05


def test_what_a_context_rules_out_is_never_answered() -> None:
    stream = blobs("task")
    found = accuracies(lambda x: torch.tensor([0.0, 1.0, 9.0, 8.0]).expand(len(x), -1), stream, "test", "cpu")
    assert list(found.values()) == [0.5, 0.5]
    alike = accuracies(lambda x: torch.tensor([0.0, 1.0, 9.0, 8.0]).expand(len(x), -1), blobs("class"), "test", "cpu")
    assert list(alike.values()) == [0.0, 0.5]


@needs_avalanche
@pytest.mark.slow
def test_avalanches_strategies_run_on_the_same_stream(tmp_path: Path, striped: None) -> None:
    none, joint = (cell(name, tmp_path, scenario="class")["accuracy/average_final"] for name in ("none", "joint"))
    assert none == pytest.approx(0.5, abs=0.1)
    assert joint > 0.9


def test_what_cannot_be_is_said(tmp_path: Path, striped: None) -> None:
    with pytest.raises(ConfigError, match="'tsak' is none of task, domain, class"):
        SplitDigits(scenario="tsak")
    with pytest.raises(ConfigError, match="'train' is none of validation, test"):
        SplitDigits(part="train")
    with pytest.raises(ConfigError, match="chunk is -1"):
        SplitDigits(chunk=-1)
    with pytest.raises(ConfigError, match="whole contexts"):
        cell("dgr", tmp_path, chunk=4)
    odd = Work(method=Choice(name="dgr", options={"temperature": 2.0}), seed=0, folder=tmp_path)
    with pytest.raises(ConfigError, match="method 'dgr' has no option 'temperature': there are none"):
        SplitDigits().run(odd)


def test_every_method_has_a_line() -> None:
    found = SplitDigits().methods()
    assert {"none", "joint", "ewc", "dgr", "dgr-distill", "class-means"} <= set(found)
    assert all(line and "\n" not in line for line in found.values())


def test_the_perceptron_has_two_hidden_layers() -> None:
    made = perceptron((1, 4, 4), hidden=8, classes=3)
    assert made(torch.rand(2, 1, 4, 4)).shape == (2, 3)
    assert [value.numel() for value in made.parameters()] == [128, 8, 64, 8, 24, 3]
