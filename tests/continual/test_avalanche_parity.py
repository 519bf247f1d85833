import importlib.util
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from atoll.benchmarks.avalanche.importing import avalanche
from atoll.continual import StreamMatrix, by_silo, summarize
from atoll.errors import ConfigError

absent = importlib.util.find_spec("avalanche") is None


def test_without_avalanche_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("avalanche", "torchvision"):
        monkeypatch.setitem(sys.modules, module, None)
    avalanche.cache_clear()
    with pytest.raises(ConfigError, match="pip install avalanche-lib"):
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
@pytest.mark.skipif(absent, reason="avalanche-lib is not installed: pip install avalanche-lib==0.6.0")
def test_forgetting_and_backward_transfer_are_avalanches(metrics: ModuleType) -> None:
    for matrix in streams():
        theirs = over_stream(metrics.Forgetting(), matrix)
        assert array(theirs, matrix) == pytest.approx(by_silo(matrix)["forgetting_first"], abs=1e-12, nan_ok=True)
        assert np.mean(list(theirs.values())) == pytest.approx(summarize(matrix).forgetting_first, abs=1e-12)
        theirs = over_stream(metrics.BWT(), matrix)
        assert array(theirs, matrix) == pytest.approx(by_silo(matrix)["backward_transfer"], abs=1e-12, nan_ok=True)
        assert np.mean(list(theirs.values())) == pytest.approx(summarize(matrix).backward_transfer, abs=1e-12)


@pytest.mark.suite
@pytest.mark.skipif(absent, reason="avalanche-lib is not installed: pip install avalanche-lib==0.6.0")
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
