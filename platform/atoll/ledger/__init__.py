"""Who takes part, whose experts may be used and for what, and which releases hold them: as an append-only history."""

from atoll.ledger.consent import Consents, Period, Standing
from atoll.ledger.event import START, Event, Head
from atoll.ledger.facts import (
    ANY,
    Called,
    CallFinished,
    ConsentGiven,
    ConsentWithdrawn,
    ExpertAccepted,
    ExpertFlagged,
    Fact,
    OwnerAdmitted,
    OwnerRevoked,
    Released,
    Transferred,
    UnitFinished,
    UnitIssued,
)
from atoll.ledger.state import State
from atoll.ledger.store import Ledger

__all__ = [
    "ANY",
    "START",
    "CallFinished",
    "Called",
    "ConsentGiven",
    "ConsentWithdrawn",
    "Consents",
    "Event",
    "ExpertAccepted",
    "ExpertFlagged",
    "Fact",
    "Head",
    "Ledger",
    "OwnerAdmitted",
    "OwnerRevoked",
    "Period",
    "Released",
    "Standing",
    "State",
    "Transferred",
    "UnitFinished",
    "UnitIssued",
]
