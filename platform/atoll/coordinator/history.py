"""What a run writes into the ledger of its run folder."""

from datetime import UTC, datetime
from pathlib import Path

from atoll.coordinator.release import Release
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


class History:
    """The ledger, for a run whose configuration says who takes part. What is written already is not written again."""

    def __init__(self, path: Path) -> None:
        """At a file, which is made when there is something to write."""
        self._path = path

    def admit(self, said: Announcement) -> None:
        """An owner takes part; under a new key, where its folder was made anew.

        Raises:
            LedgerError: two owners have one key.
        """
        with Ledger.open(self._path) as ledger:
            known = ledger.state().owners.get(said.owner)
            if known is not None and known.admitted.public_key != said.public_key:
                ledger.record(OwnerRevoked(owner=said.owner, reason="came back with another key"))
            ledger.record(OwnerAdmitted(owner=said.owner, domain=said.domain, public_key=said.public_key))

    def accept(self, said: TrainReply, card: ExpertCard) -> bool:
        """An expert arrived with its owner's consent. One that was withdrawn is consented to again by taking part.

        Returns:
            Whether its owner permits any use of it today.
        """
        terms = card.consent
        with Ledger.open(self._path) as ledger:
            accepted = ExpertAccepted(
                owner=card.owner,
                expert=said.digest,
                blob=said.blob,
                anchor=card.anchor,
                purposes=list(terms.purposes),
                until=terms.until,
                statement=terms.statement,
            )
            if ledger.record(accepted) is None and terms.purposes:
                ledger.record(
                    ConsentGiven(
                        owner=card.owner,
                        expert=said.digest,
                        purposes=list(terms.purposes),
                        until=terms.until,
                        statement=terms.statement,
                    )
                )
            standing = ledger.state().experts[said.digest].consents.now
            now = datetime.now(UTC)
            return any(standing.permits(purpose, now) for purpose in standing.purposes)

    def release(self, made: Release) -> None:
        """A release was made.

        Raises:
            LedgerError: a member permits no use of its expert.
        """
        members = [member.digest for member in made.members]
        with Ledger.open(self._path) as ledger:
            ledger.record(Released(number=made.number, digest=made.digest, guarantee=made.guarantee, members=members))

    def withdraw(self, owner: str) -> None:
        """An owner takes all of its experts back."""
        with Ledger.open(self._path) as ledger:
            ledger.record(ConsentWithdrawn(owner=owner, expert="", statement="withdrew at the end of the run"))
