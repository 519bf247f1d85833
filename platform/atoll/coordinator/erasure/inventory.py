"""The inventory of holders: where copies of an expert are, from what the ledger says.

======================  =============================================================================
copy                    known from
======================  =============================================================================
``package BLOB``        the expert's acceptance: the coordinator's store of packages
``release N``           the release's entry: the folder with the members' packages
``export PATH``         ``atoll mixture export``, which registers what it writes
``backup PATH``         ``atoll coordinator backup``, which does so too; the copy in it is sealed
``tracked PATH``        a tracking store of MLflow that a release was logged into
``blob BLOB``           what was sent to another owner's node, to be measured or trained beside
======================  =============================================================================

The owner's own copy, in its own node, is its own, and in no inventory.
"""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atoll.experts.erasure import COORDINATOR
from atoll.ledger import Ledger, State
from atoll.ledger.copies import CopyMade

PACKAGE, RELEASE, EXPORT, BACKUP, TRACKED, BLOB = "package", "release", "export", "backup", "tracked", "blob"


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of one expert.

    Attributes:
        holder: ``coordinator``, or the owner whose node has it.
        expert: Digest of the package.
        what: Of what sort it is.
        where: Content address, number or path.
        machine: On which machine that path is; empty for the holder's own folder.
        content: Digest of what is there, by which it is known again; empty where it can't be told.
    """

    holder: str
    expert: str
    what: str
    where: str
    machine: str = ""
    content: str = ""

    @property
    def name(self) -> str:
        """How statements of erasure name it."""
        return f"{self.what} {self.where}"

    @property
    def here(self) -> bool:
        """Whether it would be on this machine."""
        return self.machine in ("", this_machine())


def copies_of(state: State, expert: str) -> Iterator[Copy]:
    """Every copy that was ever made of an expert, erased or not; not the owner's own."""
    accepted = state.experts[expert].accepted
    yield Copy(COORDINATOR, expert, PACKAGE, accepted.blob)
    for number, made in state.releases.items():
        if expert in made.released.members:
            yield Copy(COORDINATOR, expert, RELEASE, str(number))
    for fact in state.copies.made:
        if expert in fact.experts:
            yield Copy(COORDINATOR, expert, fact.what, fact.where, fact.machine, fact.content)
    for owner in state.copies.sent.get(accepted.blob, ()):
        if owner != accepted.owner:
            yield Copy(owner, expert, BLOB, accepted.blob)


def withdrawn_since(state: State, expert: str) -> datetime | None:
    """Since when all consent to an expert is withdrawn, by its owner or on its word by an operator; ``None`` else.

    A consent that is restricted to some purposes, or has run out, is no withdrawal: nothing is erased for it, also
    where restrictions leave no purpose between them.
    """
    consents = state.experts[expert].consents
    if consents.own.purposes and all(limit.standing.purposes for limit in consents.limits):
        return None
    since = consents.history[-1][0]
    for at, standing in reversed(consents.history):
        if standing.purposes:
            break
        since = at
    return since


def left_of(state: State, expert: str) -> list[Copy]:
    """Copies of a withdrawn expert that nobody has said to be erased; none while it is permitted."""
    since = withdrawn_since(state, expert)
    if since is None:
        return []
    return [copy for copy in copies_of(state, expert) if not _erased(state, copy, since)]


def to_ask(state: State, owner: str) -> list[str]:
    """Withdrawn experts of others that this owner's node must still be asked to erase: digests.

    It is asked whether or not a copy is known to have come whole: the beginning of one may be there.
    """
    found = []
    for expert, each in state.experts.items():
        since = withdrawn_since(state, expert)
        if since is None or each.accepted.owner == owner or state.owners[owner].since > since:
            continue
        if not _erased(state, Copy(owner, expert, BLOB, each.accepted.blob), since):
            found.append(expert)
    return found


def withdrawn_blobs(state: State) -> set[str]:
    """Files of withdrawn experts: content addresses."""
    return {
        expert.accepted.blob for digest, expert in state.experts.items() if withdrawn_since(state, digest) is not None
    }


def record_copy(ledger: Ledger, *, what: str, where: Path, experts: Sequence[str], content: str = "") -> None:
    """Register that experts were written somewhere.

    Args:
        ledger: Of the coordinator.
        what: ``export``, ``backup`` or ``tracked``.
        where: The file or folder.
        experts: Digests of the experts in it.
        content: Digest of what was written, where it is to be known again.
    """
    known = ledger.state().experts
    made = CopyMade(
        what=what,
        where=str(where.absolute()),
        machine=this_machine(),
        experts=sorted(set(experts) & set(known)),
        content=content,
    )
    if made.experts:
        ledger.record(made)


def this_machine() -> str:
    """The name by which paths are told apart from those of other machines."""
    return socket.gethostname()


def _erased(state: State, copy: Copy, since: datetime) -> bool:
    at = state.copies.erased.get((copy.holder, copy.expert, copy.name))
    return at is not None and at.at >= since
