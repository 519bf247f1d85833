"""The status over HTTP: for whoever has the token, and for looking only."""

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from urllib.parse import parse_qs

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST

from atoll.coordinator.status.access import Access, PatienceBySource, source_of
from atoll.coordinator.status.metrics import metrics_text
from atoll.coordinator.status.page import content_policy, login_page, status_page
from atoll.coordinator.status.snapshot import Snapshot
from atoll.errors import AtollError, ConfigError, MachineError
from atoll.federation.listening import cannot_listen

log = logging.getLogger(__name__)

_OPEN = ("/health", "/ready", "/login", "/logout")
"""What is answered without a token."""
_LAST_PORT = 65535
_LARGEST = 4096
"""Bytes of a form."""
_AT_ONCE = 8
"""Tries of one source that wait at the same time; the rest would take the places of honest requests."""
_EVERYWHERE = ("0.0.0.0", "::", "")
_START = 20.0
"""Seconds that the server may take to start, and to stop."""


def create_status_app(
    read: Callable[[], Snapshot], token: str, operators: Callable[[], Collection[str]] = tuple
) -> FastAPI:
    """The pages and what programs read: ``/``, ``/status.json``, ``/metrics``; for everyone ``/health``, which says
    that the program lives, and ``/ready``, which says that nodes can connect and work is done.

    Args:
        read: Gives how things stand, from any thread; see :func:`atoll.coordinator.status.snapshot.reader`.
        token: Whoever has it may look: as ``Authorization: Bearer``, or through the form at ``/login``.
        operators: Gives the digests of operators' tokens that may look too; see :class:`Access`.

    Raises:
        ConfigError: the token is too short to keep anyone out.
    """
    access, patience, waiting = Access(token, operators), PatienceBySource(), Counter[str]()
    # The pages of documentation would fetch scripts from elsewhere.
    app = FastAPI(title="Atoll coordinator", docs_url=None, redoc_url=None, openapi_url=None)

    async def is_right(request: Request, shown: bytes) -> bool:
        source = source_of(request.client.host if request.client else "")
        if waiting[source] >= _AT_ONCE:
            return False  # not looked at: so many tries of one source wait already
        waiting[source] += 1
        try:
            await asyncio.sleep(patience.seconds(source))
        finally:
            waiting[source] -= 1
            if not waiting[source]:
                del waiting[source]
        if access.is_token(shown):
            return True
        patience.wrong(source)
        return False

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.scope["path"] in _OPEN or access.is_cookie(request.cookies.get(access.cookie_name, "")):
            response = await call_next(request)
        else:
            shown = _bearer(request)
            right = shown is not None and await is_right(request, shown)
            response = await call_next(request) if right else _refusal(request, wrong=shown is not None)
        response.headers.update(_headers())
        return response

    @app.exception_handler(AtollError)
    def unreadable(request: Request, error: AtollError) -> Response:
        log.error("the status cannot be read: %s", error)
        return PlainTextResponse(str(error), status_code=503)

    @app.get("/")
    def page() -> Response:
        return HTMLResponse(status_page(read()))

    @app.get("/status.json")
    def values() -> Response:
        return Response(read().to_json(), media_type="application/json")

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(metrics_text(read()), media_type=CONTENT_TYPE_LATEST)

    @app.get("/health")
    def health() -> Response:
        return PlainTextResponse("ok")

    @app.get("/ready")
    def ready() -> Response:
        # Why it is not is for who may look; this is for whoever can reach the port.
        fine = not read().unready
        return PlainTextResponse("ready" if fine else "not ready", status_code=200 if fine else 503)

    @app.get("/login")
    def form() -> Response:
        return HTMLResponse(login_page(wrong=False))

    @app.post("/login")
    async def login(request: Request) -> Response:
        shown = await _given(request)
        if not await is_right(request, shown):
            return HTMLResponse(login_page(wrong=True), status_code=401)
        response = RedirectResponse("./", status_code=303)
        response.set_cookie(
            access.cookie_name,
            access.cookie_for(shown),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    @app.post("/logout")
    def logout() -> Response:
        response = RedirectResponse("./login", status_code=303)
        response.delete_cookie(access.cookie_name, httponly=True, samesite="strict")
        return response

    return app


class Server:
    """A running server.

    Attributes:
        url: Of the page, ending in ``/``.
    """

    def __init__(self, url: str, server: uvicorn.Server, thread: threading.Thread) -> None:
        """Made by :func:`serve`."""
        self.url = url
        self._server = server
        self._thread = thread

    def stop(self) -> None:
        """Finish what is being answered, and let go of the port."""
        self._server.should_exit = True
        self._thread.join(_START)


def serve(app: FastAPI, host: str, port: int, certfile: Path | None = None, keyfile: Path | None = None) -> Server:
    """Serve in a thread of its own until it is stopped or the program ends.

    Args:
        app: Of :func:`create_status_app`.
        host: Address to listen on, such as ``127.0.0.1``.
        port: 0 for a free one.
        certfile: Certificate for HTTPS; without one it is HTTP.
        keyfile: The certificate's key, where it is not in the same file.

    Raises:
        ConfigError: there is no such port, or the certificate cannot be used.
        MachineError: the address or port cannot be had.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Bounds how many wrong tries can wait at once.
        limit_concurrency=64,
        timeout_graceful_shutdown=3,
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{certfile}: HTTPS is not possible with this certificate and its key ({error})") from error
    listening = _listen(host, port)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_run, args=(server, listening), name="atoll-status", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    if not server.started:
        server.should_exit = True
        raise ConfigError(f"the status at {host}:{port} does not start; the log says why")
    if certfile is None and host not in ("127.0.0.1", "::1", "localhost"):
        log.warning("the status at %s goes without TLS: whoever can listen on the network can read the token", host)
    shown = "127.0.0.1" if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    return Server(f"{'http' if certfile is None else 'https'}://{shown}:{listening.getsockname()[1]}/", server, thread)


def _run(server: uvicorn.Server, listening: socket.socket) -> None:
    with listening:
        server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _LAST_PORT:
        raise ConfigError(f"the status cannot listen on port {port}: ports go from 1 to {_LAST_PORT}; 0 is a free one")
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise MachineError(cannot_listen("the status", host, port, error)) from error


def _bearer(request: Request) -> bytes | None:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    # Headers come decoded byte by byte.
    return shown.strip().encode("latin-1") if scheme.lower() == "bearer" else None


def _refusal(request: Request, *, wrong: bool) -> Response:
    asks = {"WWW-Authenticate": "Bearer"}
    if request.scope["path"] == "/":
        return HTMLResponse(login_page(wrong=wrong), status_code=401, headers=asks)
    said = "that is not the token" if wrong else "a token is needed: Authorization: Bearer …, or sign in at /login"
    return PlainTextResponse(said, status_code=401, headers=asks)


async def _given(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            return b""
    return parse_qs(body).get(b"token", [b""])[0].strip()


def _headers() -> dict[str, str]:
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": content_policy(),
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
