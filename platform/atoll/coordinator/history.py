"""What a run writes into the ledger of its run folder."""

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from atoll.experts.card import ExpertCard
from atoll.federation.units import Announcement, TrainReply
from atoll.ledger import (
    ConsentGiven,
    ConsentWithdrawn,
    ExpertAccepted,
    Ledger,
    OwnerAdmitted,
    OwnerRevoked,
    Released,
)
from atoll.releases.release import Release


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

    def accept(self, said: TrainReply, card: ExpertCard) -> bool:
        """An expert arrived with its owner's consent. One that was withdrawn is consented to again by taking part.

        Returns:
            Whether its owner permits any use of it today.
        """
        terms: dict[str, Any] = {
            "owner": card.owner,
            "expert": said.digest,
            "purposes": list(card.consent.purposes),
            "until": card.consent.until,
            "statement": card.consent.statement,
        }
        news = self._ledger.record(ExpertAccepted(**terms, blob=said.blob, anchor=card.anchor))
        if news is None and terms["purposes"]:
            self._ledger.record(ConsentGiven(**terms))
        return self._ledger.state().experts[said.digest].consents.now.permits_something(datetime.now(UTC))

    def release(self, made: Release) -> None:
        """A release was made.

        Raises:
            LedgerError: a member permits no use of its expert.
        """
        members = [member.digest for member in made.members]
        self._ledger.record(Released(number=made.number, digest=made.digest, guarantee=made.guarantee, members=members))

    def withdraw(self, owner: str) -> None:
        """An owner takes all of its experts back."""
        self._ledger.record(ConsentWithdrawn(owner=owner, expert="", statement="withdrew at the end of the run"))
