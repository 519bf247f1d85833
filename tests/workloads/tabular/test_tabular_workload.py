from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.workloads.tabular.tables import SCHEMA, anchor_of, patients, write

from atoll.clients.evaluate import Evaluator
from atoll.continual.baseline import measure
from atoll.errors import ConfigError, DataError
from atoll.federation.units import Choice, EvaluateUnit, Variant
from atoll.testing import toy_image_anchor
from atoll.workloads.tabular import Tabular, TabularConfig
from atoll.workloads.workload import SPLITS


@pytest.fixture
def workload(tmp_path: Path) -> Tabular:
    config = TabularConfig(paths=[str(patients(tmp_path / "t.csv"))], validation=0.2, test=0.3)
    return Tabular(config, anchor_of(tmp_path / "anchor"))


def test_every_row_is_in_one_split_whatever_the_order_of_the_file(workload: Tabular, tmp_path: Path) -> None:
    lines = patients(tmp_path / "u.csv").read_text().splitlines()
    turned = write(tmp_path / "u.csv", *reversed(lines[1:]))
    other = Tabular(replace(workload.config, paths=[str(turned)]), workload._anchor)
    assert sum(workload.counts[split].documents for split in SPLITS) == 60
    for split in SPLITS:
        mine, theirs = (sorted(map(tuple, np.asarray(w.split(split).values))) for w in (workload, other))
        assert mine == theirs


def test_equal_rows_are_in_one_split(tmp_path: Path) -> None:
    lines = patients(tmp_path / "t.csv").read_text().splitlines()[1:]
    path = write(tmp_path / "t.csv", *lines, *lines)
    found = Tabular(TabularConfig(paths=[str(path)]), anchor_of(tmp_path / "anchor"))
    rows = [set(map(tuple, np.asarray(found.split(split).values))) for split in SPLITS]
    assert not rows[0] & rows[1]
    assert not (rows[0] | rows[1]) & rows[2]


def test_the_salt_reshuffles_and_the_key_tells(workload: Tabular) -> None:
    other = Tabular(replace(workload.config, salt="1"), workload._anchor)
    assert workload.key != other.key
    assert workload.key == Tabular(workload.config, workload._anchor).key


def test_the_anchor_reads_a_batch_and_every_figure_comes_out(workload: Tabular) -> None:
    found = measure(workload._anchor.model(), workload, "test", None, 4)
    assert {"loss", "accuracy", "brier", "ece", "auroc", "tpr", "auroc@sex=f", "tpr@sex=m"} <= set(found)
    assert found == pytest.approx(measure(workload._anchor.model(), workload, "test", None, 100), abs=1e-6)


def test_rows_of_a_missing_group_are_of_none(tmp_path: Path) -> None:
    lines = [f"{30 + place},1,{'' if place % 2 else 'f'},{place % 3}" for place in range(40)]
    config = TabularConfig(paths=[str(write(tmp_path / "t.csv", *lines))])
    found = Tabular(config, anchor_of(tmp_path / "anchor"))
    batch = found.samples("train", found.evaluation_indices("train"))
    groups = found.groups_of(batch.targets)
    missing = batch.inputs["columns"][:, -1] == 1
    assert torch.equal(groups["sex=f"], ~missing)
    assert not groups["sex=m"].any()


def test_public_rows_need_nobody(workload: Tabular) -> None:
    one, two = Tabular.public(workload._anchor), Tabular.public(workload._anchor)
    assert one.key == two.key
    assert one.counts["train"].documents > 500
    site = "model.layers.0.mlp"
    frame = Tabular.frame(workload._anchor, workload._anchor.model(), [site], Path("/nonexistent/never/written"))
    assert frame.sites == (site,)


def test_replay_needs_the_stems_vectors_alone(workload: Tabular) -> None:
    private = workload.replay_private("train")
    context = workload.replay_context(workload.public_context())
    assert private.features.shape == (workload.counts["train"].documents, context.width)
    assert context.classes.names == ("well", "ill")


def test_an_anchor_for_something_else_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"atoll anchor tabular SCHEMA\.yaml"):
        Tabular(TabularConfig(paths=["x"]), toy_image_anchor(tmp_path / "anchor"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"paths": []}, "paths is empty"),
        ({"invalid": "guess"}, "refuse or missing"),
        ({"test": 1.5}, "not a share"),
        ({"validation": 0.6, "test": 0.5}, "leave nothing to train on"),
    ],
)
def test_what_a_configuration_cannot_be(change: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        replace(TabularConfig(paths=["x"]), **change).check()  # type: ignore[arg-type]


def test_too_few_rows_say_which_split_is_empty(tmp_path: Path) -> None:
    config = TabularConfig(paths=[str(write(tmp_path / "t.csv", "50,1,f,0"))])
    with pytest.raises(DataError, match="split is empty"):
        Tabular(config, anchor_of(tmp_path / "anchor")).prepare()
    assert SCHEMA.width == 7


def test_an_owners_own_evaluation_gives_the_same_figures(workload: Tabular, tmp_path: Path) -> None:
    model = workload._anchor.model()
    nothing = Choice(name="")
    unit = EvaluateUnit(
        anchor=workload._anchor.digest,
        split="test",
        windows=0,
        batch=5,
        variants=[Variant(name="anchor", members=[], integrator=nothing, router=nothing)],
        members=[],
    )
    said = Evaluator(model, None, {}, workload, unit, tmp_path).run("clinic", lambda done, total, note: None)  # type: ignore[arg-type]
    expected = measure(model, workload, "test", None, 7)
    assert {"loss": said.loss["anchor"], **said.scores["anchor"]} == pytest.approx(expected, abs=1e-6)
    assert "auroc" in expected
