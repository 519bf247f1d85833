"""What a run writes into the ledger of its run folder."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

from atoll.experts.card import Consent
from atoll.experts.package import ExpertPackage
from atoll.experts.statements import Statement
from atoll.federation.units import Announcement
from atoll.ledger import (
    Ledger,
    OwnerAdmitted,
    OwnerRevoked,
    Released,
    StatementHeard,
    UseRestricted,
    acceptance,
)
from atoll.releases.release import Release

WITHDRAWS = "withdrew at the end of the run"
Permit = Callable[[str, Consent], Statement | None]
"""Asks a silo to permit an expert (a digest, or empty for all that come) under these terms, by a signed statement."""


class History:
    """The ledger, for a run whose configuration says who takes part. What is written already is not written again."""

    def __init__(self, path: Path) -> None:
        """At a file, which is made when there is something to write."""
        self._path = path

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger.open(self._path)

    def close(self) -> None:
        """Let go of the file; it is opened again when there is something to write."""
        opened = self.__dict__.pop("_ledger", None)
        if opened is not None:
            opened.close()

    @property
    def head(self) -> str:
        """Where the ledger stands, ``number:digest``."""
        head = self._ledger.state().head
        return f"{head.sequence}:{head.digest}"

    def admit(self, said: Announcement) -> None:
        """An owner takes part; under a new key, where its folder was made anew.

        Raises:
            LedgerError: two owners have one key.
        """
        known = self._ledger.state().owners.get(said.owner)
        if known is not None and known.admitted.public_key != said.public_key:
            self._ledger.record(OwnerRevoked(owner=said.owner, reason="came back with another key"))
        self._ledger.record(OwnerAdmitted(owner=said.owner, domain=said.domain, public_key=said.public_key))

    def accept(self, blob: str, package: ExpertPackage, permit: Permit) -> bool:
        """An expert arrived with its owner's consent, in a card that the owner signed.

        Args:
            blob: Content address of the package's bytes.
            package: The verified package.
            permit: Asks the silo for a signed statement that permits an expert anew (or, for an empty digest, that it
                takes part again): it was withdrawn in an earlier run, and by taking part its owner consents again.

        Returns:
            Whether its owner permits any use of it today.
        """
        assert package.signed is not None
        card, fact = package.card, acceptance(package.card, package.signed, blob)
        state = self._ledger.state()
        if fact.expert not in state.experts and state.owners[fact.owner].voice.out:
            self._hear(permit("", card.consent))
        self._ledger.record(fact)
        standing = self._ledger.state().experts[fact.expert].consents.now
        if (set(standing.purposes), _day(standing.until)) != (set(fact.purposes), fact.until) and fact.purposes:
            self._hear(permit(fact.expert, card.consent))
        return self._ledger.state().experts[fact.expert].consents.now.permits_something(datetime.now(UTC))

    def _hear(self, statement: Statement | None) -> None:
        if statement is not None:
            self._ledger.record(StatementHeard(document=statement.to_line()))

    def release(self, made: Release) -> None:
        """A release was made.

        Raises:
            LedgerError: a member permits no use of its expert.
        """
        members = [member.digest for member in made.members]
        self._ledger.record(Released(number=made.number, digest=made.digest, guarantee=made.guarantee, members=members))

    def withdraw(self, owner: str, statement: Statement | None) -> None:
        """An owner takes all of its experts back.

        Args:
            owner: Who.
            statement: Its signed word; without one, it is the run that lets its experts be used no more.
        """
        if statement is None:
            self._ledger.record(UseRestricted(owner=owner, expert="", purposes=[], until=None, reason=WITHDRAWS))
        self._hear(statement)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
