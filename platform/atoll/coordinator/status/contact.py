"""Where a running server's status is found, left in its folder for programs on the same machine."""

import dataclasses
import http.client
import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from atoll.config.decode import decode_json
from atoll.coordinator.status.values import Snapshot
from atoll.errors import DataError, FederationError
from atoll.experts.files import write_atomic

_FILE = "status.json"
_PATIENCE = 10.0
"""Seconds that a server may take to answer."""
_LARGEST = 64 * 1024 * 1024
"""Bytes of an answer."""


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A running server.

    Attributes:
        url: Of its status page.
        token: What it asks for.
        pid: Its process.
        certificate: File of the certificate that it shows; ``None`` where it goes without TLS.
    """

    url: str
    token: str
    pid: int
    certificate: str | None = None


def leave_contact(folder: Path, contact: Contact) -> Path:
    """Write ``status.json``, which only this user can read; whoever stops removes it.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / _FILE
    write_atomic(path, json.dumps(dataclasses.asdict(contact), indent=2).encode(), mode=0o600)
    return path


def find_contact(folder: Path) -> Contact | None:
    """The server that runs from a folder; ``None`` where there is none, or only what a dead one left.

    Raises:
        DataError: the file is there and is no such thing.
        OSError: the file is there and cannot be read.
    """
    path = folder / _FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        contact = decode_json(text, Contact, _FILE)
    except DataError as error:
        raise DataError(f"{path}: {error}; the coordinator writes it anew when it starts") from error
    assert isinstance(contact, Contact)
    return contact if _runs(contact.pid) else None


def ask(contact: Contact) -> Snapshot:
    """What a running server says of itself.

    Raises:
        FederationError: it does not answer, or not as it should.
    """
    try:
        return Snapshot.from_json(_get(contact, "status.json").decode("utf-8"))
    except (OSError, http.client.HTTPException, DataError, ValueError) as error:
        raise FederationError(f"{contact.url} does not answer as the coordinator does: {error}") from error


def _get(contact: Contact, name: str) -> bytes:
    # Not by urllib: neither a proxy nor where an answer redirects to may see the token.
    where = urlsplit(contact.url)
    connection: http.client.HTTPConnection
    if where.scheme == "https":
        # The very certificate is known, so it need not name the address that this machine reaches the server by.
        context = ssl.create_default_context(cafile=contact.certificate)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = contact.certificate is None
        connection = http.client.HTTPSConnection(where.netloc, timeout=_PATIENCE, context=context)
    else:
        connection = http.client.HTTPConnection(where.netloc, timeout=_PATIENCE)
    try:
        path = f"{where.path.rstrip('/')}/{name}"
        connection.request("GET", path, headers={"Authorization": f"Bearer {contact.token}"})
        answer = connection.getresponse()
        body = answer.read(_LARGEST + 1)
    finally:
        connection.close()
    if answer.status != http.client.OK or len(body) > _LARGEST:
        raise http.client.HTTPException(f"status {answer.status}, {len(body)} bytes")
    return body


def _runs(pid: int) -> bool:
    if os.name != "posix":
        return True  # there, asking would end the process; whether it answers must do
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
