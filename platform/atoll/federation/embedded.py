"""The embedded engine: Flower's ``Grid`` over one worker process a silo."""

import contextlib
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from atoll.errors import FederationError
from atoll.errors.explain import explained
from atoll.federation.exit_reason import KILLED, tail, why_it_ended
from atoll.federation.logs import shorten_log
from atoll.federation.messages import local_message
from atoll.federation.progress import Progress
from atoll.federation.wire import CONTEXT, MESSAGE, PROGRESS, REPLY, decode, encode, read_frame, write_frame

_COORDINATOR = 1
_RESTARTS = 3
_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class SiloProcess:
    """A silo as the engine knows it.

    Attributes:
        name: The institution's.
        folder: Its folder; the worker's working directory, log and state are in it.
        node_config: What the ``ClientApp`` finds in its context.
        environment: Variables of the worker beside our own.
        private: Files and folders, beside its folder, that no other silo's worker may open: its data.
    """

    name: str
    folder: Path
    node_config: Mapping[str, str | int | float | bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    private: tuple[Path, ...] = ()

    @property
    def places(self) -> list[str]:
        """All that is this silo's alone."""
        return [str(path) for path in (self.folder, *self.private)]

    @property
    def node_id(self) -> int:
        """The same in every run: a positive number from the name."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "big") >> 1 or 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of one message, as they crossed the process boundary.

    Attributes:
        silo: Whose worker.
        direction: ``in`` to the silo, ``out`` of it.
        message_type: Flower's.
        bytes: Length of the protobuf.
    """

    silo: str
    direction: str
    message_type: str
    bytes: int


OnProgress = Callable[[str, Progress], None]
"""Told the silo's name and how far it is."""
OnTraffic = Callable[[Traffic], None]
"""Told of each message as it has crossed."""


class EmbeddedGrid(Grid):
    """Worker processes as nodes. A context manager: on leaving, no worker stays behind."""

    def __init__(
        self,
        silos: Sequence[SiloProcess],
        *,
        client_app: str,
        run_config: Mapping[str, str | int | float | bool] | None = None,
        parallel: int = 0,
        threads: int = 1,
        on_progress: OnProgress | None = None,
        on_traffic: OnTraffic | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            silos: The nodes.
            client_app: ``module:attribute`` of the Flower ``ClientApp``.
            run_config: What the ``ClientApp`` finds in its context.
            parallel: Silos that work at the same time; 0 for as many as there are cores.
            threads: Threads for tensor work in each worker.
            on_progress: Listener, called from the engine's threads.
            on_traffic: Listener for what crosses, called from the engine's threads, one at a time.
        """
        self._run = Run.create_empty(1)
        self.traffic: list[Traffic] = []
        self._replies: dict[str, Message] = {}
        self._arrived = threading.Condition()
        slots = threading.Semaphore(parallel or os.cpu_count() or 1)
        self._on_traffic = on_traffic
        self._workers = {
            silo.node_id: _Worker(
                silo,
                client_app,
                dict(run_config or {}),
                threads,
                [place for other in silos if other is not silo for place in other.places],
                slots,
                self._done,
                on_progress,
            )
            for silo in silos
        }

    def __enter__(self) -> "EmbeddedGrid":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop all workers at once: first by closing their input, then by force."""
        with ThreadPoolExecutor(max(1, len(self._workers))) as pool:
            list(pool.map(_Worker.stop, self._workers.values()))

    def set_run(self, run: Run) -> None:
        """Take over Flower's description of the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """Flower's description of the run."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to one node."""
        return local_message(self._run.run_id, _COORDINATOR, content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> list[int]:
        """One for each silo, in the order they were given."""
        return list(self._workers)

    def name_of(self, node_id: int) -> str:
        """The silo behind a node id."""
        return self._workers[node_id].silo.name

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Hand messages to their workers' queues.

        Raises:
            FederationError: a message to a node that is not there.
        """
        identifiers = []
        for message in messages:
            node = message.metadata.dst_node_id
            if node not in self._workers:
                raise FederationError(f"there is no node {node}")
            message.metadata.__dict__["_message_id"] = str(uuid4())
            identifiers.append(message.metadata.message_id)
            self._workers[node].put(message)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies that have arrived; each is given out once."""
        with self._arrived:
            return [self._replies.pop(identifier) for identifier in message_ids if identifier in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Push, and wait for all replies or for ``timeout`` seconds; what has arrived by then is returned."""
        waiting = set(self.push_messages(messages))
        end = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        with self._arrived:
            while waiting:
                for identifier in [i for i in waiting if i in self._replies]:
                    replies.append(self._replies.pop(identifier))
                    waiting.discard(identifier)
                left = None if end is None else end - time.monotonic()
                if not waiting or (left is not None and left <= 0):
                    break
                self._arrived.wait(left)
        return replies

    def _done(self, message: Message, reply: Message, sent: list[Traffic]) -> None:
        reply.metadata.__dict__["_message_id"] = str(uuid4())
        with self._arrived:
            self.traffic.extend(sent)
            if self._on_traffic is not None:
                for item in sent:
                    self._on_traffic(item)
            self._replies[message.metadata.message_id] = reply
            self._arrived.notify_all()


class _Worker:
    """One silo's process and the thread that speaks with it."""

    def __init__(
        self,
        silo: SiloProcess,
        client_app: str,
        run_config: dict[str, str | int | float | bool],
        threads: int,
        others: list[str],
        slots: threading.Semaphore,
        done: Callable[[Message, Message, list[Traffic]], None],
        on_progress: OnProgress | None,
    ) -> None:
        self.silo = silo
        self._command = [sys.executable, "-m", "atoll.federation.worker", "--client-app", client_app]
        self._command += ["--folder", str(silo.folder)]
        self._others = others
        self._run_config, self._threads = run_config, threads
        self._slots, self._done, self._on_progress = slots, done, on_progress
        self._queue: queue.Queue[Message | None] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths, self._log_began = 0, 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def put(self, message: Message) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name=f"silo-{self.silo.name}", daemon=True)
            self._thread.start()
        self._queue.put(message)

    def stop(self) -> None:
        self._stopping = True
        self._queue.put(None)
        process = self._process
        if process is not None:
            _end(process)
        if self._thread is not None:
            self._thread.join(_GRACE)
        # Only now: the thread may have been reading until the worker's end.
        if process is not None:
            _close(process)

    def _loop(self) -> None:
        while (message := self._queue.get()) is not None and not self._stopping:
            sent: list[Traffic] = []
            with self._slots:
                reply = self._answer(message, sent)
            self._done(message, reply, sent)

    def _answer(self, message: Message, sent: list[Traffic]) -> Message:
        if self._deaths >= _RESTARTS:
            return self._error(message, ErrorCode.NODE_UNAVAILABLE, f"its worker died {self._deaths} times in a row")
        try:
            process = self._running()
            assert process.stdin is not None
            kind = message.metadata.message_type
            size = write_frame(process.stdin, MESSAGE, encode(message))
            sent.append(Traffic(self.silo.name, "in", kind, size))
            raw = self._read_reply(process)
            reply = decode(raw)
            sent.append(Traffic(self.silo.name, "out", kind, len(raw)))
        except (FederationError, OSError) as error:
            self._deaths += 1
            ended, self._process = self._process, None
            log = self.silo.folder / "worker.log"
            why = _obituary(ended, tail(log, self._log_began)) if ended is not None else str(explained(error) or error)
            hint = ", as when the machine's memory runs out" if why == KILLED else ""
            return self._error(message, ErrorCode.CLIENT_APP_CRASHED, f"its worker died ({why}){hint}; see {log}")
        self._deaths = 0
        shorten_log(self.silo.folder / "worker.log")
        return reply

    def _read_reply(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        while True:
            frame = read_frame(process.stdout)
            if frame is None:
                raise FederationError("the worker closed its output")
            if frame[0] == REPLY:
                return frame[1]
            if frame[0] == PROGRESS and self._on_progress is not None:
                self._on_progress(self.silo.name, Progress.from_bytes(frame[1]))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.silo.folder.mkdir(parents=True, exist_ok=True)
        threads = str(self._threads)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "PYTHONIOENCODING": "utf-8:backslashreplace",  # so that its log is, whatever the locale
            **self.silo.environment,
        }
        with (self.silo.folder / "worker.log").open("ab") as log:
            self._log_began = log.tell()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.silo.folder,
                env=environment,
            )
        context = {
            "own": self.silo.places,
            "others": self._others,
            "run_id": 1,
            "node_id": self.silo.node_id,
            "node_config": dict(self.silo.node_config),
            "run_config": self._run_config,
        }
        assert self._process.stdin is not None
        write_frame(self._process.stdin, CONTEXT, json.dumps(context).encode())
        return self._process

    def _error(self, message: Message, code: int, reason: str) -> Message:
        return Message(Error(code, reason), reply_to=message)


def _obituary(process: subprocess.Popen[bytes], said: str) -> str:
    """How a worker ended; one that sent nonsense is ended here."""
    try:
        code = process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return "it sent something that is no reply"
    finally:
        _close(process)
    return why_it_ended(said, code)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask by closing the worker's input, then by signals."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    for action in (process.terminate, process.kill):
        try:
            process.wait(_GRACE / 5)
            break
        except subprocess.TimeoutExpired:
            action()
    process.wait()


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):  # what was still to be written has no reader
                stream.close()
