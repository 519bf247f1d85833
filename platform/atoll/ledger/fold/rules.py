"""The two functions that every fact registers a rule with, in a file of this package."""

from datetime import datetime, timedelta
from functools import singledispatch
from typing import TYPE_CHECKING

from atoll.errors import LedgerError
from atoll.ledger.consent_facts import LedgerRestored
from atoll.ledger.fact import Fact

if TYPE_CHECKING:
    from atoll.ledger.state import State

SKEW = timedelta(minutes=10)
"""How far the clocks of those who write to a ledger may differ."""


@singledispatch
def is_news(fact: Fact, state: "State", at: datetime) -> bool:
    """Whether a fact adds anything to a state.

    Args:
        fact: What is so.
        state: What was so before; not changed.
        at: Since when it is so.

    Raises:
        LedgerError: it cannot follow what is written.
    """
    raise NotImplementedError(fact.kind)


@singledispatch
def apply(fact: Fact, state: "State", at: datetime) -> None:
    """Change the state as a fact says that is news.

    Args:
        fact: What is so.
        state: Is changed.
        at: Since when it is so.
    """
    raise NotImplementedError(fact.kind)


def check_time(fact: Fact, state: "State", at: datetime) -> None:
    """Raise LedgerError for a fact of an earlier time than the one before.

    In ledgers of version 1 the order alone counts. A restoration may set the clock back: one that was wrong must not
    stop a ledger for good.
    """
    if state.version >= 2 and state.time is not None and at < state.time and not isinstance(fact, LedgerRestored):
        raise LedgerError(f"it is dated {at.isoformat()}, before what is written before it ({state.time.isoformat()})")
