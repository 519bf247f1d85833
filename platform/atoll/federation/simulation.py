"""The simulation engine: Flower's own, with many virtual silos on Ray, under the ``Grid`` that the other engines have.

A few processes serve all silos in turn, so it holds many more of them than the embedded engine, which keeps a process
for each. What that costs: nothing keeps one silo's code from another's files, progress reports are not heard by
anybody, and a message takes Flower's polling and Ray's scheduling on its way. It is for trying out a federation on
data that is all yours.
"""

import contextlib
import functools
import io
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import (
    HEARTBEAT_INTERVAL_INF,
    NOOP_ACCOUNT_NAME,
    NOOP_FLWR_AID,
    NUM_PARTITIONS_KEY,
    PARTITION_ID_KEY,
    SUPERLINK_NODE_ID,
    ErrorCode,
)
from flwr.common.serde import message_to_proto
from flwr.compat.client.run_info_store import DeprecatedRunInfoStore
from flwr.proto.task_pb2 import Task
from flwr.server.superlink.fleet.vce.metrics import VceMetrics
from flwr.server.superlink.fleet.vce.vce_api import run_api
from flwr.server.superlink.linkstate import InMemoryLinkState, LinkStateFactory
from flwr.server.superlink.linkstate.in_memory_linkstate import RunRecord
from flwr.serverapp import Grid
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME, NOOP_FEDERATION_ID
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.superlink.federation import NoOpFederationManager
from flwr.superlink.grid import InMemoryGrid

from atoll.errors import FederationError
from atoll.federation.embedded import OnTraffic, SiloProcess, Traffic
from atoll.federation.messages import local_message
from atoll.federation.ray_session import ray_session
from atoll.federation.turns import InTurns
from atoll.federation.virtual import VirtualSilos

if TYPE_CHECKING:
    from flwr.server.superlink.fleet.vce.backend import BackendConfig
    from flwr.server.superlink.fleet.vce.backend.raybackend import RayBackend

_RUN = _TASK = 1
_POLL = 0.02
_GRACE = 30.0


class SimulationGrid(Grid):
    """Virtual silos as nodes. A context manager: on leaving, no process of Ray's stays behind."""

    def __init__(
        self,
        silos: Sequence[SiloProcess],
        *,
        client_app: str,
        parallel: int = 0,
        threads: int = 1,
        on_traffic: OnTraffic | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            silos: The nodes; their ``ClientApp`` finds the partition in its context beside what the silo says.
            client_app: ``module:attribute`` of the Flower ``ClientApp``.
            parallel: Silos that work at the same time; 0 for as many as there are cores.
            threads: Threads for tensor work in each process.
            on_traffic: Listener for what is sent and what comes back, one at a time; sizes are those that the
                messages have as protobuf, though Ray carries them in another form.

        Raises:
            FederationError: a silo has environment variables of its own, which processes that are shared cannot give.
        """
        for silo in silos:
            if silo.environment:
                raise FederationError(
                    f"silo '{silo.name}' has environment variables of its own ({', '.join(silo.environment)}), but "
                    "silos share processes in simulation: set them for all, or take the embedded engine"
                )
        self._parallel = parallel or os.cpu_count() or 1
        self._threads = threads
        self._on_traffic = on_traffic
        self._app = VirtualSilos(client_app, [silo.folder / "worker.log" for silo in silos])
        self._states = LinkStateFactory(FLWR_IN_MEMORY_DB_NAME, NoOpFederationManager(), ObjectStoreFactory())
        state = self._states.state()
        assert isinstance(state, InMemoryLinkState)
        self._silos = {_register(state, silo.name): silo for silo in silos}
        run = Run.create_empty(_RUN)
        run.primary_task_id, run.federation_id = _TASK, NOOP_FEDERATION_ID
        state.run_ids[_RUN] = RunRecord(run=run)
        state.task_store[_TASK] = Task(task_id=_TASK, run_id=_RUN)
        self._grid = InMemoryGrid(self._states)
        self._grid.set_run(run)
        self._waiting: dict[str, Message] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._backend: RayBackend | None = None
        self._thread = threading.Thread(target=self._serve, name="simulation", daemon=True)
        self._session = ExitStack()

    def __enter__(self) -> "SimulationGrid":
        """Start Ray and Flower's runtime.

        Raises:
            FederationError: Ray is missing or does not start.
        """
        threads = str(self._threads)
        environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "FLWR_TELEMETRY_ENABLED": "0"}
        environment["FLWR_DISABLE_UPDATE_CHECK"] = "1"
        self._session.enter_context(ray_session(self._parallel, environment))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything, work that is under way too."""
        self._stop.set()
        end = time.monotonic() + _GRACE
        with _silence():
            while self._thread.is_alive() and time.monotonic() < end:
                self._kill_busy_actors()
                self._thread.join(0.1)
            self._session.close()

    def set_run(self, run: Run) -> None:
        """Take over Flower's description of the run; it must be the one that this engine serves."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """Flower's description of the run."""
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to one node."""
        return local_message(_RUN, SUPERLINK_NODE_ID, content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> list[int]:
        """One for each silo, in the order they were given; they are new in every run."""
        return list(self._silos)

    def name_of(self, node_id: int) -> str:
        """The silo behind a node id."""
        return self._silos[node_id].name

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Hand messages to Flower's runtime.

        Raises:
            FederationError: a message to a node that is not there, or one that Flower refuses.
        """
        identifiers = []
        for message in messages:
            node = message.metadata.dst_node_id
            if node not in self._silos:
                raise FederationError(f"there is no node {node}")
            pushed = list(self._grid.push_messages([message]))
            if not pushed:
                raise FederationError(f"Flower refuses a message to {self.name_of(node)}; its log says why")
            with self._lock:
                self._waiting[pushed[0]] = message
                self._tell(message, "in")
            identifiers += pushed
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies that have arrived; each is given out once.

        Raises:
            FederationError: Flower's runtime has ended, so that no reply can come any more.
        """
        with self._lock:
            # Flower fails over a message that it has forgotten because its reply was given out.
            asked = {identifier for identifier in message_ids if identifier in self._waiting}
            replies = [self._come(reply) for reply in self._grid.pull_messages(asked)] if asked else []
        if not replies and asked and self._failure is not None:
            raise FederationError(f"Flower's simulation ended: {self._failure}") from self._failure
        return replies

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Push, and wait for all replies or for ``timeout`` seconds; what has arrived by then is returned."""
        waiting = set(self.push_messages(messages))
        end = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting:
            for reply in self.pull_messages(waiting):
                replies.append(reply)
                waiting.discard(reply.metadata.reply_to_message_id)
            if not waiting or (end is not None and time.monotonic() >= end):
                break
            time.sleep(_POLL)
        return replies

    def _come(self, reply: Message) -> Message:
        asked = self._waiting.pop(reply.metadata.reply_to_message_id)
        if reply.has_error() and "ray.exceptions." in (reply.error.reason or ""):
            # Ray's own account of it is a page long.
            log = self._silos[asked.metadata.dst_node_id].folder / "worker.log"
            return Message(Error(ErrorCode.CLIENT_APP_CRASHED, f"its worker died; see {log}"), reply_to=asked)
        self._tell(reply, "out")
        return reply

    def _tell(self, message: Message, direction: str) -> None:
        if self._on_traffic is not None:
            node = message.metadata.dst_node_id if direction == "in" else message.metadata.src_node_id
            size = message_to_proto(message).ByteSize()
            self._on_traffic(Traffic(self.name_of(node), direction, message.metadata.message_type, size))

    def _serve(self) -> None:
        contexts = self._contexts()
        try:
            run_api(
                app_fn=functools.partial(_itself, self._app),
                backend_fn=lambda: InTurns(self._make_backend(), contexts),
                nodes_mapping={node: partition for partition, node in enumerate(self._silos)},
                state_factory=self._states,
                node_info_stores=contexts,
                f_stop=self._stop,
                metrics=VceMetrics(),
            )
        except Exception as error:  # whatever it was, nobody answers any more
            self._failure = error

    def _make_backend(self) -> "RayBackend":
        from flwr.server.superlink.fleet.vce.backend.raybackend import RayBackend

        # Flower passes these to Ray as an actor's options. One that died is started again; without a retry, what the
        # next silo is asked meanwhile would fail too, as Ray does not let it wait.
        options: BackendConfig = {
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0, "max_restarts": -1, "max_task_retries": 1}
        }
        self._backend = RayBackend(options)
        return self._backend

    def _contexts(self) -> dict[int, DeprecatedRunInfoStore]:
        """What each silo's ``ClientApp`` finds in its context."""
        contexts = {}
        for partition, (node, silo) in enumerate(self._silos.items()):
            own = {PARTITION_ID_KEY: partition, NUM_PARTITIONS_KEY: len(self._silos), **silo.node_config}
            contexts[node] = DeprecatedRunInfoStore(node, own)
            contexts[node].register_context(_RUN, self._grid.run)
        return contexts

    def _kill_busy_actors(self) -> None:
        import ray

        pool = self._backend.pool if self._backend is not None else None
        for actor in list(pool._future_to_actor.values()) if pool is not None else []:
            ray.kill(actor)


def _itself(app: VirtualSilos) -> VirtualSilos:
    """Flower wants a function that makes the app; it travels to the actors, so it must hold nothing of the engine."""
    return app


def _register(state: InMemoryLinkState, name: str) -> int:
    # Nodes have no keys in simulation, but Flower wants no two to have the same.
    node = state.create_node(
        NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, secrets.token_bytes(32), HEARTBEAT_INTERVAL_INF, name=name
    )
    state.acknowledge_node_heartbeat(node, HEARTBEAT_INTERVAL_INF)
    return node


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Flower and Ray tell of each actor that ends, and here that is what we want."""
    logger = logging.getLogger("flwr")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
