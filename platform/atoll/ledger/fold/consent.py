"""Experts and what may be done with them: the owner's signed word, and what an operator's limits leave of it."""

from datetime import date, datetime

from atoll.errors import ConfigError, LedgerError, PackageError
from atoll.experts.manifest import SignedCard
from atoll.experts.signing import PublicKey
from atoll.experts.statements import Statement
from atoll.ledger.consent import Consents, Standing
from atoll.ledger.consent_facts import StatementHeard, UseRestricted
from atoll.ledger.facts import ConsentGiven, ConsentWithdrawn, ExpertAccepted, ExpertFlagged, Terms
from atoll.ledger.fold.rules import apply, is_news
from atoll.ledger.parties import Expert, Owner
from atoll.ledger.state import State

_UNSIGNED = (
    "it says in an owner's name what the owner did not sign; since version 2 an owner's word is a statement-heard, "
    "and an operator writes use-restricted"
)


def standing_of(purposes: list[str], until: str | None, words: str) -> Standing:
    """What is permitted, from the fields of a fact or a document.

    Raises:
        LedgerError: the last day is no date.
    """
    try:
        last = None if until is None else date.fromisoformat(until)
    except ValueError as error:
        raise LedgerError(f"consent until '{until}': that is no date such as 2031-12-31") from error
    return Standing(purposes=tuple(sorted(purposes)), until=last, statement=words)


def _terms(fact: Terms) -> Standing:
    return standing_of(fact.purposes, fact.until, fact.statement)


@is_news.register
def _(fact: ExpertAccepted, state: State, at: datetime) -> bool:
    owner = state.owner(fact.owner)
    known = state.experts.get(fact.expert)
    _check_signed(fact, owner, state)
    if known is not None:
        before, now = known.accepted, fact
        if not before.card:  # of version 1: the same again, with what proves it
            now = ExpertAccepted(**{**fact.__dict__, "card": "", "manifest": "", "signature": ""})
        if before != now:
            raise LedgerError(f"expert {fact.expert[:19]} is '{known.accepted.owner}'s, accepted otherwise before")
        return bool(fact.card) and not before.card
    if owner.revoked:
        raise LedgerError(f"'{fact.owner}' is revoked ({owner.revoked}); nothing is accepted from it")
    _check_not_expired(owner, at)
    _terms(fact)
    if state.version >= 2:
        _check_wanted(fact, owner)
    return True


def _check_signed(fact: ExpertAccepted, owner: Owner, state: State) -> None:
    """Raise LedgerError where the owner did not sign this expert with this consent."""
    if not fact.card:
        if state.version >= 2:
            raise LedgerError(f"expert {fact.expert[:19]} comes without the card that its owner signed")
        return
    signed = SignedCard(card=fact.card, manifest=fact.manifest, signature=fact.signature)
    try:
        card = signed.verify(PublicKey.from_hex(owner.admitted.public_key))
    except (PackageError, ConfigError) as error:
        raise LedgerError(f"expert {fact.expert[:19]} is not signed by '{fact.owner}': {error}") from error
    consent = card.consent
    told = (signed.digest, card.owner, card.anchor, sorted(consent.purposes), consent.until, consent.statement)
    if told != (fact.expert, fact.owner, fact.anchor, sorted(fact.purposes), fact.until, fact.statement):
        raise LedgerError(f"expert {fact.expert[:19]} is recorded otherwise than in the card that its owner signed")


def _check_wanted(fact: ExpertAccepted, owner: Owner) -> None:
    """Raise LedgerError for an expert that its owner has withdrawn, or whose owner has left."""
    if owner.voice.out:
        raise LedgerError(
            f"'{fact.owner}' has withdrawn; no new expert is taken from it until it permits anew: "
            "atoll node permit FOLDER --new"
        )
    said = _said_of(owner, fact.expert)
    if said is not None and not said.purposes:
        raise LedgerError(f"'{fact.owner}' has withdrawn the expert {fact.expert[:19]} already")


def _said_of(owner: Owner, digest: str) -> Statement | None:
    """The owner's last statement about this one expert, from before it arrived."""
    said = [each for each in owner.voice.heard.values() if each.expert == digest]
    return max(said, key=lambda each: each.number, default=None)


@apply.register
def _(fact: ExpertAccepted, state: State, at: datetime) -> None:
    known, owner = state.experts.get(fact.expert), state.owners[fact.owner]
    if known is not None:
        known.accepted = fact
        known.consents.signed = known.consents.signed or len(known.consents.history) == 1
        return
    consents = Consents([(at, _terms(fact))], signed=bool(fact.card))
    said = _said_of(owner, fact.expert) if state.version >= 2 else None
    if said is not None:
        consents = Consents([(at, standing_of(said.purposes, said.until, said.words))])
    consents.number = 0 if said is None else said.number
    state.experts[fact.expert] = Expert(fact, at, consents, owner.lineage)


@is_news.register
def _(fact: StatementHeard, state: State, at: datetime) -> bool:
    statement = fact.read()
    owner = state.signer(statement.owner, statement.public_key)
    known = owner.voice.heard.get(statement.number)
    if known is not None:
        if known != statement:
            raise LedgerError(
                f"'{statement.owner}' has signed two different statements of number {statement.number}; state it anew: "
                f"atoll node withdraw FOLDER --after {owner.voice.last}"
            )
        return False
    standing_of(statement.purposes, statement.until, statement.words)
    expert = state.experts.get(statement.expert)
    if expert is not None and expert.accepted.owner != statement.owner:
        state.expert(statement.owner, statement.expert)
    if statement.purposes:
        _check_may_permit(owner, expert)
        _check_not_expired(owner, at)
    return True


def _check_not_expired(owner: Owner, at: datetime) -> None:
    """Raise LedgerError where the owner's key is too old for anything new; it can still withdraw, and be replaced."""
    until = owner.admitted.until
    if until and at.date().isoformat() > until:
        raise LedgerError(
            f"the key of '{owner.admitted.owner}' expired on {until}: it can withdraw, and make another one that takes "
            "over: atoll node key rotate FOLDER"
        )


def _check_may_permit(owner: Owner, expert: Expert | None) -> None:
    """Raise LedgerError where a permission, other than a withdrawal, is not for this key to give."""
    name = owner.admitted.owner
    if owner.revoked:
        raise LedgerError(f"'{name}' is revoked ({owner.revoked}); it can withdraw, and permit nothing")
    if expert is not None and expert.lineage != owner.lineage:
        raise LedgerError(
            f"the expert {expert.accepted.expert[:19]} was accepted under another key of '{name}', which the present "
            "key does not follow; it can withdraw the expert, and not permit more"
        )


@apply.register
def _(fact: StatementHeard, state: State, at: datetime) -> None:
    statement = fact.read()
    owner = state.owners[statement.owner]
    owner.voice.hear(statement)
    standing = standing_of(statement.purposes, statement.until, statement.words)
    for expert in _meant(state, statement.owner, statement.expert):
        if expert.lineage != owner.lineage:
            # Numbers of another chain of keys do not compare; only a withdrawal comes here, and takes away as a limit.
            if not statement.purposes:
                expert.consents.limit(standing, _last_of(state, expert), at)
        elif statement.expert or not statement.purposes:
            expert.consents.hear(standing, statement.number, at, signed=True)


@is_news.register
def _(fact: UseRestricted, state: State, at: datetime) -> bool:
    standing = standing_of(fact.purposes, fact.until, fact.reason)
    if fact.expert:
        state.expert(fact.owner, fact.expert)
    owner = state.owner(fact.owner)
    if not fact.expert and not fact.purposes and not owner.voice.out:
        return True
    return any(
        _uses(expert.consents.now) != _uses(expert.consents.now.limited(standing))
        for expert in _meant(state, fact.owner, fact.expert)
    )


def _uses(standing: Standing) -> tuple[object, ...]:
    return standing.purposes, standing.until


@apply.register
def _(fact: UseRestricted, state: State, at: datetime) -> None:
    owner = state.owners[fact.owner]
    standing = standing_of(fact.purposes, fact.until, fact.reason)
    for expert in _meant(state, fact.owner, fact.expert):
        expert.consents.limit(standing, _last_of(state, expert), at)
    if not fact.expert and not fact.purposes:
        owner.voice.close()


@is_news.register
def _(fact: ConsentGiven, state: State, at: datetime) -> bool:
    if state.version >= 2:
        raise LedgerError(_UNSIGNED)
    if not fact.purposes:
        raise LedgerError("consent for no purpose at all is a withdrawal; write it as one")
    known = state.expert(fact.owner, fact.expert)
    if fact.number:
        return fact.number > state.owners[fact.owner].unsigned
    return known.consents.now != _terms(fact)


@apply.register
def _(fact: ConsentGiven, state: State, at: datetime) -> None:
    owner, consents = state.owners[fact.owner], state.experts[fact.expert].consents
    consents.hear(_terms(fact), consents.number, at, signed=False)
    owner.unsigned = max(owner.unsigned, fact.number)
    owner.voice.closed = None


@is_news.register
def _(fact: ConsentWithdrawn, state: State, at: datetime) -> bool:
    if state.version >= 2:
        raise LedgerError(_UNSIGNED)
    meant = _meant(state, fact.owner, fact.expert)
    if fact.expert:
        state.expert(fact.owner, fact.expert)
    state.owner(fact.owner)
    if fact.number:
        return fact.number > state.owners[fact.owner].unsigned
    return any(expert.consents.now.purposes for expert in meant)


@apply.register
def _(fact: ConsentWithdrawn, state: State, at: datetime) -> None:
    owner = state.owners[fact.owner]
    owner.unsigned = max(owner.unsigned, fact.number)
    for expert in _meant(state, fact.owner, fact.expert):
        # No statement up to this one, heard anew with its signature, takes it back.
        withdrawn = Standing(purposes=(), until=None, statement=fact.statement)
        expert.consents.hear(withdrawn, max(expert.consents.number, owner.unsigned), at, signed=False)
    if not fact.expert:
        owner.voice.closed = owner.unsigned


@is_news.register
def _(fact: ExpertFlagged, state: State, at: datetime) -> bool:
    return state.expert(fact.owner, fact.expert).flagged.get(fact.by) != fact.added


@apply.register
def _(fact: ExpertFlagged, state: State, at: datetime) -> None:
    state.experts[fact.expert].flagged[fact.by] = fact.added


def _last_of(state: State, expert: Expert) -> int:
    """The owner's last statement under the keys with which this expert was accepted."""
    voice = state.voices.get((expert.accepted.owner, expert.lineage))
    return max(voice.last if voice else 0, expert.consents.number)


def _meant(state: State, owner: str, digest: str) -> list[Expert]:
    """The expert of this digest if it is this owner's, or without a digest all of the owner's."""
    mine = [expert for expert in state.experts.values() if expert.accepted.owner == owner]
    return [expert for expert in mine if digest in ("", expert.accepted.expert)]
