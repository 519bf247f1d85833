"""A key that an agent holds and never shows: any that speaks OpenSSH's protocol, a hardware token's among them.

The protocol is draft-miller-ssh-agent: messages with a length before them over a Unix socket; an Ed25519 signature in
it is the plain one of RFC 8032 over the data as they are.
"""

import os
import socket
import struct
from dataclasses import dataclass

from atoll.errors import ConfigError
from atoll.experts.signing import PublicKey

_REQUEST_IDENTITIES, _IDENTITIES_ANSWER = 11, 12
_SIGN_REQUEST, _SIGN_RESPONSE = 13, 14
_KIND = b"ssh-ed25519"
_LIMIT = 1 << 18
_PATIENCE = 60.0
"""Seconds: a token may wait for somebody to touch it."""


@dataclass(frozen=True, slots=True)
class AgentKey:
    """A signer whose private half an agent holds.

    Attributes:
        public: The public half.
        address: The agent's socket; empty for ``$SSH_AUTH_SOCK``.
    """

    public: PublicKey
    address: str = ""

    def sign(self, data: bytes) -> bytes:
        """64 bytes, checked before they are given out.

        Raises:
            ConfigError: there is no agent, it does not hold the key, or it refuses.
        """
        blob = _text(_KIND) + _text(self.public.raw)
        answer = _ask(self.address, bytes([_SIGN_REQUEST]) + _text(blob) + _text(data) + struct.pack(">I", 0))
        if answer[:1] != bytes([_SIGN_RESPONSE]):
            raise ConfigError(
                f"the agent does not sign with {self.public.fingerprint}: it does not hold the key, is locked or "
                "refuses; `ssh-add -l` says what it holds"
            )
        signature, _ = _take(answer, 1)
        kind, after = _take(signature, 0)
        made, _ = _take(signature, after)
        if kind != _KIND or not self.public.verify(made, data):
            raise ConfigError(f"what the agent made is no signature of {self.public.fingerprint}")
        return made


def agent_keys(address: str = "") -> list[PublicKey]:
    """The Ed25519 keys that an agent holds.

    Args:
        address: Its socket; empty for ``$SSH_AUTH_SOCK``.

    Raises:
        ConfigError: there is no agent, or it does not answer as one.
    """
    answer = _ask(address, bytes([_REQUEST_IDENTITIES]))
    if answer[:1] != bytes([_IDENTITIES_ANSWER]) or len(answer) < 5:
        raise ConfigError("the agent does not say which keys it holds")
    found, at = [], 5
    for _ in range(struct.unpack_from(">I", answer, 1)[0]):
        blob, at = _take(answer, at)
        _, at = _take(answer, at)  # a comment
        kind, after = _take(blob, 0)
        if kind == _KIND:
            found.append(PublicKey(_take(blob, after)[0]))
    return found


def _ask(address: str, request: bytes) -> bytes:
    named = address or os.environ.get("SSH_AUTH_SOCK", "")
    if not named:
        raise ConfigError("the key is held by an agent, and SSH_AUTH_SOCK names none; start one and add the key to it")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(_PATIENCE)
            link.connect(os.path.expanduser(named))
            link.sendall(_text(request))
            (size,) = struct.unpack(">I", _exactly(link, 4))
            if not 0 < size <= _LIMIT:
                raise ConfigError(f"{named}: what answers there is no agent")
            return _exactly(link, size)
    except OSError as error:
        raise ConfigError(f"{named}: no agent answers there ({error.strerror or error})") from error


def _exactly(link: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = link.recv(size - len(found))
        if not piece:
            raise ConfigError("the agent ended in the middle of an answer")
        found += piece
    return found


def _text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _take(data: bytes, at: int) -> tuple[bytes, int]:
    """The text that begins at ``at``, and where the next one does."""
    if at + 4 > len(data):
        raise ConfigError("the agent's answer is cut short")
    (size,) = struct.unpack_from(">I", data, at)
    if at + 4 + size > len(data):
        raise ConfigError("the agent's answer is cut short")
    return data[at + 4 : at + 4 + size], at + 4 + size
