"""Facts that owners signed, made on the spot: for tests of ledgers, without any expert's weights."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, create_engine, insert

from atoll.experts.card import FORMAT, Consent, ExpertCard
from atoll.experts.manifest import CARD, SIGNATURE_DOMAIN, manifest_digest, manifest_of
from atoll.experts.signing import OwnerKey
from atoll.experts.statements import Enrolment, Statement
from atoll.ledger import START, Event, ExpertAccepted, Fact, Head, OwnerAdmitted, StatementHeard, admission
from atoll.ledger.schema import events

ANCHOR = f"sha256:{'a' * 64}"


def owner_key(owner: str) -> OwnerKey:
    """A key that is the same for the same name."""
    return OwnerKey(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(owner.encode()).digest()))


def admitted(owner: str, *, domain: str = "tests", node_key: str = "", key: OwnerKey | None = None) -> OwnerAdmitted:
    """An admission with the owner's signed enrolment."""
    key = key or owner_key(owner)
    asked = Enrolment(public_key=key.public.hex, owner=owner, domain=domain, node_key=node_key).signed(key)
    return admission(asked)


def accepted(
    owner: str,
    name: str = "an expert",
    *,
    purposes: Sequence[str] = ("any",),
    until: str | None = None,
    words: str = "",
    key: OwnerKey | None = None,
) -> ExpertAccepted:
    """The acceptance of an expert that has a card and nothing else, signed by its owner.

    Args:
        owner: Whose.
        name: Tells its experts apart.
        purposes: What it may be used for.
        until: ISO date, the last day; ``None`` for no end.
        words: The owner's.
        key: Of the owner; its :func:`owner_key` if not given.
    """
    key = key or owner_key(owner)
    consent = Consent(purposes=tuple(purposes), until=until, statement=words)
    raw = _card(owner, name, consent).to_yaml()
    manifest = manifest_of({CARD: (len(raw), hashlib.sha256(raw).hexdigest())})
    digest = manifest_digest(manifest)
    return ExpertAccepted(
        owner=owner,
        expert=digest,
        purposes=list(consent.purposes),
        until=until,
        statement=words,
        blob=f"sha256:{hashlib.sha256(digest.encode()).hexdigest()}",
        anchor=ANCHOR,
        card=raw.decode(),
        manifest=manifest,
        signature=key.sign(SIGNATURE_DOMAIN + digest.encode()).hex(),
    )


def statement(
    owner: str,
    number: int,
    expert: str = "",
    purposes: Sequence[str] = (),
    *,
    until: str | None = None,
    words: str = "",
    key: OwnerKey | None = None,
) -> Statement:
    """An owner's signed statement; without purposes, a withdrawal."""
    key = key or owner_key(owner)
    unsigned = Statement(
        public_key=key.public.hex,
        owner=owner,
        number=number,
        expert=expert,
        purposes=list(purposes),
        until=until,
        words=words,
    )
    return unsigned.signed(key)


def stated(
    owner: str,
    number: int,
    expert: str = "",
    purposes: Sequence[str] = (),
    *,
    until: str | None = None,
    key: OwnerKey | None = None,
) -> StatementHeard:
    """That :func:`statement`, as a fact."""
    return StatementHeard(document=statement(owner, number, expert, purposes, until=until, key=key).to_line())


def append_raw(path: Path, facts: Iterable[tuple[Fact, datetime]]) -> Head:
    """Append events to a ledger's file, chained as they should be and checked by nobody: what a forger does.

    Returns:
        The head.
    """
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        head = _last(connection)
        for fact, at in facts:
            event = Event.after(head, fact, at)
            connection.execute(insert(events).values(dataclasses.asdict(event)))
            head = event.head
    engine.dispose()
    return head


def _last(connection: Connection) -> Head:
    query = events.select().order_by(events.c.sequence.desc()).limit(1)
    row = connection.execute(query).first()
    return START if row is None else Head(row.sequence, row.digest)


def _card(owner: str, name: str, consent: Consent) -> ExpertCard:
    counts = {"train": 1, "validation": 1, "test": 1}
    return ExpertCard(
        format=FORMAT,
        owner=owner,
        domain=name,
        kind="lora",
        workload="text",
        anchor=ANCHOR,
        sites=("layers.0",),
        targets=("layers.0",),
        settings={},
        documents=counts,
        tokens=counts,
        training={},
        metrics={},
        privacy=None,
        licence="CC0-1.0",
        consent=consent,
    )
