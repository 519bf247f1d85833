import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.continual.streams import FIGURE, matrices, stage_names, stream

from atoll.continual import StreamMatrix, StreamTensor
from atoll.errors import DataError


@given(matrices(complete=False), st.booleans())
def test_json_round_trip(matrix: StreamMatrix, bare: bool) -> None:
    if bare:
        matrix = replace(matrix, local=None, initial=None)
    text = matrix.to_json()
    assert StreamMatrix.from_json(text) == matrix
    assert "NaN" not in text
    assert json.loads(text)["values"][0] == [None if math.isnan(value) else value for value in matrix.values[0]]


@given(matrices(complete=False))
def test_equality_sees_every_part(matrix: StreamMatrix) -> None:
    other = matrix.values.copy()
    other[-1, -1] = 0.5 if math.isnan(other[-1, -1]) else math.nan
    assert matrix != replace(matrix, values=other)
    assert matrix != replace(matrix, metric="other")
    assert matrix != replace(matrix, joint=None)
    assert matrix != replace(matrix, higher_is_better=not matrix.higher_is_better)
    assert matrix == replace(matrix)
    assert matrix != "matrix"


def test_arrays_are_copied_and_read_only() -> None:
    values = np.zeros((2, 1))
    matrix = StreamMatrix(metric="m", higher_is_better=True, stages=(("a",),), values=values)
    values[1, 0] = 7
    assert matrix.values[1, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        matrix.values[1, 0] = 1


def test_arrivals_name_the_row_in_which_a_silo_comes() -> None:
    matrix = StreamMatrix.blank("m", [["a", "b"], ["c"], ["d", "e"]], higher_is_better=True)
    assert matrix.silos == ("a", "b", "c", "d", "e")
    assert matrix.arrivals.tolist() == [1, 1, 2, 3, 3]
    assert matrix.values.shape == (4, 5)
    assert np.isnan(matrix.values).all()


def test_figures_come_in_stage_by_stage() -> None:
    blank = StreamMatrix.blank("m", [["a"], ["b"]], higher_is_better=True)
    matrix = blank.measured(0, {"b": 0.1}).measured(2, {"a": 0.5, "b": 0.75}).measured(2, {"a": 0.25})
    assert matrix.values[0, 1] == 0.1
    assert matrix.values[2].tolist() == [0.25, 0.75]
    assert np.isnan(matrix.values[1]).all()
    assert np.isnan(blank.values).all()
    with pytest.raises(DataError, match="no stage 3"):
        blank.measured(3, {"a": 0.1})
    with pytest.raises(DataError, match="no silo 'z'; there are a, b"):
        blank.measured(1, {"z": 0.1})
    with pytest.raises(DataError, match="infinite"):
        blank.measured(1, {"a": math.inf})


@given(matrices(complete=False), st.data())
def test_a_stream_until_a_stage_has_its_silos_only(matrix: StreamMatrix, data: st.DataObject) -> None:
    stage = data.draw(st.integers(1, len(matrix.stages)))
    cut = matrix.until(stage)
    count = len(cut.silos)
    assert cut.silos == matrix.silos[:count]
    assert cut.stages == matrix.stages[:stage]
    np.testing.assert_array_equal(cut.values, matrix.values[: stage + 1, :count])
    assert cut.joint is not None
    assert matrix.joint is not None
    np.testing.assert_array_equal(cut.joint, matrix.joint[:count])
    assert matrix.until(len(matrix.stages)) == matrix
    with pytest.raises(DataError, match="no stage 0"):
        matrix.until(0)


GOOD: dict[str, Any] = {
    "metric": "m",
    "higher_is_better": True,
    "stages": (("a",), ("b", "c")),
    "values": np.zeros((3, 3)),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": ""}, "needs the name of its metric"),
        ({"stages": ()}, "one stage or more"),
        ({"stages": (("a",), ())}, "stage 2"),
        ({"stages": ("a", ("b", "c"))}, "stage 1 is 'a'"),
        ({"stages": (("a",), ("b", ""))}, "stage 2 has '' for a name"),
        ({"stages": (("a",), ("b", "a"))}, "'a' arrives twice"),
        ({"values": np.zeros((2, 3))}, r"shape \(2, 3\); the stages ask for \(3, 3\)"),
        ({"values": np.full((3, 3), -math.inf)}, r"at \(0, 0\) are infinite"),
        ({"values": [[0.0, 0.0, "x"]] * 3}, "not an array of numbers"),
        ({"local": np.zeros(2)}, r"local have shape \(2,\)"),
        ({"joint": np.zeros((1, 3))}, "joint have shape"),
        ({"initial": [0.0, 0.0, math.inf]}, "initial at"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    StreamMatrix(**GOOD)
    with pytest.raises(DataError, match=message):
        StreamMatrix(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"metric": "m"', '"metric": 3', "metric is a int"),
        ('"metric": "m"', '"metrics": "m"', "'metric' is missing"),
        ('"metric": "m"', '"metric": "m", "more": 1', "'more' is unknown"),
        ('"metric": "m"', '"metric": "m", "metric": "m"', "twice"),
        ('"higher_is_better": true', '"higher_is_better": 1', "higher_is_better is a int"),
        ('"joint": null', '"joint": [1]', "joint have shape"),
        ('"joint": null', '"joint": 1', "expected a list, not a int"),
        ('"joint": null', '"joint": [true, 0]', "not a bool"),
        ('"joint": null', '"joint": ["0", 0]', "not a str"),
        ('"joint": null', '"joint": [NaN, 0]', "NaN is no JSON"),
        ('"joint": null', '"joint": [1e999, 0]', "infinite"),
        ('"joint": null', f'"joint": [1{"0" * 400}, 0]', "beyond float64"),
        ('"values": [', '"values": [[0.0],', "unequal length"),
        ("}", "", "is no JSON"),
    ],
)
def test_json_is_read_strictly(old: str, new: str, message: str) -> None:
    text = stream([[0.0, 0.0]] * 3).to_json().replace("accuracy@1", "m")
    assert old in text
    with pytest.raises(DataError, match=message):
        StreamMatrix.from_json(text.replace(old, new))
    with pytest.raises(DataError, match="no JSON object"):
        StreamMatrix.from_json("[]")


@given(matrices(complete=False))
def test_a_matrix_is_the_tensor_in_which_owners_measure(matrix: StreamMatrix) -> None:
    tensor = StreamTensor.of(matrix)
    assert tensor.by_owner() == replace(matrix, local=None, joint=None, initial=None)
    foreign = ~np.eye(len(matrix.silos), dtype=bool)
    assert np.isnan(tensor.values.transpose(0, 2, 1)[foreign]).all()


@st.composite
def tensors(draw: st.DrawFn) -> StreamTensor:
    stages = draw(stage_names())
    tasks = sum(map(len, stages))
    owners = draw(st.lists(st.sampled_from("xyz"), min_size=tasks, max_size=tasks))
    shape = (len(set(owners)), len(stages) + 1, tasks)
    values = draw(st.lists(FIGURE | st.just(math.nan), min_size=math.prod(shape), max_size=math.prod(shape)))
    return StreamTensor(
        metric="m",
        higher_is_better=draw(st.booleans()),
        stages=stages,
        owners=tuple(owners),
        values=np.array(values).reshape(shape),
    )


@given(tensors())
def test_tensors_round_trip_and_give_their_owners_figures(tensor: StreamTensor) -> None:
    assert StreamTensor.from_json(tensor.to_json()) == tensor
    matrix = tensor.by_owner()
    for place, (task, owner) in enumerate(zip(tensor.tasks, tensor.owners, strict=True)):
        assert matrix.silos[place] == task
        np.testing.assert_array_equal(matrix.values[:, place], tensor.values[tensor.silos.index(owner), :, place])


def test_every_task_of_a_tensor_has_an_owner() -> None:
    tensor = StreamTensor.of(stream([[0.0, 0.0]] * 3))
    for owners in [("a",), ("a", "")]:
        with pytest.raises(DataError, match="every one of the 2 tasks"):
            replace(tensor, owners=owners)
    with pytest.raises(DataError, match="shape"):
        replace(tensor, owners=("a", "a"))
    text = tensor.to_json()
    assert text.count('"a"') == 2
    with pytest.raises(DataError, match="owners is a str"):
        StreamTensor.from_json(json.dumps({**json.loads(text), "owners": "ab"}))
    with pytest.raises(DataError, match="expected a list"):
        StreamTensor.from_json(json.dumps({**json.loads(text), "values": [[0]]}))
