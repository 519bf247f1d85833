"""Admitting an institution: as the coordinator's own rules want it, with what speaks for its key."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from atoll.coordinator.server.folder import ServerConfig, ServerFolder
from atoll.coordinator.server.owner_keys import key_until
from atoll.errors import ConfigError, FederationError
from atoll.experts.identity import CertifiedKey, CoSignature, Proof, Vouching, known_keys, read_proof, read_roots
from atoll.experts.statements import Enrolment, KeyRotation
from atoll.ledger import Fact, KeyCertified, KeyCosigned, Ledger, State, admission


def admit(ledger: Ledger, root: Path, enrolment: Enrolment, proofs: Sequence[Path] = ()) -> bool:
    """Write down that an institution may take part, and what speaks for its key.

    Args:
        ledger: Where it is written.
        root: The coordinator's folder.
        enrolment: The institution's request, already checked.
        proofs: Files with members' words for it, or its certificate.

    Returns:
        Whether the admission was news.

    Raises:
        FederationError: a proof that is none, or too few for the coordinator's rules.
        LedgerError: it cannot be admitted.
        ConfigError: the coordinator's rules cannot be read.
    """
    folder = ServerFolder(root)
    config, state = folder.read_config(), ledger.state()
    read = [_read(path) for path in proofs]
    check_vouched(config, folder, state, enrolment, read)
    known = state.owners.get(enrolment.owner)
    if known is not None and not known.revoked and known.admitted.enrolment == enrolment.to_line():
        until = known.admitted.until  # nothing is new, so the key's time does not begin anew
    else:
        until = key_until(config.key_days)
    admitted = admission(enrolment, until)
    news = state.is_news(admitted, datetime.now(UTC))
    facts: list[Fact] = [admitted] if news else []
    for proof in read:
        line = proof.to_line()
        fact = KeyCosigned(document=line) if isinstance(proof, CoSignature) else KeyCertified(document=line)
        if state.is_news(fact, datetime.now(UTC)):
            facts.append(fact)
    if facts:
        ledger.record_all(facts)
    return news


def check_vouched(
    config: ServerConfig, folder: ServerFolder, state: State, enrolment: Enrolment, proofs: Sequence[Proof]
) -> None:
    """Raise FederationError where the coordinator admits only who is vouched for, and too few do."""
    if not (config.cosigners or config.roots):
        return
    members = [(name, owner.admitted.public_key) for name, owner in state.owners.items() if not owner.revoked]
    given = [member for member in members if member[0] != enrolment.owner]
    if len(given) < config.cosigners and not config.roots:
        return  # the first members can be vouched for by nobody
    roots = read_roots(folder.root / os.path.expanduser(config.roots)) if config.roots else ()
    # Without cosigners in the rules, members' words count for nothing: more are wanted than there are.
    vouching = Vouching(cosigners=config.cosigners or len(given) + len(proofs) + 1, roots=roots)
    everything = [*map(read_proof, state.proofs), *proofs]
    if (enrolment.owner, enrolment.public_key) not in known_keys(given, everything, vouching, datetime.now(UTC)):
        wanted = [f"{config.cosigners} members sign for it"] if config.cosigners else []
        wanted += ["it shows a certificate of an authority that this coordinator names"] if config.roots else []
        raise FederationError(
            f"'{enrolment.owner}' is admitted only if {' or '.join(wanted)}: give the files with --proof "
            "(made by atoll node peer cosign, atoll node peer certify)"
        )


def _read(path: Path) -> CoSignature | CertifiedKey:
    try:
        proof = read_proof(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no proof can be read here: {error}") from error
    except FederationError as error:
        raise FederationError(f"{path}: {error}") from error
    if isinstance(proof, KeyRotation):
        raise FederationError(f"{path}: is the rotation of a key; give it to atoll coordinator accept")
    return proof
