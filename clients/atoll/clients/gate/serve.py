"""A running node: Flower's SuperNode for the connection, our gate for the answers, and patience with both."""

import contextlib
import logging
import ssl
import threading
import time
from functools import partial
from pathlib import Path

import httpx
from flwr.app import Message

from atoll.clients.gate.gate import Gate
from atoll.clients.gate.health import HealthMonitor
from atoll.clients.gate.setup import NodeFolder
from atoll.errors.explain import explained
from atoll.experts.files import write_atomic
from atoll.federation.flower.clock import clock_offset, shift_clock
from atoll.federation.flower.loopback import free_port
from atoll.federation.flower.process import FlowerProcess
from atoll.federation.flower.superlink import secret_file
from atoll.federation.flower.supernode import start_supernode
from atoll.federation.flower.tasks import serve_tasks
from atoll.federation.handover import Invitation
from atoll.federation.proxies import leave_proxies, proxy_for, shown_proxy
from atoll.storage.folder_lock import sole_owner

log = logging.getLogger(__name__)
_FIRST, _LONGEST = 1.0, 20.0
_NOT_LET_IN = ("Failed to activate SuperNode", "401 Unauthorized", "Invalid SuperNode authentication")
"""What SuperNode says when SuperLink does not know its key."""
_SILENT = 120.0
"""Seconds without a message, where hellos come every twenty, after which a connection is taken to be dead."""
_BEAT = 15.0
"""Seconds between notes that the node lives."""
_SKEW = 5.0
"""Seconds: smaller differences of the clocks are noise."""


def serve_node(root: Path, stop: threading.Event) -> None:
    """Serve until told to stop. A coordinator that is away, or has not admitted this node yet, is waited for.

    Args:
        root: The node's folder.
        stop: Set to end.

    Raises:
        LedgerError: another process serves this folder.
        ConfigError: the folder cannot be used.
    """
    folder = NodeFolder(root.absolute())
    config, key = folder.read_config(), folder.read_key()
    folder.read_policy()
    invited = Invitation.load(folder.invitation)
    with contextlib.ExitStack() as stack:
        stack.enter_context(sole_owner(root / ".lock", root))
        gate = Gate(folder.root, config.owner, key, folder.read_policy)
        gate.stopping = stop
        gate.works.start()
        stack.callback(gate.works.stop)
        Link(folder, invited, gate).run(stop)


class Link:
    """The connection, made again as often as it takes."""

    def __init__(self, folder: NodeFolder, invited: Invitation, gate: Gate) -> None:
        self._folder, self._gate = folder, gate
        self._address = invited.address
        # Read once, and then forgotten: what else this process connects to is on this machine.
        self._proxy = proxy_for(invited.address)
        self._by = "" if self._proxy is None else f" by the proxy {shown_proxy(self._proxy)}"
        leave_proxies()
        self._flower = folder.root / "flower"
        self._flower.mkdir(exist_ok=True)
        self._ca = self._flower / "ca.crt"
        write_atomic(self._ca, invited.ca.encode())
        self._told = ""
        self.vitals = HealthMonitor(folder.root)
        self._beat = 0.0

    def run(self, stop: threading.Event) -> None:
        """Until told to stop: whatever ends a connection, another is made."""
        pause = _FIRST
        while not stop.is_set():
            began = time.monotonic()
            try:
                why = self._connect_once(stop)
            except Exception as error:
                told = explained(error)
                if told is None:
                    log.exception("the connection failed")
                why = f"the connection failed ({told or type(error).__name__})"
            if stop.is_set():
                return
            pause = _FIRST if time.monotonic() - began > 60 else min(2 * pause, _LONGEST)
            self._tell(f"{why}; trying again")
            self.vitals.note(connected=False, trouble=why, reconnects=self.vitals.health.reconnects + 1)
            stop.wait(pause)

    def _connect_once(self, stop: threading.Event) -> str:
        """Serve as long as it goes well; returns what ended it."""
        try:
            offset = clock_offset(self._address, self._ca, self._proxy)
        except OSError as error:
            return self._unreachable(error)
        if abs(offset) > _SKEW:
            self._tell(f"this machine's clock is {offset:+.0f} s off the coordinator's; the coordinator's is used")
        else:
            offset = 0.0
        shift_clock(offset)
        port = free_port()
        supernode = start_supernode(
            self._flower,
            address=self._address,
            ca=self._ca,
            key=self._folder.node_key,
            port=port,
            clock_offset=offset,
            proxy=self._proxy,
        )
        self.vitals.wait_anew()
        try:
            self._serve(supernode, port, stop)
            if supernode.alive:
                return f"nothing came from the coordinator for {self.vitals.silent():.0f} s"
            return self._ended(supernode)
        finally:
            supernode.stop()

    def _serve(self, supernode: FlowerProcess, port: int, stop: threading.Event) -> None:
        while supernode.alive and not stop.is_set() and not self._is_dead():
            connected = "SuperNode ID:" in supernode.said()
            if connected:
                self._tell(f"connected to the coordinator at {self._address}{self._by}")
            # It has not opened its port yet, has just ended, or knows us no more.
            with contextlib.suppress(httpx.HTTPError):
                serve_tasks(
                    f"127.0.0.1:{port}",
                    secret_file(self._flower),
                    self._handle,
                    stop,
                    until=partial(self._breaks, supernode, connected),
                )
            stop.wait(0.1)

    def _handle(self, message: Message) -> Message:
        reply = self._gate.handle(message)
        self.vitals.hear()
        return reply

    def _breaks(self, supernode: FlowerProcess, known: bool) -> bool:
        return _newly_connected(supernode, known) or self._is_dead()

    def _is_dead(self) -> bool:
        """Whether the connection has been silent for too long: SuperNode can stay up and never come back to life."""
        if time.monotonic() - self._beat > _BEAT:
            self._beat = time.monotonic()
            self.vitals.note(workers=self._gate.works.restarts)
        return self.vitals.silent() > _SILENT

    def _ended(self, supernode: FlowerProcess) -> str:
        said = supernode.said()
        if any(sign in said for sign in _NOT_LET_IN):
            return (
                "the coordinator does not let this node in: it has not approved it yet, has revoked it, "
                "or another node with the same keys is connected (if that is not yours, they are stolen); hand "
                f"{self._folder.enrolment} to its operator"
            )
        return f"the connection{self._by} ended ({supernode.why()}); {supernode.log} says more"

    def _unreachable(self, error: OSError) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"what answers at {self._address}{self._by} is not the coordinator of the invitation "
                f"({error.verify_message}); nothing was sent; ask its operator"
            )
        if isinstance(error, ssl.SSLError):
            return f"what answers at {self._address}{self._by} does not speak TLS ({error.reason}); nothing was sent"
        hint = "" if self._proxy is None else "; to go there without it, name its host in no_proxy"
        return f"no coordinator answers at {self._address}{self._by} ({error}){hint}"

    def _tell(self, what: str) -> None:
        """Once, however often it happens."""
        if what != self._told:
            self._told = what
            log.info("%s", what)


def _newly_connected(supernode: FlowerProcess, known: bool) -> bool:
    return not known and "SuperNode ID:" in supernode.said()
