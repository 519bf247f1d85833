from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.benchmarks.avalanche.blobs import blobs

from atoll.benchmarks.avalanche.contexts import PARTS, SCENARIOS, Context, ContextStream, Samples, split_classes
from atoll.errors import DataError


def whole(classes: int) -> Context:
    labels = np.tile(np.arange(classes), 3).astype(np.int64)
    samples = Samples(np.arange(len(labels), dtype=np.float32)[:, None], labels)
    return Context("whole", tuple(range(classes)), samples, samples, samples)


@given(st.permutations(range(6)), st.sampled_from(SCENARIOS))
def test_every_sample_is_in_one_context(order: list[int], scenario: str) -> None:
    groups = [order[:2], order[2:4], order[4:]]
    stream = split_classes(whole(6), groups, scenario)  # type: ignore[arg-type]
    for part in PARTS:
        found = np.concatenate([context.part(part).inputs for context in stream.contexts])
        assert sorted(found.ravel().tolist()) == list(range(18))
    for context, group in zip(stream.contexts, groups, strict=True):
        old = np.arange(18) % 6
        kept = context.train.inputs.ravel().astype(int)
        told = [group.index(label) for label in old[kept]] if scenario == "domain" else old[kept].tolist()
        assert context.train.labels.tolist() == told


def test_what_a_model_may_choose_among() -> None:
    assert blobs("class").allowed().all()
    assert blobs("domain").allowed().tolist() == [[True, True]] * 2
    assert blobs("task").allowed().tolist() == [[True, True, False, False], [False, False, True, True]]


def test_groups_that_are_no_split() -> None:
    with pytest.raises(DataError, match="belongs to one"):
        split_classes(whole(4), [(0, 1), (1, 2)], "class")
    with pytest.raises(DataError, match="class 7; 'whole' has"):
        split_classes(whole(4), [(0, 1), (3, 7)], "class")
    with pytest.raises(DataError, match="as many classes"):
        split_classes(whole(4), [(0, 1), (2,)], "domain")
    with pytest.raises(DataError, match="labels beyond"):
        split_classes(whole(4), [(0, 1), (2, 3)], "class", classes=3)


def test_contexts_that_do_not_fit_together() -> None:
    stream = blobs("class")
    with pytest.raises(DataError, match="different names"):
        ContextStream("class", (stream.contexts[0],) * 2, 4)
    with pytest.raises(DataError, match="same classes"):
        replace(stream, scenario="domain")
    with pytest.raises(DataError, match="scenario is 'tsak'"):
        replace(stream, scenario="tsak")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inputs", "labels"),
    [
        (np.zeros((2, 3)), np.zeros(2, np.int64)),
        (np.zeros((2, 3), np.float32), np.zeros(3, np.int64)),
        (np.full((1, 3), np.nan, np.float32), np.zeros(1, np.int64)),
        (np.zeros((1, 3), np.float32), np.array([-1])),
    ],
)
def test_samples_that_are_none(inputs: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(DataError):
        Samples(inputs, labels)
