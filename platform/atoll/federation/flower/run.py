"""The coordinator's side of the queue: a Flower run of our own over SuperLink, as a ``Grid`` in this process."""

import contextlib
import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from flwr.common.constant import SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest, PushTaskOutputRequest
from flwr.serverapp import Grid
from flwr.supercore.constant import NodeStatus, TaskType
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import SuperExecAuthHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid

from atoll.errors import FederationError
from atoll.federation.flower.clock import clock_offset
from atoll.federation.flower.grid import PromptGrid
from atoll.federation.flower.process import FlowerProcess
from atoll.federation.flower.superlink import HEADER
from atoll.federation.flower.tasks import ACQUIRE, runtime_client

_PATIENCE = 5.0
_BUNDLE = """[project]
name = "atoll"
version = "1.0.0"
[tool.flwr.app]
publisher = "atoll"
[tool.flwr.app.components]
serverapp = "atoll.coordinator.app:app"
clientapp = "atoll.clients.app:app"
[tool.flwr.app.config]
"""


class _Control:
    """Shows the secret to the control API."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        context.request.headers[HEADER] = self._secret
        return call_next(context)


class Control:
    """Which nodes SuperLink lets in."""

    def __init__(self, address: str, ca: Path, secret: Path) -> None:
        """For the SuperLink at ``address``; nothing is asked yet."""
        interceptors = [_Control(secret.read_text("ascii"))]
        self.client = ControlHttpClient.from_server_address(address, False, ca.read_bytes(), interceptors)

    def close(self) -> None:
        """Let go of the connection."""
        self.client.close()

    def nodes(self) -> dict[bytes, int]:
        """Node ids by public key (PEM), of all that are let in."""
        found = self.client.ListNodes(ListNodesRequest())
        let_in = (node for node in found.nodes_info if node.status != NodeStatus.UNREGISTERED)
        return {bytes(node.public_key): node.node_id for node in let_in}

    def admit(self, public_key: bytes) -> int:
        """Let a node in; returns its id.

        Raises:
            httpx.HTTPStatusError: SuperLink refuses the key.
        """
        return int(self.client.RegisterNode(RegisterNodeRequest(public_key=public_key)).node_id)

    def bar(self, node_id: int) -> None:
        """Let a node in no more."""
        self.client.UnregisterNode(UnregisterNodeRequest(node_id=node_id))


def wait_until_up(
    address: str, ca: Path, superlink: FlowerProcess, *, stop: threading.Event | None = None, seconds: float = 60.0
) -> None:
    """Wait for SuperLink to answer, or to be told to stop.

    Raises:
        FederationError: it ended, or did not answer in time.
    """
    end = time.monotonic() + seconds
    while stop is None or not stop.is_set():
        try:
            clock_offset(address, ca)
            return
        except OSError as error:
            if not superlink.alive:
                raise FederationError(f"SuperLink ended at once ({superlink.why()}); see {superlink.log}") from error
            if time.monotonic() > end:
                raise FederationError(f"SuperLink does not answer at {address}: {error}") from error
        time.sleep(0.1)


@contextmanager
def open_grid(address: str, ca: Path, secret: Path, control: Control) -> Iterator[Grid]:
    """A new Flower run; runs that an earlier coordinator left are stopped.

    Args:
        address: ``host:port`` of SuperLink.
        ca: PEM of who signed its certificate.
        secret: The file that SuperLink shares with us.
        control: To start the run with.

    Raises:
        FederationError: SuperLink does not start a run.
    """
    for run_id, run in control.client.ListRuns(ListRunsRequest()).run_dict.items():
        if run.status.status != "finished":
            with contextlib.suppress(httpx.HTTPStatusError):
                control.client.StopRun(StopRunRequest(run_id=run_id))
    bundle = _bundle()
    fab = Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle)
    started = control.client.StartRun(StartRunRequest(fab=fab, federation=""))
    token = _acquire(address, ca, secret, started.run_id)
    grid = HttpGrid(address, False, ca.read_bytes(), token=token)
    # SuperLink is our own child on this machine: when it is gone, waiting does not bring it back.
    grid._retry_invoker.max_time = _PATIENCE
    client = grid._runtime_client
    heartbeat = HeartbeatSender(make_task_heartbeat_fn_http(client))
    try:
        heartbeat.start()
        task = client.PullTaskInput(PullTaskInputRequest())
        TaskIdentity.task_id, TaskIdentity.run_id = task.task_id, task.run.run_id
        TaskIdentity.node_id = task.context.node_id
        grid.set_run(run_from_proto(task.run))
        yield PromptGrid(grid)
    finally:
        if heartbeat.is_running:
            heartbeat.stop()
        with contextlib.suppress(httpx.HTTPError):
            client.PushTaskOutput(PushTaskOutputRequest(sub_status=SubStatus.COMPLETED, details=""))
        grid.close()


def _acquire(address: str, ca: Path, secret: Path, run_id: int) -> str:
    signer = SuperExecAuthHttpInterceptor(master_secret=secret.read_bytes(), protected_methods={ACQUIRE})
    with contextlib.closing(runtime_client(address, signer, insecure=False, ca=ca.read_bytes())) as client:
        for _ in range(100):
            answer = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP]))
            if answer.HasField("task") and answer.task.run_id == run_id:
                return str(answer.token)
            time.sleep(0.05)
    raise FederationError(f"SuperLink at {address} gave no task for run {run_id}; see its log")


def _bundle() -> bytes:
    """A bundle that names our apps and holds no code; equal every time."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr(zipfile.ZipInfo("pyproject.toml", (1980, 1, 1, 0, 0, 0)), _BUNDLE)
    return raw.getvalue()
