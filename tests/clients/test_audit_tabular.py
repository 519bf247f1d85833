"""The audit of replay where samples are vectors of an anchor's stem: by heart is told from by and large."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.workloads.tabular.tables import anchor_of, patients

from atoll.clients.audit.published import Source, distances, publish, records
from atoll.privacy.attacks import nearest_scores
from atoll.privacy.membership import membership_report
from atoll.replay import Disclosure, Teacher
from atoll.strategies.replay.vae import Vae
from atoll.workloads.tabular import Tabular, TabularConfig
from atoll.workloads.workload import Split


def attacked(workload: Tabular, replay: Vae) -> float:
    """AUC of membership by nearness to what a release would publish."""
    context = workload.replay_context(workload.public_context())
    prior = replay.remember(workload.replay_private("train"), context, Disclosure(smallest=0))
    source = Source(Teacher(workload._anchor.model()), ("clinic",), "clinic", prior)
    published = publish(replay, source, workload, 400, 0).samples
    splits: tuple[Split, Split] = ("train", "test")
    chosen = [np.arange(records(workload, split)) for split in splits]
    near = [distances(workload, replay, split, rows, published) for split, rows in zip(splits, chosen, strict=True)]
    assert near[0].shape == (len(chosen[0]), len(published))
    return membership_report("replay", *[nearest_scores(side, 3) for side in near]).figures()["membership_replay_auc"]


@pytest.fixture
def workload(tmp_path: Path) -> Tabular:
    config = TabularConfig(paths=[str(patients(tmp_path / "t.csv", 50))], validation=0.1, test=0.45)
    return Tabular(config, anchor_of(tmp_path / "anchor"))


def test_an_audit_sees_more_of_a_generator_that_was_trained_for_long(workload: Tabular) -> None:
    brief, long = (attacked(workload, Vae(code=8, hidden=128, steps=steps)) for steps in (2, 1500))
    assert long > brief + 0.05
    assert torch.isfinite(torch.tensor([brief, long])).all()
