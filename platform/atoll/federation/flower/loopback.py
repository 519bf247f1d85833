"""The deployment engine on one machine: a SuperLink and a SuperNode for every silo, over TLS on loopback."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from flwr.serverapp import Grid

from atoll.errors import FederationError
from atoll.federation.certificates import make_certificates, make_node_key
from atoll.federation.embedded import SiloProcess
from atoll.federation.flower.process import FlowerProcess
from atoll.federation.flower.run import Control, open_grid, wait_until_up
from atoll.federation.flower.superlink import secret_file, start_superlink
from atoll.federation.flower.supernode import start_supernode
from atoll.federation.proxies import bypass_loopback

_HOST = "127.0.0.1"


@contextmanager
def deployed(
    silos: Sequence[SiloProcess],
    folder: Path,
    *,
    client_app: str,
    run_config: Mapping[str, str | int | float | bool] | None = None,
    seconds: float = 120.0,
) -> Iterator[Grid]:
    """A grid over real processes and real TLS, for trying a federation out before it is taken to several machines.

    Args:
        silos: The nodes.
        folder: For keys, certificates and logs.
        client_app: ``module:attribute`` of the Flower ``ClientApp``.
        run_config: What the ``ClientApp`` finds in its context.
        seconds: To wait for all nodes.

    Raises:
        FederationError: SuperLink or a node does not come up.
    """
    bypass_loopback()
    folder.mkdir(parents=True, exist_ok=True)
    tls = make_certificates(folder / "tls", [_HOST])
    port = free_port()
    address, home = f"{_HOST}:{port}", folder / "superlink"
    with contextlib.ExitStack() as stack:
        superlink = start_superlink(home, host=_HOST, port=port, certificate=tls.certificate, key=tls.key, ca=tls.ca)
        stack.callback(superlink.stop)
        wait_until_up(address, tls.ca, superlink)
        control = stack.enter_context(contextlib.closing(Control(address, tls.ca, secret_file(home))))
        nodes = []
        for silo in silos:
            own = folder / "nodes" / silo.name
            own.mkdir(parents=True, exist_ok=True)
            nodes.append(control.admit(make_node_key(own / "node.key")))
            for process in _start(silo, own, nodes[-1], address, tls.ca, client_app, dict(run_config or {})):
                stack.callback(process.stop)
        grid = stack.enter_context(open_grid(address, tls.ca, secret_file(home), control))
        end = time.monotonic() + seconds
        while set(grid.get_node_ids()) != set(nodes):
            if time.monotonic() > end:
                raise FederationError(f"not all nodes came up; see the logs below {folder / 'nodes'}")
            time.sleep(0.1)
        yield grid


def _start(
    silo: SiloProcess,
    own: Path,
    node: int,
    address: str,
    ca: Path,
    client_app: str,
    run_config: Mapping[str, str | int | float | bool],
) -> list[FlowerProcess]:
    port = free_port()
    supernode = start_supernode(own, address=address, ca=ca, key=own / "node.key", port=port)
    silo.folder.mkdir(parents=True, exist_ok=True)
    context = {
        "folder": str(silo.folder),
        "node_id": node,
        "node_config": dict(silo.node_config),
        "run_config": dict(run_config),
    }
    arguments = ["--client-app", client_app, "--address", f"{_HOST}:{port}", "--secret", str(secret_file(own))]
    arguments += ["--context", json.dumps(context)]
    log = own / "silo.log"
    return [
        FlowerProcess("atoll.federation.flower.silo", arguments, log=log, environment=dict(silo.environment)),
        supernode,
    ]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
