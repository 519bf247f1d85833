"""Calls, work units, what came of them, and releases."""

from datetime import datetime

from atoll.errors import LedgerError
from atoll.ledger.facts import Called, CallFinished, Released, Transferred, UnitFinished, UnitIssued
from atoll.ledger.fold.rules import apply, is_news
from atoll.ledger.state import Call, ReleaseMade, State


@is_news.register
def _(fact: Called, state: State, at: datetime) -> bool:
    for owner in fact.owners:
        state.owner(owner)
    known = state.calls.get(fact.call)
    if known is not None and known.called != fact:
        raise LedgerError(f"call {fact.call} is another one already")
    return known is None


@apply.register
def _(fact: Called, state: State, at: datetime) -> None:
    state.calls[fact.call] = Call(fact, at)


@is_news.register
def _(fact: CallFinished, state: State, at: datetime) -> bool:
    if fact.call not in state.calls:
        raise LedgerError(f"there was no call {fact.call}")
    known = state.calls[fact.call].finished
    if known is not None and known != fact:
        raise LedgerError(f"call {fact.call} is finished already, otherwise")
    return known is None


@apply.register
def _(fact: CallFinished, state: State, at: datetime) -> None:
    state.calls[fact.call].finished = fact


@is_news.register
def _(fact: Released, state: State, at: datetime) -> bool:
    known = state.releases.get(fact.number)
    if known is not None:
        if known.released != fact:
            raise LedgerError(f"release {fact.number} is another one already; releases do not change")
        return False
    last = max(state.releases, default=0)
    if fact.number <= last:
        raise LedgerError(f"release {fact.number} does not follow release {last}")
    state.expect_confirmed()
    for digest in fact.members:
        if digest not in state.experts:
            raise LedgerError(f"release {fact.number} holds an expert that was never accepted: {digest}")
        expert = state.experts[digest]
        if not expert.consents.now.permits_something(at):
            raise LedgerError(
                f"release {fact.number} holds the expert {digest[:19]} of '{expert.accepted.owner}', "
                "who does not permit any use of it now"
            )
    return True


@apply.register
def _(fact: Released, state: State, at: datetime) -> None:
    state.releases[fact.number] = ReleaseMade(fact, at)


@is_news.register
def _(fact: UnitIssued, state: State, at: datetime) -> bool:
    state.owner(fact.owner)
    place = (fact.owner, fact.unit)
    if fact.call in state.calls and fact.owner not in state.calls[fact.call].units:
        return True  # it serves this call too; what failed for another one is tried again
    return place not in state.open and place not in state.done


@apply.register
def _(fact: UnitIssued, state: State, at: datetime) -> None:
    known = state.done.get((fact.owner, fact.unit))
    if known is None or known.failure:
        state.done.pop((fact.owner, fact.unit), None)
        state.open[fact.owner, fact.unit] = fact
    if fact.call in state.calls:
        state.calls[fact.call].units[fact.owner] = fact.unit


@is_news.register
def _(fact: UnitFinished, state: State, at: datetime) -> bool:
    known = state.done.get((fact.owner, fact.unit))
    if known is not None:
        if known != fact:
            raise LedgerError(f"unit {fact.unit} of '{fact.owner}' is finished already, otherwise")
        return False
    if (fact.owner, fact.unit) not in state.open:
        raise LedgerError(f"'{fact.owner}' was never asked for unit {fact.unit}")
    return True


@apply.register
def _(fact: UnitFinished, state: State, at: datetime) -> None:
    del state.open[fact.owner, fact.unit]
    state.done[fact.owner, fact.unit] = fact


@is_news.register
def _(fact: Transferred, state: State, at: datetime) -> bool:
    state.owner(fact.owner)
    return True


@apply.register
def _(fact: Transferred, state: State, at: datetime) -> None:
    counted = state.bytes_to if fact.to_owner else state.bytes_from
    counted[fact.owner] = counted.get(fact.owner, 0) + fact.size
    if fact.to_owner:
        state.copies.sent.setdefault(fact.blob, {})[fact.owner] = at
