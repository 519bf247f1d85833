import importlib
import importlib.util
import sys
import warnings
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from atoll.benchmarks.avalanche.contexts import Context, ContextStream, Samples
from atoll.benchmarks.avalanche.export import as_benchmark
from atoll.benchmarks.avalanche.importing import avalanche
from atoll.benchmarks.avalanche.results import stream_matrix
from atoll.continual import StreamMatrix, by_silo, summarize
from atoll.errors import ConfigError

INSTALL = "avalanche-lib is not installed here: make avalanche runs this"
MEASURED = ("accuracy", "forgetting", "bwt", "forward_transfer")
absent = importlib.util.find_spec("avalanche") is None


def test_without_avalanche_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("avalanche", "torchvision"):
        monkeypatch.setitem(sys.modules, module, None)
    avalanche.cache_clear()
    with pytest.raises(ConfigError, match="make avalanche"):
        avalanche()


@pytest.fixture(scope="module")
def metrics() -> ModuleType:
    avalanche()
    return importlib.import_module("avalanche.evaluation.metrics")


def streams() -> list[StreamMatrix]:
    generator = np.random.default_rng(4)
    shapes = [(1, 1), (1, 1, 1, 1, 1), (3, 1, 2), (2, 2)]
    made = []
    for number in range(20):
        sizes = shapes[number % len(shapes)]
        names = iter(f"silo-{place}" for place in range(sum(sizes)))
        made.append(
            StreamMatrix(
                metric="accuracy@1",
                higher_is_better=True,
                stages=tuple(tuple(next(names) for _ in range(size)) for size in sizes),
                values=generator.uniform(size=(len(sizes) + 1, sum(sizes))),
            )
        )
    return made


def over_stream(metric: Any, matrix: StreamMatrix) -> dict[int, float]:
    """What Avalanche's plug-in of forgetting feeds its metric: after every stage, all silos that have come."""
    for stage, row in enumerate(matrix.values[1:], 1):
        for silo, value in enumerate(row):
            if stage >= matrix.arrivals[silo]:
                metric.update(silo, float(value), initial=stage == matrix.arrivals[silo])
    return dict(metric.result())


def array(found: dict[int, float], matrix: StreamMatrix) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([found.get(silo, np.nan) for silo in range(len(matrix.silos))])


@pytest.mark.suite
@pytest.mark.skipif(absent, reason=INSTALL)
def test_forgetting_and_backward_transfer_are_avalanches(metrics: ModuleType) -> None:
    for matrix in streams():
        theirs = over_stream(metrics.Forgetting(), matrix)
        assert array(theirs, matrix) == pytest.approx(by_silo(matrix)["forgetting_first"], abs=1e-12, nan_ok=True)
        assert np.mean(list(theirs.values())) == pytest.approx(summarize(matrix).forgetting_first, abs=1e-12)
        theirs = over_stream(metrics.BWT(), matrix)
        assert array(theirs, matrix) == pytest.approx(by_silo(matrix)["backward_transfer"], abs=1e-12, nan_ok=True)
        assert np.mean(list(theirs.values())) == pytest.approx(summarize(matrix).backward_transfer, abs=1e-12)


@pytest.mark.suite
@pytest.mark.skipif(absent, reason=INSTALL)
def test_forward_transfer_is_avalanches(metrics: ModuleType) -> None:
    untrained = np.random.default_rng(5)
    for matrix in streams():
        matrix = replace(matrix, initial=untrained.uniform(size=len(matrix.silos)))
        assert matrix.initial is not None
        metric = metrics.ForwardTransfer()
        for silo, value in enumerate(matrix.initial):
            metric.update(silo, float(value), initial=True)
        for silo, arrival in enumerate(matrix.arrivals):
            if arrival > 1:
                metric.update(silo, float(matrix.values[arrival - 1, silo]))
        theirs = dict(metric.result())
        assert array(theirs, matrix) == pytest.approx(by_silo(matrix)["forward_transfer"], abs=1e-12, nan_ok=True)
        assert np.mean(list(theirs.values())) == pytest.approx(summarize(matrix).forward_transfer, abs=1e-12)


def digits_stream() -> ContextStream:
    """Five pairs of digits; as many test samples of each, for Avalanche's average over a stream is over samples."""
    datasets = pytest.importorskip("sklearn.datasets")
    found = datasets.load_digits()
    inputs = (found.images / 16).astype(np.float32)[:, None]
    labels = found.target.astype(np.int64)
    contexts = []
    for first in range(0, 10, 2):
        chosen = np.flatnonzero((labels == first) | (labels == first + 1))
        parts = [Samples(inputs[part], labels[part]) for part in (chosen[:200], chosen[200:240], chosen[240:340])]
        contexts.append(Context(str(first), (first, first + 1), *parts))
    return ContextStream("class", tuple(contexts), 10)


@pytest.mark.slow
@pytest.mark.skipif(absent, reason=INSTALL)
@pytest.mark.parametrize("name", ["Naive", "Replay"])
def test_a_real_runs_figures_are_avalanches(metrics: ModuleType, name: str) -> None:
    stream = digits_stream()
    bench = as_benchmark(stream)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    with warnings.catch_warnings(record=True):
        # Avalanche's own deprecations.
        warnings.simplefilter("ignore")
        plugins = importlib.import_module("avalanche.training.plugins")
        evaluator = plugins.EvaluationPlugin(
            *(getattr(metrics, f"{kind}_metrics")(experience=True, stream=True) for kind in MEASURED), loggers=[]
        )
        options = {"mem_size": 50} if name == "Replay" else {}
        strategy = getattr(importlib.import_module("avalanche.training"), name)(
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=1e-2),
            criterion=torch.nn.CrossEntropyLoss(),
            train_mb_size=32,
            train_epochs=3,
            eval_mb_size=256,
            evaluator=evaluator,
            # Its forward transfer needs to be evaluated from inside the training.
            eval_every=0,
            **options,
        )
        found = [dict(strategy.eval(bench.test_stream))]
        for experience in bench.train_stream:
            strategy.train(experience, eval_streams=[bench.test_stream])
            found.append(dict(strategy.eval(bench.test_stream)))
    matrix = stream_matrix(found, stream.names)
    theirs, ours = found[-1], summarize(matrix)
    assert ours.forgetting_first is not None
    assert ours.forgetting_max is not None
    assert theirs["StreamForgetting/eval_phase/test_stream"] == pytest.approx(ours.forgetting_first, abs=1e-12)
    assert theirs["StreamBWT/eval_phase/test_stream"] == pytest.approx(ours.backward_transfer, abs=1e-12)
    assert theirs["StreamForwardTransfer/eval_phase/test_stream"] == pytest.approx(ours.forward_transfer, abs=1e-12)
    assert theirs["Top1_Acc_Stream/eval_phase/test_stream/Task000"] == pytest.approx(ours.average_final, abs=1e-6)
    for place, silo in enumerate(by_silo(matrix)["forgetting_first"][:-1]):
        key = f"ExperienceForgetting/eval_phase/test_stream/Task000/Exp{place:03d}"
        assert theirs[key] == pytest.approx(silo, abs=1e-12)
    # A run in which nothing was forgotten would show nothing, nor one without more than one way to count.
    assert ours.forgetting_first > 0.1
    assert (name == "Naive") == (ours.forgetting_max == pytest.approx(ours.forgetting_first, abs=1e-12))
