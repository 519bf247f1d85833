"""What goes with a coordinator that runs: its log, and waiting for what was called."""

import logging
import shlex
import sys
import time
from pathlib import Path

import typer

from atoll.coordinator.server.folder import ServerFolder
from atoll.coordinator.status.contact import find_contact
from atoll.coordinator.status.logs import log_to
from atoll.errors import FederationError
from atoll.ledger import Called


def speak(folder: Path) -> None:
    """Let ``atoll``'s log be seen, and kept as JSON lines in the folder."""
    ServerFolder(folder).read_config()
    root = logging.getLogger("atoll")
    root.setLevel(logging.INFO)
    root.propagate = False
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    root.addHandler(shown)
    logging.getLogger("flwr").setLevel(logging.CRITICAL)  # what matters of it we say ourselves
    log_to(folder / "coordinator.log", level=logging.INFO)


def wait_for(folder: Path, called: Called, seconds: float) -> None:
    """Wait for a call to be finished, and say what came of it; without waiting, say whether anyone is there to do it.

    Raises:
        FederationError: it failed, or was not done in time.
    """
    shown = shlex.quote(str(folder))
    if find_contact(folder) is None:
        typer.echo(f"the coordinator does not run; it is done when it does: atoll coordinator up {shown}", err=True)
    if seconds <= 0:
        return
    end, told = time.monotonic() + seconds, ""
    with ServerFolder(folder).open_ledger() as ledger:
        while True:
            state = ledger.state()
            call = state.calls[called.call]
            done = {owner: state.done.get((owner, unit)) for owner, unit in call.units.items()}
            standing = called.work == "train" and not called.owners
            now = ", ".join(
                f"{owner}: {'done' if fact and not fact.failure else fact.failure if fact else 'working'}"
                for owner, fact in sorted(done.items())
            )
            if now != told:
                typer.echo(now)
                told = now
            if call.finished is not None and call.finished.failure:
                raise FederationError(f"{called.work}: {call.finished.failure}")
            if call.finished is not None or (standing and done and all(done.values())):
                typer.echo(call.finished.result if call.finished else f"{len(done)} owners have answered")
                return
            if time.monotonic() > end:
                raise FederationError(f"not done within {seconds:g} s; it goes on: atoll coordinator status {shown}")
            time.sleep(0.3)
