"""Who operates the coordinator, in which roles, and what each of them did."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from atoll.ledger.fact import Fact, fact_from_json, known_fact

ROLES = ("read", "operate", "admit", "release")
"""Look at the status; call for training and measuring; decide who takes part, and accept; call for releases."""
DONE, PENDING, CONFIRMED = "done", "pending", "confirmed"
USER = "user:"
"""Before the name of an operating system's user, who acts where no operators are named."""


@known_fact
@dataclass(frozen=True, kw_only=True)
class OperatorAdded(Fact):
    """An operator may act, or has other roles or another token from now on.

    Attributes:
        name: Its name; small letters, digits, dots and hyphens.
        roles: Of :data:`ROLES`.
        token_digest: SHA-256 of its token, in hex. A token is 256 random bits, which no list of guesses holds.
        until: ISO date, the last day on which the token is taken.
    """

    kind: ClassVar[str] = "operator-added"
    name: str
    roles: list[str]
    token_digest: str
    until: str


@known_fact
@dataclass(frozen=True, kw_only=True)
class OperatorRemoved(Fact):
    """An operator may act no more.

    Attributes:
        name: Its name.
    """

    kind: ClassVar[str] = "operator-removed"
    name: str


@known_fact
@dataclass(frozen=True, kw_only=True)
class OperatorActed(Fact):
    """An operator did something, written before the facts that come of it; or waits for a second one to confirm it.

    Attributes:
        act: Names the act.
        operator: Who; ``user:`` and a name of the operating system where no operators are named.
        role: In which role.
        what: What was done, such as ``call release``.
        facts: Digest of the facts that come of it; see :func:`facts_digest`.
        standing: ``done``; ``pending``, then nothing came of it yet; or ``confirmed``, by this second operator.
        waiting: The facts, of a pending act; see :func:`facts_to_lines`.
        until: ISO date, the last day on which a pending act can be confirmed.
    """

    kind: ClassVar[str] = "operator-acted"
    act: str
    operator: str
    role: str
    what: str
    facts: str
    standing: str = DONE
    waiting: list[str] | None = None
    until: str = ""


def facts_to_lines(facts: Sequence[Fact]) -> list[str]:
    """Each fact as its kind and its JSON."""
    return [f"{fact.kind} {fact.to_json()}" for fact in facts]


def facts_from_lines(lines: Sequence[str]) -> list[Fact]:
    """Read :func:`facts_to_lines`.

    Raises:
        LedgerError: an unknown kind, or not a fact of this kind.
    """
    found = []
    for line in lines:
        kind, _, text = line.partition(" ")
        found.append(fact_from_json(kind, text))
    return found


def facts_digest(lines: Sequence[str]) -> str:
    """SHA-256 of facts as lines, as ``sha256:`` and hex."""
    return f"sha256:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"
