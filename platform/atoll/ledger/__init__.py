"""Who takes part, whose experts may be used and for what, and which releases hold them: as an append-only history."""

from atoll.ledger.consent import Consents, Period, Standing
from atoll.ledger.consent_facts import (
    VERSION,
    FormatMarked,
    HistoryDoubted,
    LedgerRestored,
    OwnerConfirmed,
    StatementHeard,
    UseRestricted,
    acceptance,
    admission,
)
from atoll.ledger.event import START, Event, Head
from atoll.ledger.fact import SignedFact, known_fact
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
from atoll.ledger.identity_facts import KeyCertified, KeyCosigned, KeyRotated
from atoll.ledger.operator_facts import OperatorActed, OperatorAdded, OperatorRemoved
from atoll.ledger.state import State
from atoll.ledger.store import Ledger

# What each fact means is registered when these are imported, which needs the state above.
from atoll.ledger.fold import consent as _consent  # noqa: F401  # isort: skip
from atoll.ledger.fold import identity as _identity  # noqa: F401  # isort: skip
from atoll.ledger.fold import copies as _copies  # noqa: F401  # isort: skip
from atoll.ledger.fold import operators as _operators  # noqa: F401  # isort: skip
from atoll.ledger.fold import owners as _owners  # noqa: F401  # isort: skip
from atoll.ledger.fold import work as _work  # noqa: F401  # isort: skip

__all__ = [
    "ANY",
    "START",
    "VERSION",
    "CallFinished",
    "Called",
    "ConsentGiven",
    "ConsentWithdrawn",
    "Consents",
    "Event",
    "ExpertAccepted",
    "ExpertFlagged",
    "Fact",
    "FormatMarked",
    "Head",
    "HistoryDoubted",
    "KeyCertified",
    "KeyCosigned",
    "KeyRotated",
    "Ledger",
    "LedgerRestored",
    "OperatorActed",
    "OperatorAdded",
    "OperatorRemoved",
    "OwnerAdmitted",
    "OwnerConfirmed",
    "OwnerRevoked",
    "Period",
    "Released",
    "SignedFact",
    "Standing",
    "State",
    "StatementHeard",
    "Transferred",
    "UnitFinished",
    "UnitIssued",
    "UseRestricted",
    "acceptance",
    "admission",
    "known_fact",
]
