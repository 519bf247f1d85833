import itertools
import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.continual.streams import matrices, stream

from atoll.continual import (
    StreamMatrix,
    StreamTensor,
    Summary,
    accumulated_error,
    backward_transfer,
    by_silo,
    forgetting_first,
    forgetting_max,
    over_stages,
    summarize,
)
from atoll.continual.retention import knowledge_retention_silos, knowledge_retention_time
from atoll.errors import DataError

NAN = math.nan
THREE = stream(
    [
        [0.10, 0.10, 0.20],
        [0.70, 0.30, 0.20],
        [0.80, 0.60, 0.25],
        [0.50, 0.55, 0.90],
    ]
)
"""Silo a gains with b and loses with c."""


def close(first: float | None, second: float | None) -> bool:
    return first == second or (first is not None and second is not None and math.isclose(first, second, abs_tol=1e-9))


def test_a_stream_by_hand() -> None:
    found = summarize(
        replace(
            THREE,
            initial=np.array([0.05, 0.05, 0.05]),
            joint=np.array([0.75, 0.75, 0.75]),
            local=np.array([0.5, 0.5, 0.5]),
        )
    )
    assert found.figures() == pytest.approx(
        {
            "average_final": 1.95 / 3,
            "average_incremental": (0.7 + 0.7 + 0.65) / 3,
            "forgetting_max": (0.3 + 0.05) / 2,
            "forgetting_first": (0.2 + 0.05) / 2,
            "backward_transfer": -(0.2 + 0.05) / 2,
            "forward_transfer": (0.25 + 0.2) / 2,
            "intransigence": (0.05 + 0.15 - 0.15) / 3,
            "knowledge_retention_time": (5 / 7 + 55 / 60) / 2,
            "knowledge_retention_silos": (1.0 + 1.1 + 1.8) / 3,
            "accumulated_error_first": 0.2,
            "share_of_joint": 1.95 / 2.25,
        }
    )
    assert (found.stages, found.silos, found.metric) == (3, 3, "accuracy@1")


def test_the_two_forgettings_part_where_a_silo_was_best_in_between() -> None:
    # Chaudhry et al. 2018 illustrate their measure with these four accuracies of a first task.
    first = np.array([NAN, 0.7, 0.8, 0.6, 0.5])
    figures = by_silo(stream(np.stack([first, *np.zeros((3, 5))], axis=1).tolist()))
    assert figures["backward_transfer"][0] == pytest.approx(-0.2)
    assert figures["forgetting_first"][0] == pytest.approx(0.2)
    assert figures["forgetting_max"][0] == pytest.approx(0.3)


def test_forward_transfer_is_against_the_initial_model_where_nothing_else_is_given() -> None:
    assert summarize(THREE).forward_transfer == pytest.approx((0.2 + 0.05) / 2)


def test_silos_that_arrive_together() -> None:
    matrix = stream(
        [
            [0.1, 0.1, 0.1, 0.3],
            [0.8, 0.6, 0.2, 0.3],
            [0.7, 0.7, 0.9, 0.5],
        ],
        [("a", "b"), ("c", "d")],
    )
    found = summarize(matrix)
    assert found.average_incremental == pytest.approx((0.7 + 0.7) / 2)
    assert found.forgetting_max == pytest.approx((0.1 - 0.1) / 2)
    assert found.forward_transfer == pytest.approx((0.1 + 0.0) / 2)
    assert [each.later_arrivals for each in accumulated_error(matrix)] == [0, 2]
    assert [each.average for each in accumulated_error(matrix)] == pytest.approx([0.7, 0.7])


def test_a_loss_is_turned() -> None:
    losses = stream([[5.0, 5.0], [2.0, 4.0], [2.5, 1.0]])
    found = summarize(replace(losses, metric="loss", higher_is_better=False, joint=np.array([1.5, 1.0])))
    assert found.average_final == pytest.approx(1.75)
    assert found.forgetting_first == found.forgetting_max == pytest.approx(0.5)
    assert found.backward_transfer == pytest.approx(-0.5)
    assert found.forward_transfer == pytest.approx(1.0)
    assert found.intransigence == pytest.approx((0.5 + 0.0) / 2)
    assert found.knowledge_retention_time == pytest.approx(2.0 / 2.5)
    assert found.share_of_joint == pytest.approx(1.25 / 1.75)


@given(matrices(complete=False))
def test_forgetting_from_the_best_is_never_less(matrix: StreamMatrix) -> None:
    best, first = forgetting_max(matrix), forgetting_first(matrix)
    if best is not None:
        assert first is not None
        assert best >= first - 1e-9


@given(matrices(complete=False))
def test_forgetting_from_the_first_is_minus_backward_transfer(matrix: StreamMatrix) -> None:
    first, backward = forgetting_first(matrix), backward_transfer(matrix)
    assert (first is None) == (backward is None)
    assert close(first, None if backward is None else -backward)


@given(matrices(shortest=2), st.data())
def test_nothing_changes_and_nothing_is_forgotten(matrix: StreamMatrix, data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(range(len(matrix.values))))
    still = replace(matrix, values=np.tile(matrix.values[row], (len(matrix.values), 1)), initial=None)
    found = summarize(still)
    assert close(found.forgetting_max, 0.0)
    assert close(found.forgetting_first, 0.0)
    assert close(found.backward_transfer, 0.0)
    assert close(found.forward_transfer, 0.0)
    assert close(found.accumulated_error_first, 0.0)
    if found.knowledge_retention_time is not None:
        assert close(found.knowledge_retention_time, 1.0)


@given(matrices(complete=False), st.randoms())
def test_order_within_a_stage_and_names_mean_nothing(matrix: StreamMatrix, random: Random) -> None:
    order: list[int] = []
    for stage in range(1, len(matrix.stages) + 1):
        columns = np.flatnonzero(matrix.arrivals == stage).tolist()
        random.shuffle(columns)
        order += columns
    assert matrix.local is not None
    assert matrix.joint is not None
    assert matrix.initial is not None
    names = iter(f"other-{number}" for number in range(len(order)))
    moved = replace(
        matrix,
        stages=tuple(tuple(next(names) for _ in stage) for stage in matrix.stages),
        values=matrix.values[:, order],
        local=matrix.local[order],
        joint=matrix.joint[order],
        initial=matrix.initial[order],
    )
    for name, figure in summarize(matrix).figures().items():
        assert close(figure, summarize(moved).figures()[name]), name


@given(matrices(complete=False))
def test_a_silo_with_a_twin_counts_as_before(matrix: StreamMatrix) -> None:
    assert matrix.local is not None
    assert matrix.joint is not None
    assert matrix.initial is not None
    doubled = replace(
        matrix,
        stages=tuple(tuple(name for silo in stage for name in (silo, f"{silo}'")) for stage in matrix.stages),
        values=matrix.values.repeat(2, axis=1),
        local=matrix.local.repeat(2),
        joint=matrix.joint.repeat(2),
        initial=matrix.initial.repeat(2),
    )
    for name, figure in summarize(matrix).figures().items():
        assert close(figure, summarize(doubled).figures()[name]), name


DIFFERENCES = ("forgetting_max", "forgetting_first", "backward_transfer", "forward_transfer", "intransigence")


@given(matrices(), st.floats(-5, 5), st.floats(0.1, 10))
def test_differences_turn_shift_and_scale_with_the_metric(matrix: StreamMatrix, shift: float, scale: float) -> None:
    assert matrix.joint is not None
    assert matrix.initial is not None
    parts = {"values": matrix.values, "joint": matrix.joint, "initial": matrix.initial}
    moved = replace(matrix, **{name: shift + scale * array for name, array in parts.items()})  # type: ignore[arg-type]
    turned = replace(
        matrix,
        higher_is_better=not matrix.higher_is_better,
        **{name: -array for name, array in parts.items()},  # type: ignore[arg-type]
    )
    before, scaled, opposite = summarize(matrix), summarize(moved), summarize(turned)
    for name in (*DIFFERENCES, "accumulated_error_first"):
        figure = before.figures()[name]
        assert close(None if figure is None else scale * figure, scaled.figures()[name]), name
        assert close(figure, opposite.figures()[name]), name


@given(matrices(complete=False))
def test_means_are_of_the_silos_figures(matrix: StreamMatrix) -> None:
    silos, summary = by_silo(matrix), summarize(matrix)
    earlier = matrix.arrivals < len(matrix.stages)
    for name in ("forgetting_max", "forgetting_first", "backward_transfer", "knowledge_retention_time"):
        assert np.isnan(silos[name][~earlier]).all()
        figures = silos[name][earlier]
        defined = figures.size and not np.isnan(figures).any()
        if name == "knowledge_retention_time" or summary.average_final is not None:
            assert close(summary.figures()[name], float(figures.mean()) if defined else None), name


@given(matrices())
def test_one_stage_has_no_past(matrix: StreamMatrix) -> None:
    found = summarize(matrix.until(1))
    for name in (*DIFFERENCES[:-1], "knowledge_retention_time", "accumulated_error_first"):
        assert found.figures()[name] is None, name
    assert found.average_final is not None
    assert found.average_final == pytest.approx(found.average_incremental)
    assert found.intransigence is not None


def test_what_is_not_measured_is_none_and_never_zero() -> None:
    blank = summarize(StreamMatrix.blank("m", [["a"], ["b"], ["c"]], higher_is_better=True))
    assert set(blank.figures().values()) == {None}
    assert blank.named() == {}
    # Every cell at or after an arrival is needed by some figure.
    for stage, silo in itertools.product(range(1, 4), range(3)):
        if stage < silo + 1:
            continue
        holed = THREE.measured(stage, {THREE.silos[silo]: NAN})
        found = summarize(holed)
        assert found.average_incremental is None
        if silo < 2:
            assert found.forgetting_max is None
        if stage == 2 and silo == 0:
            assert found.forgetting_first == summarize(THREE).forgetting_first


def test_forgetting_never_goes_without_the_average() -> None:
    matrix = THREE.measured(3, {"c": NAN})
    assert forgetting_max(matrix) == pytest.approx(0.175)
    found = summarize(matrix)
    assert found.average_final is None
    assert found.forgetting_max is found.forgetting_first is found.backward_transfer is None
    assert found.accumulated_error_first is None


@given(matrices(complete=False))
def test_keys_name_the_variant(matrix: StreamMatrix) -> None:
    found = summarize(matrix)
    names = list(found.figures())
    assert names[0] == "average_final"
    assert "forgetting" not in names
    assert all(name.startswith("metric/") and math.isfinite(value) for name, value in found.named().items())
    assert len(found.named()) == sum(value is not None for value in found.figures().values())


@given(matrices(complete=False))
def test_the_last_stage_of_all_is_the_stream(matrix: StreamMatrix) -> None:
    summaries = over_stages(matrix)
    assert len(summaries) == len(matrix.stages)
    assert summaries[-1] == summarize(matrix)
    assert all(isinstance(each, Summary) for each in summaries)
    assert [each.silos for each in summaries] == np.cumsum([len(stage) for stage in matrix.stages]).tolist()


def test_errors_of_the_first_silo_add_up() -> None:
    matrix = stream([[0.0] * 4, [0.9, 0, 0, 0], [0.8, 0, 0, 0], [NAN, 0, 0, 0]], stages=[("a",), ("b", "c"), ("d",)])
    found = accumulated_error(matrix)
    assert [each.later_arrivals for each in found] == [0, 2, 3]
    assert [each.error for each in found] == [0.0, pytest.approx(0.1), None]
    assert [each.average for each in found] == [0.9, 0.8, None]


@pytest.mark.parametrize(("now", "then"), [(0.5, 0.0), (0.5, -1.0), (-0.5, 1.0), (NAN, 1.0), (1.0, NAN)])
def test_ratios_that_are_no_shares_are_none(now: float, then: float) -> None:
    matrix = stream([[0.0, 0.0], [then, 0.0], [now, 0.5]])
    assert summarize(matrix).knowledge_retention_time is None
    assert summarize(replace(matrix, local=np.array([then, 0.5]))).knowledge_retention_silos is None
    if not math.isnan(now):
        # Means are of a silo and 0.5: -1 and 0.5 is negative, 0 and 0.5 is not.
        share = summarize(replace(matrix, joint=np.array([then, 0.5]))).share_of_joint
        assert (share is None) == (math.isnan(then) or then + 0.5 <= 0)


@given(matrices(complete=False))
def test_retention_of_tensors_is_the_matrix_where_silos_have_one_task(matrix: StreamMatrix) -> None:
    tensor = StreamTensor.of(matrix)
    earlier = matrix.arrivals < len(matrix.stages)
    kept = by_silo(matrix)["knowledge_retention_time"][earlier]
    known = kept.size and not np.isnan(kept).any()
    assert close(knowledge_retention_time(tensor), float(kept.mean()) if known else None)
    assert matrix.local is not None
    alone = replace(matrix, values=np.tile(matrix.local, (len(matrix.values), 1)))
    assert close(knowledge_retention_silos(tensor, StreamTensor.of(alone)), summarize(matrix).knowledge_retention_silos)


def test_retention_of_two_silos_with_tasks_of_their_own() -> None:
    # x has tasks one and three, y has two and four.
    local = StreamTensor(
        metric="m",
        higher_is_better=True,
        stages=(("one", "two"), ("three", "four")),
        owners=("x", "y", "x", "y"),
        values=np.array(
            [
                [[0, NAN, 0, NAN], [0.8, NAN, 0, NAN], [0.4, NAN, 0.8, NAN]],
                [[NAN, 0, NAN, 0], [NAN, 0.5, NAN, 0], [NAN, 0.6, NAN, 0.5]],
            ]
        ),
    )
    integrated = replace(local, values=local.values / 2)
    assert knowledge_retention_time(local) == pytest.approx((0.5 + 1.2) / 2)
    assert knowledge_retention_silos(integrated, local) == pytest.approx(0.5)
    with pytest.raises(DataError, match="one stream"):
        knowledge_retention_silos(replace(integrated, metric="n"), local)
