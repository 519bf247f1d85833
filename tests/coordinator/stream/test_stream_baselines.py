"""Baselines beside a stream: every cell of their matrices, and what is kept of them."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from atoll.continual import summarize
from atoll.continual.baseline import World, measure
from atoll.coordinator.stream.baselines import BaselineResults, run_baselines
from atoll.errors import ConfigError, DataError, PluginError
from atoll.federation.units import Choice
from atoll.testing import toy_world

Told = list[tuple[str, int, int]]
Kept = tuple[Path, dict[str, BaselineResults], Told]
"""A folder, what was found on the first run, and what was told of it."""
NAMES = ("joint", "local", "sequential")
WINDOWS = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three silos of text; a score says how many tokens of a batch there were, as a share."""
    made = toy_world(tmp_path_factory.mktemp("world"), stages=[["clinic"], ["court", "yard"]])
    return replace(made, workloads={owner: _scored(one) for owner, one in made.workloads.items()})


@pytest.fixture(scope="module")
def kept(world: World, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder, told = tmp_path_factory.mktemp("baselines") / "new", list[tuple[str, int, int]]()
    return folder, _run(world, folder, told), told


def _run(
    world: World, folder: Path, told: Told, names: tuple[str, ...] = NAMES, **how: Any
) -> dict[str, BaselineResults]:
    how = {"windows": WINDOWS, "metric": "accuracy@1", "higher_is_better": True, **how}
    return run_baselines([Choice(name=name) for name in names], world, folder, on_progress=_noting(told), **how)


def _noting(told: Told) -> Callable[[str, int, int], None]:
    return lambda name, done, stages: told.append((name, done, stages))


def _scored(workload: Any) -> Any:
    scored = copy.copy(workload)

    def scores(logits: Any, targets: Any) -> dict[str, float]:
        right = logits[:, :-1].argmax(-1) == targets["ids"][:, 1:]
        return {"accuracy@1": float(right.sum())}

    scored.scores = scores
    return scored


def test_every_baseline_begins_at_the_anchor(world: World, kept: Kept) -> None:
    _, results, _ = kept
    assert list(results) == list(NAMES)
    anchor = world.fresh()
    found = {owner: measure(anchor, world.workloads[owner], "test", WINDOWS, 8) for owner in world.owners}
    for one in results.values():
        assert set(one.scores) == {"loss", "accuracy@1"}
        assert one.matrix == one.scores["accuracy@1"]
        assert one.matrix.stages == (("clinic",), ("court", "yard"))
        for name, matrix in one.scores.items():
            assert matrix.metric == name
            assert matrix.higher_is_better == (name != "loss")
            assert_allclose(matrix.values[0], [found[owner][name] for owner in world.owners])
            assert matrix.initial is not None
            assert_allclose(matrix.initial, matrix.values[0])


def test_every_stage_is_measured_on_silos_seen_and_to_come(kept: Kept) -> None:
    losses = kept[1]["sequential"].scores["loss"]
    assert np.isfinite(losses.values).all()
    assert (losses.values[1:] < losses.values[0]).all()
    assert len(np.unique(losses.values)) == losses.values.size


def test_a_silo_alone_has_the_anchor_before_it_comes_and_its_own_model_from_then_on(
    kept: Kept,
) -> None:
    losses = kept[1]["local"].scores["loss"].values
    assert_allclose(losses[1, 1:], losses[0, 1:])
    assert losses[1, 0] < losses[0, 0]
    assert losses[2, 0] == losses[1, 0]
    assert (losses[2, 1:] < losses[0, 1:]).all()
    assert summarize(kept[1]["local"].scores["loss"]).forgetting_max == 0


def test_joint_training_has_its_last_row_only(kept: Kept) -> None:
    losses = kept[1]["joint"].scores["loss"].values
    assert np.isnan(losses[1]).all()
    assert np.isfinite(losses[2]).all()


def test_matrices_are_held_against_joint_and_local(kept: Kept, world: World) -> None:
    folder, results, _ = kept
    for name in ("loss", "accuracy@1"):
        for one in results.values():
            matrix = one.scores[name]
            assert matrix.joint is not None
            assert matrix.local is not None
            assert_allclose(matrix.joint, results["joint"].scores[name].values[-1])
            assert_allclose(matrix.local, results["local"].scores[name].values[-1])
    assert summarize(results["sequential"].scores["loss"]).share_of_joint is not None
    alone = _run(world, folder, [], ("sequential",))["sequential"]
    assert alone.matrix.joint is None
    assert alone.matrix.local is None


def test_results_say_what_a_method_sees_and_what_it_took(
    kept: Kept,
) -> None:
    results = kept[1]
    assert [(one.sees, one.bound) for one in results.values()] == [
        ("earlier data", "upper"),
        ("nothing", ""),
        ("nothing", "lower"),
    ]
    assert [len(one.seconds) for one in results.values()] == [2, 2, 2]
    assert all(second > 0 for second in results["sequential"].seconds)
    assert results["joint"].seconds[0] == 0 < results["joint"].seconds[1]


def test_progress_is_by_stage(kept: Kept) -> None:
    told = kept[2]
    assert [done for name, done, stages in told if name == "sequential"] == [0, 1, 2]
    assert [done for name, done, stages in told if name == "local"] == [0, 1, 2]
    assert [done for name, done, stages in told if name == "joint"] == [0, 2]
    assert {stages for _, _, stages in told} == {2}


def test_what_is_finished_is_not_run_again(kept: Kept, world: World) -> None:
    folder, results, _ = kept
    assert sorted(path.name for path in folder.iterdir()) == ["joint.json", "local.json", "sequential.json"]
    told: Told = []
    again = _run(world, folder, told)
    assert told == [(name, 2, 2) for name in NAMES]
    assert again == results


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace('"seconds"', '"minutes"'),
        lambda text: json.dumps({**json.loads(text), "seconds": [1.0]}),
        lambda text: json.dumps({**json.loads(text), "scores": {"accuracy@1": [[0.5, 0.5, 0.5]]}}),
        lambda text: "\x00" + text,
    ],
    ids=["torn", "empty", "renamed", "stages", "rows", "binary"],
)
def test_a_damaged_file_is_measured_anew(damage: Callable[[str], str], kept: Kept, world: World) -> None:
    folder, results, _ = kept
    path = folder / "sequential.json"
    path.write_text(damage(path.read_text()))
    told: Told = []
    again = _run(world, folder, told)
    assert told == [("joint", 2, 2), ("local", 2, 2), *(("sequential", done, 2) for done in (0, 1, 2))]
    assert again["sequential"].scores == results["sequential"].scores
    told.clear()
    _run(world, folder, told)
    assert told == [(name, 2, 2) for name in NAMES]


def test_another_world_is_measured_anew(world: World, tmp_path: Path) -> None:
    told: Told = []
    _run(world, tmp_path, told, ("local",))
    others: list[tuple[World, dict[str, Any]]] = [
        (replace(world, seed=1), {}),
        (replace(world, anchor="sha256:other"), {}),
        (replace(world, training=replace(world.training, batch=5)), {}),
        (replace(world, stages=[["clinic", "court"], ["yard"]]), {}),
        (replace(world, workloads={**world.workloads, "yard": world.workloads["court"]}), {}),
        (world, {"windows": 5}),
    ]
    for other, how in others:
        told.clear()
        _run(other, tmp_path, told, ("local",), **how)
        assert told[0] == ("local", 0, 2), other
        assert told[-1] == ("local", 2, 2)


def test_other_options_are_measured_anew(world: World, tmp_path: Path) -> None:
    losses = []
    for strength in (0.0, 1e5, 1e5):
        told: Told = []
        choice = Choice(name="ewc", options={"strength": strength, "samples": 4})
        found = run_baselines([choice], world, tmp_path, windows=WINDOWS, on_progress=_noting(told))
        losses.append((found["ewc"].matrix.values, told[0][1]))
    assert not np.array_equal(losses[0][0], losses[1][0])
    assert np.array_equal(losses[1][0], losses[2][0])
    assert [done for _, done in losses] == [0, 0, 2]


def test_a_run_that_is_cut_short_keeps_what_was_finished(world: World, tmp_path: Path) -> None:
    def stop(name: str, done: int, stages: int) -> None:
        if (name, done) == ("sequential", 1):
            raise KeyboardInterrupt

    choices = [Choice(name="local"), Choice(name="sequential")]
    with pytest.raises(KeyboardInterrupt):
        run_baselines(choices, world, tmp_path, windows=WINDOWS, on_progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["local.json"]


def test_what_cannot_be_run_is_known_before_anything_is_trained(world: World, tmp_path: Path) -> None:
    told: Told = []
    with pytest.raises(ConfigError, match="'local' is chosen twice"):
        _run(world, tmp_path, told, ("local", "local"))
    with pytest.raises(PluginError, match="did you mean 'sequential'"):
        _run(world, tmp_path, told, ("local", "sequental"))
    with pytest.raises(ConfigError, match=r"no metric 'accuracy@3' here; there are accuracy@1, loss"):
        _run(world, tmp_path, told, ("local",), metric="accuracy@3")
    assert [done for _, done, _ in told] in ([], [0])
    assert list(tmp_path.iterdir()) == []


def test_a_metric_that_was_never_measured_is_named_for_what_is_kept_too(kept: Kept, world: World) -> None:
    with pytest.raises(ConfigError, match="no metric 'mrr' here"):
        _run(world, kept[0], [], metric="mrr")


def test_a_model_that_cannot_be_measured_is_named(world: World, tmp_path: Path) -> None:
    broken = copy.copy(world.workloads["court"])
    broken.scores = lambda logits, targets: {"accuracy@1": float("nan")}  # type: ignore[method-assign]
    with pytest.raises(DataError, match=r"the anchor, silo 'court': the model cannot be measured"):
        _run(replace(world, workloads={**world.workloads, "court": broken}), tmp_path, [], ("local",))


def test_a_figure_that_one_silo_cannot_have_is_a_gap_and_no_end(world: World, tmp_path: Path) -> None:
    """As the area under a curve where the test data is of one class: known only when everything has been trained."""
    lacking = copy.copy(world.workloads["court"])
    whole = lacking.finish
    lacking.finish = lambda sums, count: {n: v for n, v in whole(sums, count).items() if n != "accuracy@1"}  # type: ignore[method-assign]
    partial = replace(world, workloads={**world.workloads, "court": lacking})
    for _ in range(2):  # the second time from what was kept
        found = _run(partial, tmp_path, [], names=("sequential",))["sequential"]
        place = found.matrix.silos.index("court")
        assert np.isnan(found.matrix.values[:, place]).all()
        assert np.isfinite(np.delete(found.matrix.values, place, 1)).all()
        assert summarize(found.matrix).average_final is None
        assert np.isfinite(found.scores["loss"].values).all()
        assert json.loads((tmp_path / "sequential.json").read_text())["scores"]["accuracy@1"][0][place] is None
    with pytest.raises(ConfigError, match="there is no metric 'auroc' here; there are accuracy@1, loss"):
        _run(partial, tmp_path, [], names=("sequential",), metric="auroc")
