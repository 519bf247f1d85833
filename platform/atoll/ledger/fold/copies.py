"""Copies of experts: where they were made, who says that they are erased, and what followed an expert."""

from datetime import datetime

from atoll.errors import LedgerError
from atoll.experts.erasure import COORDINATOR
from atoll.ledger.copies import CopyErased, CopyMade, CopyRemains, Erased, ExpertSucceeded
from atoll.ledger.fold.rules import apply, is_news
from atoll.ledger.state import State


@is_news.register
def _(fact: CopyMade, state: State, at: datetime) -> bool:
    for expert in fact.experts:
        _known(state, expert)
    if not fact.experts:
        raise LedgerError(f"a copy of no expert at all is none ({fact.what} {fact.where})")
    return fact not in state.copies.made


@apply.register
def _(fact: CopyMade, state: State, at: datetime) -> None:
    state.copies.made.append(fact)


@is_news.register
def _(fact: CopyErased, state: State, at: datetime) -> bool:
    said = fact.read()
    _known(state, said.expert)
    if said.holder != COORDINATOR:
        state.signer(said.holder, said.public_key)
    known = [state.copies.erased.get((said.holder, said.expert, copy)) for copy in said.copies]
    return any(each is None or each.statement != said for each in known)


@apply.register
def _(fact: CopyErased, state: State, at: datetime) -> None:
    said = fact.read()
    for copy in said.copies:
        key = (said.holder, said.expert, copy)
        state.copies.erased[key] = Erased(at, said)
        state.copies.remains.pop(key, None)


@is_news.register
def _(fact: CopyRemains, state: State, at: datetime) -> bool:
    _known(state, fact.expert)
    if fact.holder != COORDINATOR:
        state.owner(fact.holder)
    known = state.copies.remains.get((fact.holder, fact.expert, fact.copy))
    return known is None or known[1] != fact.why


@apply.register
def _(fact: CopyRemains, state: State, at: datetime) -> None:
    state.copies.remains[fact.holder, fact.expert, fact.copy] = (at, fact.why)


@is_news.register
def _(fact: ExpertSucceeded, state: State, at: datetime) -> bool:
    state.expert(fact.owner, fact.expert)
    return fact.expert not in state.copies.successors


@apply.register
def _(fact: ExpertSucceeded, state: State, at: datetime) -> None:
    state.copies.successors[fact.expert] = fact


def _known(state: State, expert: str) -> None:
    if expert not in state.experts:
        raise LedgerError(f"the expert {expert[:80]} was never accepted, so nothing is known of copies of it")
