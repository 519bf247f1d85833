"""Silos of pictures arrive one by one, end to end with real processes: routed by directions, replayed by Gaussians."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from atoll.coordinator.config import DescriptorConfig, EngineConfig, EvaluationConfig, RunConfig, SiloConfig
from atoll.coordinator.stream.config import RefitConfig, StreamConfig
from atoll.coordinator.stream.run import StreamOutcome, execute_stream
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.package import verify_package
from atoll.experts.signing import OwnerKey
from atoll.experts.training import TrainingConfig
from atoll.federation.units import Choice
from atoll.testing import toy_image_anchor, toy_pictures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
OWNERS = ("clinic", "court")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> StreamOutcome:
    folder = tmp_path_factory.mktemp("pictures")
    toy_image_anchor(folder / "anchor")
    pictures = toy_pictures(folder / "data", OWNERS, count=150)
    silos = [SiloConfig(name=name, domain=f"scans of {name}", data=pictures[name]) for name in OWNERS]
    config = RunConfig(
        title="Two silos of pictures",
        output=str(folder / "run"),
        anchor=str(folder / "anchor"),
        silos=silos,
        training=TrainingConfig(steps=30, batch=16, learning_rate=3e-2, evaluate_every=10, patience=0),
        descriptor=DescriptorConfig(counted=0, directions=4),
        router=Choice(name="domain", options={"temperature": 2.0, "directions": True}),
        evaluation=EvaluationConfig(windows=0, batch=32, baselines={}),
        engine=EngineConfig(parallel=1),
        withdraw="court",
        stream=StreamConfig(
            stages=[["clinic"], ["court"]],
            metric="accuracy",
            arrival=ArrivalConfig(budget=32),
            refit=RefitConfig(steps=0),
            baselines=[Choice(name="sequential")],
            budget=replace(StreamConfig().budget, steps=4, batch=4, rounds=2),
        ),
    )
    # Noise of a prior comes of its owner's key. Pictures of a class are nearly alike here, so that under the noise of
    # every other key no variance is left to tell, and equal draws are dropped; under this one's there is.
    home = folder / "run" / "silos" / "clinic"
    home.mkdir(parents=True)
    OwnerKey(Ed25519PrivateKey.from_private_bytes(bytes([5]) * 32)).save(home / "owner.key")
    return execute_stream(config, command="atoll run pictures.yaml")


def test_both_silos_gain_from_anchor_to_last_release(done: StreamOutcome) -> None:
    accuracy = done.results.stream.scores["accuracy"].values
    assert accuracy.shape == (3, 2)
    assert (accuracy[2] > accuracy[0] + 0.2).all()
    assert set(done.results.stream.scores) >= {"accuracy", "brier", "loss"}


def test_replay_was_drawn_of_who_came_first_from_what_its_terms_let_it_tell(done: StreamOutcome) -> None:
    packages = [verify_package(path, trusted=None) for path in (done.folder / "packages").iterdir()]
    first, second = (next(p for p in packages if p.card.owner == owner) for owner in OWNERS)
    assert first.prior is not None
    assert first.prior.epsilon == pytest.approx(4.0)
    assert second.card.training["replayed"] == 32
    assert all(package.descriptor.directions is not None for package in packages)


def test_who_withdraws_is_gone(done: StreamOutcome) -> None:
    assert done.results.withdrawal is not None
    assert done.results.withdrawal.owner == "court"
