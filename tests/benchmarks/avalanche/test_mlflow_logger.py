"""Avalanche's metrics in a real store of MLflow's."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name
from tests.benchmarks.avalanche.blobs import blobs, model, needs_avalanche

from atoll.benchmarks.avalanche.budget import Budget
from atoll.benchmarks.avalanche.importing import avalanche
from atoll.benchmarks.avalanche.run import Run
from atoll.benchmarks.avalanche.train import run_baseline
from atoll.federation.units import Choice

pytestmark = [needs_avalanche, pytest.mark.slow]

STREAMS = "streams"


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Once and before the property's examples, which have a deadline."""
    avalanche()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    folder = tmp_path_factory.mktemp("mlflow")
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    client.create_experiment(STREAMS, str(folder / "artifacts"))
    return client


@pytest.fixture
def store(client: MlflowClient) -> Iterator[tuple[MlflowClient, str]]:
    experiment = client.get_experiment_by_name(STREAMS)
    assert experiment is not None
    run = client.create_run(experiment.experiment_id).info.run_id
    yield client, run
    client.set_terminated(run)


def test_a_run_is_logged_with_steps(store: tuple[MlflowClient, str]) -> None:
    from avalanche.evaluation.metrics import confusion_matrix_metrics, forgetting_metrics

    from atoll.benchmarks.avalanche.mlflow_logger import MlflowLogger

    client, run = store
    stream = blobs("class")
    matrix, _ = run_baseline(
        Choice(name="none"),
        model(stream),
        Run(stream=stream, budget=Budget(steps=10, batch=8, learning_rate=0.02), seed=0),
        metrics=[
            forgetting_metrics(stream=True),
            confusion_matrix_metrics(num_classes=4, stream=True, save_image=False),
        ],
        loggers=[MlflowLogger(client, run, prefix="none/")],
    )
    for place in range(2):
        key = f"none/Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp00{place}"
        logged = sorted(client.get_metric_history(run, key), key=lambda metric: metric.step)
        assert [metric.value for metric in logged] == pytest.approx(matrix.values[:, place])
        assert [metric.step for metric in logged] == [0, 10, 20]
    logged_keys = client.get_run(run).data.metrics
    assert "none/StreamForgetting/eval_phase/test_stream" in logged_keys
    assert not any("ConfusionMatrix" in key for key in logged_keys)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, 0.5),
        (3, 3.0),
        (torch.tensor(0.25), 0.25),
        (torch.tensor([0.25]), 0.25),
        (np.float32(0.75), 0.75),
        (np.array([0.75]), 0.75),
        (float("nan"), None),
        (torch.tensor([1.0, 2.0]), None),
        ("text", None),
        (None, None),
    ],
)
def test_numbers_are_logged_and_nothing_else(
    store: tuple[MlflowClient, str], value: object, expected: float | None
) -> None:
    from atoll.benchmarks.avalanche.mlflow_logger import MlflowLogger

    client, run = store
    MlflowLogger(client, run).log_single_metric("a", value, 4)
    found = [(metric.value, metric.step) for metric in client.get_metric_history(run, "a")]
    assert found == ([] if expected is None else [(expected, 4)])


@given(st.text(max_size=300))
def test_every_name_is_made_one_that_mlflow_takes(name: str) -> None:
    from atoll.benchmarks.avalanche.mlflow_logger import metric_key

    key = metric_key(name)
    _validate_metric_name(key)
    assert 0 < len(key) <= MAX_ENTITY_KEY_LENGTH
    assert metric_key(key) == key


def test_names_of_avalanche_stay() -> None:
    from atoll.benchmarks.avalanche.mlflow_logger import metric_key

    assert metric_key("Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp001") == (
        "Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp001"
    )
    assert metric_key("RAM [MB]/../µ") == "RAM _MB_/_"
    assert metric_key("x" * 300 + "/Exp001").endswith("x/Exp001")
