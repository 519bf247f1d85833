"""Flower's SuperLink as a child process, with its control API closed to everyone but the coordinator.

Flower authenticates nodes. Its control API, which starts runs and registers nodes, listens on the same port and is
open in the free edition, so the child process asks there for a secret that only the coordinator's folder holds.
"""

import contextlib
import hmac
import os
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from atoll.experts.files import write_atomic
from atoll.federation.flower.process import FlowerProcess, end_with_parent

HEADER = "atoll-control"
DATABASE = "superlink.db"
_Scope = MutableMapping[str, Any]
_App = Callable[..., Awaitable[None]]


def start_superlink(folder: Path, *, host: str, port: int, certificate: Path, key: Path, ca: Path) -> FlowerProcess:
    """Start it; what it must remember is in ``folder``.

    Args:
        folder: Its database, secret and log.
        host: To listen on.
        port: To listen on.
        certificate: PEM, for this host.
        key: Of the certificate.
        ca: PEM of who signed the certificate.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["--host", host, "--port", str(port), "--isolation", "process", "--enable-supernode-auth"]
    arguments += ["--ssl-certfile", str(certificate), "--ssl-keyfile", str(key), "--ssl-ca-certfile", str(ca)]
    # As a URL: of a path Flower makes one itself, in which some characters mean something else.
    database = URL.create("sqlite", database=str(folder.absolute() / DATABASE)).render_as_string()
    arguments += ["--database", database, "--disable-runtime-dependency-installation"]
    arguments += ["--superexec-auth-secret-file", str(secret_file(folder))]
    environment = {"ATOLL_CONTROL": secret_file(folder).read_text("ascii")}
    return FlowerProcess(__name__, arguments, log=folder / "superlink.log", environment=environment)


def secret_file(folder: Path) -> Path:
    """The secret between the coordinator and its own SuperLink; made when first asked for."""
    path = folder / "secret"
    if not path.exists():
        write_atomic(path, secrets.token_hex(32).encode(), mode=0o600)
    return path


def set_aside_corrupt(database: Path) -> Path | None:
    """Move a database that SQLite finds corrupt out of the way, with what belongs to it.

    Nothing in it must be kept: who may connect is in the ledger, and a node asks again for what was on its way.

    Returns:
        Where it is now; ``None`` where nothing was wrong.
    """
    if not database.exists() or _is_sound(database):
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    aside = database.with_name(f"{database.name}.corrupt-{stamp}")
    for ending in ("-wal", "-shm"):
        beside = database.with_name(database.name + ending)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + ending))
    database.replace(aside)
    return aside


def _is_sound(database: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=5)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError as error:
        return "locked" in str(error)  # someone uses it, so it is for them to say
    except sqlite3.DatabaseError:
        return False


class ControlGuard:
    """An ASGI application around Flower's: what comes to the control API without the secret is not let in."""

    def __init__(self, app: _App, secret: str) -> None:
        self._app, self._secret = app, secret.encode()

    async def __call__(self, scope: _Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] == "http" and not self._open(str(scope["path"])):
            given = dict(scope["headers"]).get(HEADER.encode(), b"")
            if not hmac.compare_digest(given, self._secret):
                await send({"type": "http.response.start", "status": 403, "headers": []})
                await send({"type": "http.response.body", "body": b"for the coordinator only"})
                return
        await self._app(scope, receive, send)

    @staticmethod
    def _open(path: str) -> bool:
        """What nodes need, and the coordinator's own tasks, which Flower protects by secret and token."""
        return path.startswith(("/v1/fleet/", "/v1/runtime/", "/health"))


def _main() -> None:
    import uvicorn
    from flwr.superlink.cli.flower_superlink import SuperLinkLifespan, _parse_superlink_lifespan_config
    from flwr.superlink.main import create_app

    end_with_parent()
    config = _parse_superlink_lifespan_config()
    app = ControlGuard(create_app(config, SuperLinkLifespan), os.environ["ATOLL_CONTROL"])
    uvicorn.run(
        app,
        host=config.host,
        port=config.port,
        access_log=False,
        ssl_keyfile=config.ssl_keyfile,
        ssl_certfile=config.ssl_certfile,
        workers=1,
    )


if __name__ == "__main__":
    _main()
