"""Every engine keeps the same promises. A further one is one more function in ``ENGINES``."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from flwr.serverapp import Grid

from atoll.federation.embedded import EmbeddedGrid, SiloProcess
from atoll.federation.flower.loopback import deployed
from atoll.testing.engines import CLIENT_APP, ENGINE_CHECKS, check_nodes_wake


def embedded(folder: Path, nodes: int) -> AbstractContextManager[Grid]:
    return EmbeddedGrid(silos(folder, nodes), client_app=CLIENT_APP)


def simulation(folder: Path, nodes: int) -> AbstractContextManager[Grid]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'atoll[simulation]'")
    from atoll.federation.simulation import SimulationGrid

    return SimulationGrid(silos(folder, nodes), client_app=CLIENT_APP)


def deployment(folder: Path, nodes: int) -> AbstractContextManager[Grid]:
    return deployed(silos(folder, nodes), folder / "flower", client_app=CLIENT_APP)


def silos(folder: Path, nodes: int) -> list[SiloProcess]:
    return [SiloProcess(f"silo-{number}", folder / f"silo-{number}", {}) for number in range(nodes)]


ENGINES: dict[str, Callable[[Path, int], AbstractContextManager[Grid]]] = {
    "embedded": embedded,
    "simulation": simulation,
    "deployment": deployment,
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.suite if name == "deployment" else ()) for name in ENGINES],
)
def grid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """An engine at work over three nodes that are awake."""
    with ENGINES[request.param](tmp_path_factory.mktemp("silos"), 3) as opened:
        check_nodes_wake(opened)
        yield opened


@pytest.mark.parametrize("check", ENGINE_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_every_engine(grid: Grid, check: Callable[[Grid], None]) -> None:
    check(grid)
