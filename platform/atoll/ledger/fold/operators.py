"""Operators: who may do what, and that nobody confirms what it proposed itself."""

import re
from datetime import datetime

from atoll.errors import LedgerError
from atoll.ledger.fold.rules import apply, is_news
from atoll.ledger.operator_facts import (
    CONFIRMED,
    DONE,
    PENDING,
    ROLES,
    USER,
    OperatorActed,
    OperatorAdded,
    OperatorRemoved,
    facts_digest,
)
from atoll.ledger.state import State

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@is_news.register
def _(fact: OperatorAdded, state: State, at: datetime) -> bool:
    if not _NAME.fullmatch(fact.name):
        raise LedgerError(f"'{fact.name}' cannot name an operator: use up to 40 small letters, digits, dots, hyphens")
    if not fact.roles or set(fact.roles) - set(ROLES):
        raise LedgerError(f"an operator's roles are of {', '.join(ROLES)}; not {', '.join(fact.roles) or 'none'}")
    if not _DIGEST.fullmatch(fact.token_digest):
        raise LedgerError(f"the operator {fact.name} has no digest of a token")
    try:
        datetime.fromisoformat(fact.until)
    except ValueError as error:
        raise LedgerError(f"the operator {fact.name} has no last day: '{fact.until}' is no date") from error
    return state.operators.get(fact.name) != fact


@apply.register
def _(fact: OperatorAdded, state: State, at: datetime) -> None:
    state.operators[fact.name] = fact


@is_news.register
def _(fact: OperatorRemoved, state: State, at: datetime) -> bool:
    return fact.name in state.operators


@apply.register
def _(fact: OperatorRemoved, state: State, at: datetime) -> None:
    del state.operators[fact.name]


@is_news.register
def _(fact: OperatorActed, state: State, at: datetime) -> bool:
    _expect_role(fact, state, at)
    known = state.acts.get(fact.act)
    if fact.standing == CONFIRMED:
        _expect_confirmable(fact, state, at)
    elif known is not None:
        raise LedgerError(f"there is an act {fact.act} already")
    elif fact.standing == PENDING and (not fact.waiting or facts_digest(fact.waiting) != fact.facts):
        raise LedgerError(f"the pending act {fact.act} is not of the facts that it names")
    elif fact.standing not in (DONE, PENDING):
        raise LedgerError(f"an act cannot be '{fact.standing}'")
    return True


@apply.register
def _(fact: OperatorActed, state: State, at: datetime) -> None:
    state.acts[fact.act] = fact
    state.acted.append((at, fact))


def _expect_role(fact: OperatorActed, state: State, at: datetime) -> None:
    if fact.operator.startswith(USER):
        if state.operators and (fact.role != "admit" or state.operators_in_force("admit", at)):
            raise LedgerError("there are operators: an act needs the token of one")
        return
    known = state.operators.get(fact.operator)
    if known is None or fact.role not in known.roles or at.date().isoformat() > known.until:
        raise LedgerError(f"the operator {fact.operator} may not {fact.what}: it has no role '{fact.role}' now")


def _expect_confirmable(fact: OperatorActed, state: State, at: datetime) -> None:
    known = state.acts.get(fact.act)
    if known is None or known.standing != PENDING:
        raise LedgerError(f"no act {fact.act} waits to be confirmed")
    if known.operator == fact.operator:
        raise LedgerError(f"{fact.operator} proposed the act {fact.act}: another operator must confirm it")
    if (known.role, known.facts) != (fact.role, fact.facts):
        raise LedgerError(f"what is confirmed is not what the act {fact.act} proposed")
    if at.date().isoformat() > known.until:
        raise LedgerError(f"the act {fact.act} could be confirmed until {known.until}; it must be proposed anew")
    if fact.operator.startswith(USER):
        raise LedgerError("an act is confirmed by an operator with a token")
    proposer = state.operators.get(known.operator)
    if proposer is None or known.role not in proposer.roles or at.date().isoformat() > proposer.until:
        raise LedgerError(f"{known.operator}, who proposed the act {fact.act}, has no role '{known.role}' any more")
