"""The coordinator: SuperLink as a child, one Flower run after the other, and the loop that talks with the nodes."""

import contextlib
import logging
import os
import secrets
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from flwr.serverapp import Grid

from atoll.anchors import resolve
from atoll.coordinator.erasure.eraser import Eraser, Holdings
from atoll.coordinator.operators import operator_tokens
from atoll.coordinator.server.conversation import Conversation
from atoll.coordinator.server.desk import Desk
from atoll.coordinator.server.folder import ServerFolder, know_own
from atoll.coordinator.server.history_guard import check_history
from atoll.coordinator.server.node_instances import RefusedSessions
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.server.sole import sole_coordinator
from atoll.coordinator.status.contact import Contact, leave_contact
from atoll.coordinator.status.live import Live
from atoll.coordinator.status.snapshot import reader
from atoll.coordinator.status.web import create_status_app, serve
from atoll.errors import AtollError, FederationError
from atoll.errors.explain import explained
from atoll.experts.files import write_atomic
from atoll.experts.signing import OwnerKey
from atoll.federation.blobs import BlobStore
from atoll.federation.certificates import expires
from atoll.federation.flower.process import FlowerProcess
from atoll.federation.flower.run import Control, open_grid, wait_until_up
from atoll.federation.flower.superlink import DATABASE, secret_file, set_aside_corrupt, start_superlink
from atoll.federation.listening import expect_listening
from atoll.federation.proxies import leave_proxies

log = logging.getLogger(__name__)
_PAUSE = 0.2
_LONGEST = 20.0
_TRIES = 3
"""Starts after which an engine that has never worked is given up."""
_WARN = timedelta(days=60)


def serve_coordinator(root: Path, stop: threading.Event) -> None:
    """Serve until told to stop.

    Args:
        root: The coordinator's folder.
        stop: Set to end.

    Raises:
        MachineError: a port that it is to listen on cannot be had.
        LedgerError: another coordinator works on the ledger; or it is an older or another one than there was.
        ConfigError: the folder cannot be used.
    """
    leave_proxies()
    folder = ServerFolder(root.absolute())
    config = folder.read_config()
    config.check_plugins()
    left = expires(folder.tls().certificate) - datetime.now(UTC)
    if left < _WARN:
        log.warning(
            "the TLS certificate ends in %d days: remove tls/server.crt and run `atoll coordinator init` again, "
            "or give a new one of your own",
            left.days,
        )
    key = OwnerKey.load(folder.key)
    know_own(key.public)
    with contextlib.ExitStack() as stack:
        stack.enter_context(sole_coordinator(config.ledger or folder.root / "ledger.db"))
        expect_listening(config.bind, config.port, "the coordinator", stop)
        ledger = stack.enter_context(folder.open_ledger(create=True))
        check_history(folder, ledger, key.public)
        ledger.mark()
        live = Live()
        shop = Shop(
            folder,
            config,
            ledger,
            key,
            resolve(config.anchor),
            live,
            BlobStore(folder.packages),
        )
        _serve_status(shop, stack)
        _Engine(shop).run(stop)


def _serve_status(shop: Shop, stack: contextlib.ExitStack) -> None:
    token_file = shop.folder.root / "status.token"
    if not token_file.exists():
        write_atomic(token_file, secrets.token_urlsafe(24).encode(), mode=0o600)
    token, status = token_file.read_text("ascii"), shop.config.status
    # A ledger of its own: what the loop is reading must not change under it when the page is asked for.
    shown = stack.enter_context(shop.folder.open_ledger())
    operators = operator_tokens(stack.enter_context(shop.folder.open_ledger()))
    web = serve(create_status_app(reader(shown, shop.live), token, operators), status.host, status.port)
    stack.callback(web.stop)
    left = leave_contact(shop.folder.root, Contact(url=web.url, token=token, pid=os.getpid()))
    stack.callback(left.unlink, missing_ok=True)
    log.info("status: %s, with the token in %s", web.url, token_file)


class _Engine:
    """SuperLink and the runs over it, started again as often as it takes."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._tls = shop.folder.tls()
        own = shop.config.own_host
        self._address = f"[{own}]:{shop.config.port}" if ":" in own else f"{own}:{shop.config.port}"
        self._desk = Desk(shop)
        self._eraser = Eraser(shop.ledger, Holdings(shop.folder.root, shop.packages, shop.folder.releases, shop.key))
        self._registered: tuple[object, ...] = ()
        self._nodes: dict[str, int] = {}
        self._was_up = False

    def run(self, stop: threading.Event) -> None:
        """Until told to stop: what has worked is started again as often as it takes.

        Raises:
            AtollError, httpx.HTTPError, OSError: it has never worked, in several tries.
        """
        pause, failures = 1.0, 0
        while not stop.is_set():
            began = time.monotonic()
            try:
                self._run_once(stop)
            except (AtollError, httpx.HTTPError, OSError) as error:
                failures += 1
                why = str(explained(error) or error)
                if not self._was_up and failures >= _TRIES:
                    raise
                log.error("the engine stopped: %s; started again", why)
                self._shop.live.failed("", "engine", why)
                self._shop.live.stopped(why)
            except Exception as error:  # whatever it is, the coordinator stays up, and says so
                log.exception("the engine stopped; started again")
                self._shop.live.failed("", "engine", f"{type(error).__name__}: {error}")
                self._shop.live.stopped(f"{type(error).__name__}: {error}")
            pause = 1.0 if time.monotonic() - began > 60 else min(2 * pause, _LONGEST)
            stop.wait(0 if stop.is_set() else pause)

    def _run_once(self, stop: threading.Event) -> None:
        config, flower = self._shop.config, self._shop.folder.flower
        if aside := set_aside_corrupt(flower / DATABASE):
            why = f"SuperLink's database was corrupt and is set aside as {aside.name}; nodes are registered anew"
            log.error("%s", why)
            self._shop.live.failed("", "engine", why)
        expect_listening(config.bind, config.port, "the coordinator", stop)
        superlink = start_superlink(
            flower,
            host=config.bind,
            port=config.port,
            certificate=self._tls.certificate,
            key=self._tls.key,
            ca=self._tls.ca,
        )
        try:
            wait_until_up(self._address, self._tls.ca, superlink, stop=stop)
            if stop.is_set():
                return
            secret = secret_file(flower)
            with contextlib.closing(Control(self._address, self._tls.ca, secret)) as control:
                self._registered = ()
                self._was_up = True
                log.info("listening on %s:%d", config.bind, config.port)
                while not stop.is_set():
                    with open_grid(self._address, self._tls.ca, secret, control) as grid:
                        self._talk(grid, control, superlink, stop)
        finally:
            superlink.stop()

    def _talk(self, grid: Grid, control: Control, superlink: FlowerProcess, stop: threading.Event) -> None:
        """One Flower run, until it ends or SuperLink does."""
        conversations: dict[str, Conversation] = {}
        refused = RefusedSessions(superlink.log)
        while not stop.is_set():
            if not superlink.alive:
                raise FederationError(f"SuperLink ended ({superlink.why()}); see {superlink.log}")
            self._sync_nodes(control)
            state = self._shop.ledger.state()
            if not state.doubted:
                self._eraser.turn()
                self._desk.turn()
                state = self._shop.ledger.state()
            online, rivals = set(grid.get_node_ids()), refused.news()
            self._shop.live.beat()
            for owner, node in self._nodes.items():
                known = conversations.get(owner)
                if known is None or known.node != node:
                    known = conversations[owner] = Conversation(self._shop, grid, owner, node)
                if node in rivals:
                    known.rival()
                if node in online:
                    known.speak(state)
            for owner in set(conversations) - set(self._nodes):
                del conversations[owner]
            by_message = {each: talk for talk in conversations.values() for each in talk.waits_for}
            for message in grid.pull_messages(list(by_message)) if by_message else ():
                talk = by_message.get(message.metadata.reply_to_message_id)
                if talk is not None:
                    talk.hear(message)
            stop.wait(_PAUSE)

    def _sync_nodes(self, control: Control) -> None:
        """Let in whom the ledger admits, and nobody else."""
        state = self._shop.ledger.state()
        wanted = {
            owner.admitted.node_key.encode(): name
            for name, owner in state.owners.items()
            if owner.admitted.node_key and not owner.revoked
        }
        if self._registered == (tuple(sorted(wanted)),):
            return
        there = control.nodes()
        for key, node in there.items():
            if key not in wanted:
                control.bar(node)
                log.info("node %d is let in no more", node)
        self._nodes = {}
        for key, owner in sorted(wanted.items()):
            try:
                self._nodes[owner] = there[key] if key in there else control.admit(key)
            except httpx.HTTPStatusError as error:
                self._shop.live.failed(owner, "letting its node in", str(error))
        self._registered = (tuple(sorted(wanted)),)
