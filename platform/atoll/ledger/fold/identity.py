"""Keys that take over, keys that are barred, and who vouches for whom."""

from dataclasses import replace
from datetime import datetime

from atoll.errors import LedgerError
from atoll.ledger.fact import SignedFact
from atoll.ledger.fold.rules import apply, is_news
from atoll.ledger.identity_facts import KeyCertified, KeyCosigned, KeyRotated
from atoll.ledger.state import State


@is_news.register
def _(fact: KeyRotated, state: State, at: datetime) -> bool:
    rotation = fact.read()
    owner = state.owner(rotation.owner)
    if fact.document in state.proofs:
        return False
    state.signer(rotation.owner, rotation.public_key)
    if owner.revoked:
        raise LedgerError(
            f"'{rotation.owner}' is revoked ({owner.revoked}): its key makes no other one; the institution makes new "
            "keys, atoll node enrol FOLDER --renew, and is admitted anew"
        )
    if rotation.new_key in state.barred_keys or any(key == rotation.new_key for _, key in state.lineages):
        raise LedgerError(f"the new key of '{rotation.owner}' was in force before; a key comes back never")
    return True


@apply.register
def _(fact: KeyRotated, state: State, at: datetime) -> None:
    rotation = fact.read()
    owner = state.owners[rotation.owner]
    state.lineages[rotation.owner, rotation.new_key] = owner.lineage
    owner.admitted = replace(owner.admitted, public_key=rotation.new_key, until=fact.until)
    state.proofs[fact.document] = None


@is_news.register
def _(fact: KeyCosigned, state: State, at: datetime) -> bool:
    word = fact.read()
    if fact.document in state.proofs:
        return False
    if revoked := state.signer(word.by, word.public_key).revoked:
        raise LedgerError(f"'{word.by}' is revoked ({revoked}); its word for '{word.owner}' does not count")
    return True


@is_news.register
def _(fact: KeyCertified, state: State, at: datetime) -> bool:
    fact.read()
    return fact.document not in state.proofs


@apply.register(KeyCosigned)
@apply.register(KeyCertified)
def _(fact: SignedFact, state: State, at: datetime) -> None:
    state.proofs[fact.document] = None
