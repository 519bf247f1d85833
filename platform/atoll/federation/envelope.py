"""Signed messages: who says what to whom, once. Flower carries them; nobody on the way can change or reuse one."""

import hashlib

from flwr.app import ConfigRecord, RecordDict

from atoll.errors import ConfigError, FederationError
from atoll.experts.signing import PublicKey, Signer

ConfigScalar = int | float | str | bytes | bool | list[int] | list[float] | list[str] | list[bytes] | list[bool]
"""What a Flower record may hold."""
RECORD = "atoll"
_DOMAIN = b"atoll message 1\n"
_LONGEST = 64 << 20


def seal(text: str, key: Signer, chunk: bytes = b"") -> RecordDict:
    """A message's content: a text, bytes that go with it, and the signature over both.

    Args:
        text: JSON of a :class:`~atoll.federation.units.Unit`.
        key: The sender's.
        chunk: A piece of a blob.
    """
    signature = key.sign(_signed(text, chunk))
    fields: dict[str, ConfigScalar] = {
        "json": text,
        "key": key.public.hex,
        "signature": signature.hex(),
        "chunk": chunk,
    }
    return RecordDict({RECORD: ConfigRecord(fields)})


def unseal(content: RecordDict) -> tuple[str, bytes, PublicKey]:
    """The text, the bytes and who signed them; whether the signer may speak is for the caller to say.

    Raises:
        FederationError: it is not a sealed message, or it was changed.
    """
    try:
        fields = content.config_records[RECORD]
        text, key, signature, chunk = (fields[name] for name in ("json", "key", "signature", "chunk"))
        if not (
            isinstance(text, str) and isinstance(key, str) and isinstance(signature, str) and isinstance(chunk, bytes)
        ):
            raise FederationError("a message has fields of other types than it should")
        if len(text) + len(chunk) > _LONGEST:
            raise FederationError(f"a message of {len(text) + len(chunk)} bytes is above the limit of {_LONGEST}")
        public = PublicKey.from_hex(key)
        sound = public.verify(bytes.fromhex(signature), _signed(text, chunk))
    except (KeyError, ValueError, ConfigError) as error:
        raise FederationError(f"a message is not sealed as Atoll seals it: {error}") from error
    if not sound:
        raise FederationError("a message's signature does not fit it: it was changed on the way, or is forged")
    return text, chunk, public


def _signed(text: str, chunk: bytes) -> bytes:
    return _DOMAIN + hashlib.sha256(text.encode()).digest() + hashlib.sha256(chunk).digest()
