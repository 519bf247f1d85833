"""An expert arrives on drift, the others stay as they are, and the right one answers."""

import pickle
import random
from dataclasses import replace

import pytest
import torch

pytest.importorskip("river")

from atoll.benchmarks.online.arrivals import Arrivals, Arriving
from atoll.benchmarks.online.prequential import prequential
from atoll.benchmarks.online.single import HoeffdingTree
from atoll.benchmarks.online.streams import Facts, Sample, Stream
from atoll.errors import ConfigError

CPU = torch.device("cpu")
BLOCK = 600


def _flips(blocks: int) -> Stream:
    """The label is whether the first feature is positive, and the opposite in every second block."""
    draws = random.Random(0)
    samples: list[Sample] = [{0: draws.uniform(-1, 1), 1: draws.uniform(-1, 1)} for _ in range(blocks * BLOCK)]
    labels = [int((x[0] > 0) != (t // BLOCK % 2 == 1)) for t, x in enumerate(samples)]
    return Stream(Facts(2, 2), samples, labels)


def _run(stream: Stream, learner: Arrivals) -> tuple[Arriving, list[bool]]:
    running = learner.start(stream.facts, 0, CPU)
    answers = prequential(running, stream)
    return running, [bool(answer == label) for answer, label in zip(answers, stream.labels, strict=True)]


def test_nobody_arrives_while_nothing_changes() -> None:
    running, _ = _run(_flips(1), Arrivals())
    assert running.experts == 1


def test_an_expert_arrives_when_the_concept_changes() -> None:
    stream = _flips(2)
    running, right = _run(stream, Arrivals())
    assert running.experts >= 2
    tree = prequential(HoeffdingTree().start(stream.facts, 0, CPU), stream)
    alone = [answer == label for answer, label in zip(tree, stream.labels, strict=True)]
    assert sum(right[BLOCK:]) > sum(alone[BLOCK:]) + BLOCK / 10


def test_a_concept_that_comes_back_finds_its_expert() -> None:
    _, right = _run(_flips(3), Arrivals())
    # Labels that were never seen in this block's place are right within some dozens of samples.
    assert sum(right[2 * BLOCK + 50 : 2 * BLOCK + 200]) > 140


def test_frozen_experts_stay_as_they_are() -> None:
    stream = _flips(2)
    for freeze in (True, False):
        running = Arrivals(freeze=freeze).start(stream.facts, 0, CPU)
        first = before = None
        for x, y in zip(stream.samples, stream.labels, strict=True):
            running.learn_one(x, y)
            if running.experts == 2 and first is None:
                first, before = running._trees[0], pickle.dumps(running._trees[0])
        assert first is not None
        assert (pickle.dumps(first) == before) == freeze


def test_there_are_never_more_than_most() -> None:
    running, right = _run(_flips(6), Arrivals(most=2))
    assert running.experts == 2
    assert sum(right) > 0.8 * len(right)


def test_settings_that_cannot_be() -> None:
    for wrong in ({"memory": 1.0}, {"delta": 0.0}, {"smoothing": 0.0}, {"most": 1}):
        with pytest.raises(ConfigError, match="arrivals: memory"):
            replace(Arrivals(), **wrong)
