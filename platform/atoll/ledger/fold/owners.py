"""Who takes part: admissions, revocations, and restorations of the whole."""

from datetime import datetime

from atoll.errors import LedgerError
from atoll.experts.statements import Enrolment
from atoll.ledger.consent_facts import FormatMarked, HistoryDoubted, LedgerRestored, OwnerConfirmed
from atoll.ledger.fact import read_document
from atoll.ledger.facts import OwnerAdmitted, OwnerRevoked
from atoll.ledger.fold.rules import apply, is_news
from atoll.ledger.parties import Owner, Voice
from atoll.ledger.state import State


@is_news.register
def _(fact: FormatMarked, state: State, at: datetime) -> bool:
    if fact.version < state.version:
        raise LedgerError(f"the ledger is of version {state.version}; it does not go back to {fact.version}")
    if fact.version != 2:
        raise LedgerError(f"version {fact.version} is of a newer Atoll; update this one")
    return fact.version > state.version


@apply.register
def _(fact: FormatMarked, state: State, at: datetime) -> None:
    state.version = fact.version


@is_news.register
def _(fact: OwnerAdmitted, state: State, at: datetime) -> bool:
    for name, known in state.owners.items():
        if name != fact.owner and known.admitted.public_key == fact.public_key:
            raise LedgerError(f"the key of '{fact.owner}' is '{name}'s; every owner makes one of its own")
    if fact.node_key in state.barred:
        raise LedgerError(
            f"the node key of '{fact.owner}' was revoked and is not taken again; "
            "the institution makes another one: atoll node enrol FOLDER --renew"
        )
    if fact.public_key in state.barred_keys:
        raise LedgerError(
            f"the key of '{fact.owner}' was revoked and is not taken again, for whoever stole it could ask for this; "
            "the institution makes another one: atoll node enrol FOLDER --renew"
        )
    _check_enrolment(fact, state)
    known_now = state.owners.get(fact.owner)
    if known_now is None or known_now.revoked:
        return True
    if known_now.admitted.public_key != fact.public_key:
        raise LedgerError(f"'{fact.owner}' is admitted with another key; revoke that first")
    return known_now.admitted != fact


def _check_enrolment(fact: OwnerAdmitted, state: State) -> None:
    if not fact.enrolment:
        if state.version >= 2 and fact.node_key:
            raise LedgerError(f"'{fact.owner}' is admitted with a node, but without its signed enrolment")
        return
    asked = read_document(fact.enrolment, Enrolment)
    if (asked.owner, asked.domain, asked.public_key, asked.node_key) != (
        fact.owner,
        fact.domain,
        fact.public_key,
        fact.node_key,
    ):
        raise LedgerError(f"the enrolment of '{asked.owner}' asks for another admission than this")


@apply.register
def _(fact: OwnerAdmitted, state: State, at: datetime) -> None:
    known = state.owners.get(fact.owner)
    if known is not None and known.admitted.public_key == fact.public_key:
        state.owners[fact.owner] = Owner(fact, at, known.lineage, known.voice, unsigned=known.unsigned)
        return
    lineage = state.lineages.setdefault((fact.owner, fact.public_key), fact.public_key)
    voice = state.voices.setdefault((fact.owner, lineage), Voice())
    if known is not None and known.voice.out:
        voice.close()  # what it said under another key is not forgotten
    state.owners[fact.owner] = Owner(fact, at, lineage, voice)


@is_news.register
def _(fact: OwnerRevoked, state: State, at: datetime) -> bool:
    return not state.owner(fact.owner).revoked


@apply.register
def _(fact: OwnerRevoked, state: State, at: datetime) -> None:
    known = state.owners[fact.owner]
    # In ledgers of version 1 an empty reason did not revoke, and what came after it was accepted.
    known.revoked = fact.reason or ("revoked" if state.version >= 2 else "")
    if known.admitted.node_key:
        state.barred.add(known.admitted.node_key)
    if fact.bars_keys:
        chains = state.lineages.items()
        state.barred_keys |= {key for (name, key), first in chains if (name, first) == (fact.owner, known.lineage)}
        state.barred_keys.add(known.admitted.public_key)


@is_news.register
def _(fact: LedgerRestored, state: State, at: datetime) -> bool:
    return True


@apply.register
def _(fact: LedgerRestored, state: State, at: datetime) -> None:
    state.restored.append((state.head.sequence + 1, at))
    state.doubted = ""
    state.lost |= set(fact.lost)
    state.set_aside |= set(fact.set_aside)
    holders = {expert.accepted.owner for expert in state.experts.values() if expert.consents.now.purposes}
    state.awaited = {name for name, owner in state.owners.items() if not owner.revoked or name in holders}


@is_news.register
def _(fact: OwnerConfirmed, state: State, at: datetime) -> bool:
    state.owner(fact.owner)
    return fact.owner in state.awaited


@apply.register
def _(fact: OwnerConfirmed, state: State, at: datetime) -> None:
    state.awaited.discard(fact.owner)


@is_news.register
def _(fact: HistoryDoubted, state: State, at: datetime) -> bool:
    return not state.doubted


@apply.register
def _(fact: HistoryDoubted, state: State, at: datetime) -> None:
    state.doubted = f"the node of '{fact.owner}' holds a receipt of {fact.head[:80]}, which is not in this ledger"
