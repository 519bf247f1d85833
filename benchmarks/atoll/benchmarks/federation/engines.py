"""The engines that are compared, by name. A further one is one more entry in ``ENGINES``."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flwr.serverapp import Grid

from atoll.benchmarks.federation.client import CLIENT_APP
from atoll.benchmarks.federation.plain import fedavg
from atoll.benchmarks.federation.session import Session, session
from atoll.federation.embedded import EmbeddedGrid, SiloProcess
from atoll.federation.flower.loopback import deployed

EMBEDDED, SIMULATION, DEPLOYMENT, PLAIN = "embedded", "simulation", "deployment", "Flower's FedAvg"


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine is given.

    Attributes:
        silos: How many.
        parallel: How many may work at once.
        seeds: One a round.
        steps: Of training, in each unit.
    """

    silos: int
    parallel: int
    seeds: Sequence[int]
    steps: int


def over_grid(open_grid: Callable[[Path, Load], AbstractContextManager[Grid]], load: Load) -> Session:
    """Any engine under the ``Grid`` interface."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with open_grid(Path(folder), load) as grid:
            return session(grid, began, load.seeds, load.steps)


def _embedded(folder: Path, load: Load) -> AbstractContextManager[Grid]:
    return EmbeddedGrid(_silos(folder, load.silos), client_app=CLIENT_APP, parallel=load.parallel)


def _simulation(folder: Path, load: Load) -> AbstractContextManager[Grid]:
    from atoll.federation.simulation import SimulationGrid

    return SimulationGrid(_silos(folder, load.silos), client_app=CLIENT_APP, parallel=load.parallel)


def _deployment(folder: Path, load: Load) -> AbstractContextManager[Grid]:
    return deployed(_silos(folder, load.silos), folder / "flower", client_app=CLIENT_APP)


def _plain(load: Load) -> Session:
    return fedavg(load.silos, load.parallel, load.seeds, load.steps)


def _silos(folder: Path, count: int) -> list[SiloProcess]:
    return [SiloProcess(f"silo-{number}", folder / f"silo-{number}", {}) for number in range(count)]


MOST = {DEPLOYMENT: 4}
"""Silos that an engine is tried with at most: a deployment's take two processes and 300 MB each."""
ENGINES: Mapping[str, Callable[[Load], Session]] = {
    EMBEDDED: partial(over_grid, _embedded),
    SIMULATION: partial(over_grid, _simulation),
    DEPLOYMENT: partial(over_grid, _deployment),
    PLAIN: _plain,
}
