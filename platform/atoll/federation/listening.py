"""Whether this machine can listen at an address, and if not: why, who has it, and what to do."""

import contextlib
import errno
import os
import socket
import threading
import time

import psutil

from atoll.errors import MachineError

_ORPHANS = 20.0
"""Seconds that a process whose parent has just died may hold a port: it ends by itself."""
PARENT = "ATOLL_PARENT"
"""Environment variable of processes that we start: who started them."""


def expect_listening(host: str, port: int, what: str, stop: threading.Event | None = None) -> None:
    """Make sure that a server can listen, waiting only for what ends by itself.

    Args:
        host: Name or address.
        port: Of it.
        what: What would listen, for the message.
        stop: Ends the wait.

    Raises:
        MachineError: the port is taken, is not for this user, or the address is not this machine's.
    """
    end = time.monotonic() + _ORPHANS
    while (error := _refusal(host, port)) is not None and (stop is None or not stop.is_set()):
        holder = _holder(port) if error.errno == errno.EADDRINUSE else None
        if holder is None or not _is_orphan(holder) or time.monotonic() > end:
            raise MachineError(cannot_listen(what, host, port, error, holder)) from error
        time.sleep(0.2)


def cannot_listen(what: str, host: str, port: int, error: OSError, holder: psutil.Process | None = None) -> str:
    """The sentence for an address that cannot be had."""
    where = f"{what} cannot listen on {f'[{host}]' if ':' in host else host}:{port}"
    if error.errno == errno.EADDRINUSE:
        held = _named(holder or _holder(port))
        return f"{where}: {held} has this port; stop that, or choose another port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where}: this user may not; ports below 1024 are the administrator's: choose another port"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{where}: this machine has no such address; choose one that it has, such as 127.0.0.1 or 0.0.0.0"
    return f"{where}: {error.strerror or error}; choose another address or port"


def _refusal(host: str, port: int) -> OSError | None:
    """Why the address cannot be had now."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
                # As servers do: connections that ended lately do not hold a port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
                probe.listen()
    except OSError as error:
        return error
    return None


def _holder(port: int) -> psutil.Process | None:
    """Who listens on a port, where this user may know it."""
    try:
        for each in psutil.net_connections(kind="tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
                return psutil.Process(each.pid)
    except (psutil.Error, OSError):
        return None
    return None


def _is_orphan(process: psutil.Process) -> bool:
    """Whether it is one of ours that outlives its parent, for the second that it takes to notice."""
    try:
        parent = process.environ().get(PARENT, "")
        return parent.isdecimal() and int(parent) != os.getpid() and not psutil.pid_exists(int(parent))
    except (psutil.Error, OSError):
        return False


def _named(process: psutil.Process | None) -> str:
    """A process by name and number: its arguments can be private."""
    if process is None:
        return "another program"
    with contextlib.suppress(psutil.Error, OSError):
        return f"'{process.name()}' (process {process.pid}, {process.username()})"
    return f"process {process.pid}"
