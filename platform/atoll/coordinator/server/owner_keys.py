"""Owners' keys as the coordinator takes them in: rotations that a node tells, and until when a key holds."""

import logging
from datetime import UTC, datetime, timedelta

from atoll.coordinator.server.accept import accept_statement
from atoll.errors import AtollError, FederationError
from atoll.experts.signing import PublicKey
from atoll.experts.statements import KeyRotation, Statement
from atoll.federation.talk import HelloReply
from atoll.ledger import KeyRotated, Ledger

log = logging.getLogger(__name__)


def key_until(days: int) -> str:
    """The last day of a key that is admitted today: an ISO date; empty where keys hold for ever (0 days)."""
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat() if days else ""


def accept_rotation(ledger: Ledger, rotation: KeyRotation, days: int) -> bool:
    """Let an owner's new key take over.

    Args:
        ledger: Where it is written.
        rotation: The old key's word, already checked.
        days: How long the new key holds; 0 for ever.

    Returns:
        Whether it was news.

    Raises:
        LedgerError: it is not signed by the key in force, or the owner is revoked.
    """
    news = ledger.record(KeyRotated(document=rotation.to_line(), until=key_until(days))) is not None
    if news:
        new = PublicKey.from_hex(rotation.new_key).fingerprint
        log.info("%s signs with another key from now on: %s", rotation.owner, new)
    return news


def follow_rotations(ledger: Ledger, owner: str, signer: PublicKey, reply: HelloReply, days: int) -> None:
    """Take over to the key that signed a hello's answer, by what the keys before it signed.

    What the owner stated under an earlier key is heard before that key is replaced.

    Args:
        ledger: Where it is written.
        owner: Whose node answered.
        signer: Who signed the answer.
        reply: The answer.
        days: How long a new key holds; 0 for ever.

    Raises:
        FederationError: no chain of rotations leads from the key in force to the signer's; nothing is changed.
        LedgerError: a rotation cannot be.
    """
    key = ledger.state().owners[owner].admitted.public_key
    said = {each.public_key: each for each in map(KeyRotation.from_json, reply.rotations) if each.owner == owner}
    chain: list[KeyRotation] = []
    while key != signer.hex and key in said and len(chain) < len(said):
        chain.append(said[key])
        key = said[key].new_key
    if key != signer.hex:
        raise FederationError(f"the answer is signed by {signer.fingerprint}, which is not '{owner}'s key")
    for rotation in chain:
        for text in reply.statements:
            statement = Statement.from_json(text)
            if (statement.owner, statement.public_key) == (owner, rotation.public_key):
                try:
                    accept_statement(ledger, statement)
                except AtollError as error:
                    log.warning("%s: statement %d: %s", owner, statement.number, error)
        accept_rotation(ledger, rotation, days)
