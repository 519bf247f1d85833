"""Answers come before labels, and late labels come with the features that they belong to."""

import pytest

pytest.importorskip("river")

from river.dummy import NoChangeClassifier

from atoll.benchmarks.online.prequential import prequential
from atoll.benchmarks.online.streams import Facts, Sample, Stream
from atoll.errors import ConfigError

STREAM = Stream(Facts(1, 10), [{0: float(n)} for n in range(10)], list(range(10)))


class Diary:
    """Writes down what happens."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def predict_one(self, x: Sample, /) -> int | None:
        self.lines.append(f"asked {x[0]:.0f}")
        return 7 if x[0] > 3 else None

    def learn_one(self, x: Sample, y: int, /) -> None:
        assert x[0] == y
        self.lines.append(f"told {y}")


def test_every_sample_is_asked_and_then_told() -> None:
    diary = Diary()
    done: list[int] = []
    answers = prequential(diary, STREAM, tell=done.append)
    assert diary.lines == [line for n in range(10) for line in (f"asked {n}", f"told {n}")]
    assert answers.tolist() == [0, 0, 0, 0, 7, 7, 7, 7, 7, 7]
    assert done == list(range(1, 11))


def test_late_labels() -> None:
    diary = Diary()
    prequential(diary, STREAM, delay=3)
    assert diary.lines[:6] == ["asked 0", "asked 1", "asked 2", "asked 3", "told 0", "asked 4"]
    assert diary.lines[-1] == "told 6", "what has not come by the end is never learnt"


def test_river_learns_as_it_is() -> None:
    assert prequential(NoChangeClassifier(), STREAM).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_labels_cannot_come_before() -> None:
    with pytest.raises(ConfigError, match="delay is -1"):
        prequential(Diary(), STREAM, delay=-1)
