"""An expert's way into the ledger: the same checks and entries whether it came over the network or on a stick."""

from datetime import UTC, datetime
from pathlib import Path

from atoll.anchors import Anchor
from atoll.anchors.digest import file_sha256
from atoll.coordinator.erasure.inventory import withdrawn_since
from atoll.errors import FederationError, PackageError
from atoll.experts.signing import PublicKey
from atoll.federation.blobs import BlobStore
from atoll.federation.handover import Statement
from atoll.ledger import ExpertAccepted, Fact, Ledger, State, StatementHeard, Transferred, acceptance
from atoll.ledger.copies import ExpertSucceeded
from atoll.releases.members import verify_facts


def expert_facts(state: State, anchor: Anchor, package: Path, owner: str, blob: str) -> list[Fact]:
    """What to write when an owner's package has arrived: its transfer, its acceptance, and whom it succeeds.

    Args:
        state: The present.
        anchor: What it must be for.
        package: The file.
        owner: From whom it came.
        blob: Digest of the file.

    Raises:
        PackageError: it is refused; the message says why.
        FederationError: the owner may not take part.
        LedgerError: the owner has withdrawn it, or has withdrawn all and not permitted anything since.
    """
    known = state.owners.get(owner)
    if known is None or known.revoked:
        why = f"is revoked ({known.revoked})" if known else "was never admitted"
        raise FederationError(f"'{owner}' {why}; nothing is accepted from it")
    key = PublicKey.from_hex(known.admitted.public_key)
    found = verify_facts(package, owner, key, anchor)
    consent = found.card.consent
    accepted = acceptance(found.card, found.signed, blob)
    if consent.until is not None and datetime.now(UTC).date().isoformat() > consent.until:
        raise PackageError(f"{package.name}: its owner's consent ended on {consent.until}; ask the owner for a new one")
    state.is_news(accepted, datetime.now(UTC))  # whatever the ledger refuses, such as one that its owner has taken back
    expect_kept(state, accepted.expert)
    before = state.experts.get(found.card.predecessor)
    facts = [Transferred(owner=owner, blob=blob, to_owner=False, size=package.stat().st_size), accepted]
    if before is None or before.accepted.owner != owner:
        return facts
    forgotten = found.card.forgotten
    return [
        *facts,
        ExpertSucceeded(owner=owner, expert=accepted.expert, predecessor=found.card.predecessor, forgotten=forgotten),
    ]


def expect_kept(state: State, expert: str) -> None:
    """Raise PackageError for an expert that its owner has withdrawn: its bytes are not taken again."""
    if expert in state.experts and withdrawn_since(state, expert) is not None:
        owner = state.experts[expert].accepted.owner
        raise PackageError(
            f"'{owner}' has withdrawn the expert {expert[:19]}, and it was erased here; it is taken again when its "
            f"owner permits it again: atoll node permit FOLDER --expert {expert}"
        )


def accept_file(ledger: Ledger, anchor: Anchor, packages: BlobStore, file: Path) -> str:
    """Take an expert from a file, after the same checks as one that came over the network.

    Returns:
        Its digest.

    Raises:
        PackageError, FederationError, LedgerError: it is refused, and nothing is changed.
    """
    if not file.is_file():
        raise PackageError(f"{file}: there is no such file; `atoll expert pack` makes one")
    state = ledger.state()
    owner = verify_facts(file, None, None, anchor).card.owner
    facts = expert_facts(state, anchor, file, owner, f"sha256:{file_sha256(file)}")
    accepted = next(fact for fact in facts if isinstance(fact, ExpertAccepted))
    # Whatever the ledger refuses is known before the file is kept; and a withdrawal that comes between is seen again.
    if state.is_news(accepted, datetime.now(UTC)):
        packages.adopt(file)
        ledger.record_all(facts if accepted.expert not in state.experts else [accepted])
    packages.adopt(file)
    return accepted.expert


def accept_statement(ledger: Ledger, statement: Statement) -> bool:
    """Write down what an owner says about consent.

    Returns:
        Whether it was news.

    Raises:
        FederationError: it is not the owner's.
        LedgerError: it is about an expert that the owner does not have.
    """
    known = ledger.state().owners.get(statement.owner)
    if known is not None and known.voice.heard.get(statement.number) == statement:
        return False  # maybe under a key that another has taken over from since
    if known is None or known.admitted.public_key != statement.public_key:
        raise FederationError(f"the statement is not signed by the key that '{statement.owner}' is admitted with")
    return ledger.record(StatementHeard(document=statement.to_line())) is not None
