import numpy as np
import pytest

from atoll.benchmarks.avalanche.results import stream_matrix
from atoll.errors import DataError

PLACES = ("Task000/Exp000", "Task001/Exp001")


def said(*values: float, stream: str = "test_stream") -> dict[str, float]:
    accuracies = {f"Top1_Acc_Exp/eval_phase/{stream}/{place}": v for place, v in zip(PLACES, values, strict=False)}
    return accuracies | {"Top1_Acc_Stream/eval_phase/test_stream/Task000": 0.3, "Loss_Exp/x/Task000/Exp001": 9.0}


def test_rows_are_stages_and_columns_contexts() -> None:
    matrix = stream_matrix([said(0.1, 0.2), said(0.9, 0.2), said(0.5, 0.8)], ["a", "b"])
    assert matrix.metric == "accuracy"
    assert matrix.silos == ("a", "b")
    assert matrix.values.tolist() == [[0.1, 0.2], [0.9, 0.2], [0.5, 0.8]]


def test_what_was_not_evaluated_is_not_a_number() -> None:
    matrix = stream_matrix([said(0.1, 0.2), {}, said(0.5, 0.8)], ["a", "b"])
    assert np.isnan(matrix.values[1]).all()


def test_evaluations_that_miss_something() -> None:
    with pytest.raises(DataError, match="3 evaluations, the first before"):
        stream_matrix([said(0.9, 0.2), said(0.5, 0.8)], ["a", "b"])
    with pytest.raises(DataError, match=r"after stage 1 .* experience 'b'"):
        stream_matrix([said(0.1, 0.2), said(0.9), said(0.5, 0.8)], ["a", "b"])
    with pytest.raises(DataError, match="after stage 0"):
        stream_matrix([said(0.1, 0.2, stream="train_stream"), said(0.9, 0.1), said(0.5, 0.8)], ["a", "b"])
