"""What ``atoll ledger show --owner`` says of copies: where each is, what became of it after a withdrawal, and why."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.table import Table

from atoll.cli.ledger_tables import releases_of
from atoll.cli.plain import add_row, plain_table
from atoll.coordinator.erasure.inventory import BACKUP, RELEASE, Copy, copies_of, this_machine, withdrawn_since
from atoll.experts.erasure import COORDINATOR
from atoll.experts.integrator import EXACT
from atoll.ledger import State

IN_USE, ERASED, REMAINS = "in use", "erased", "remains"


@dataclass(frozen=True, slots=True)
class CopyRow:
    """One copy of one expert.

    Attributes:
        expert: Digest of the package.
        holder: ``coordinator``, or the owner whose node has it.
        copy: Which, such as ``release 3``.
        state: ``in use``, ``erased`` or ``remains``.
        at: When that was so, ISO 8601; empty where it is so now.
        why: In words.
    """

    expert: str
    holder: str
    copy: str
    state: str
    at: str
    why: str


def copy_rows(state: State, owner: str) -> list[CopyRow]:
    """Every copy of every expert of an owner, but for its own.

    Raises:
        LedgerError: there is no such owner.
    """
    state.owner(owner)
    mine = [digest for digest, expert in state.experts.items() if expert.accepted.owner == owner]
    return [row for expert in mine for row in _rows(state, expert)]


def owner_overview(state: State, owner: str) -> dict[str, Any]:
    """Which releases hold an owner's experts, and where copies are, as plain values.

    Raises:
        LedgerError: there is no such owner.
    """
    copies = [asdict(row) for row in copy_rows(state, owner)]
    return {"owner": owner, "releases": releases_of(state, owner), "copies": copies}


def copies_table(state: State, owner: str) -> Table:
    """:func:`copy_rows` for people."""
    table = plain_table(f"Copies of experts of {owner}", "expert", "holder", "copy", "state", "since", "why")
    for row in copy_rows(state, owner):
        name = row.copy if len(row.copy) < 60 else f"{row.copy[:26]}…"
        add_row(table, row.expert[:19], row.holder, name, row.state, row.at[:19], row.why)
    return table


def _rows(state: State, expert: str) -> Iterator[CopyRow]:
    since = withdrawn_since(state, expert)
    if since is None:
        for copy in copies_of(state, expert):
            yield CopyRow(
                expert, copy.holder, copy.name, IN_USE, "", "its owner permits a use of it, or did until lately"
            )
        return
    known = list(copies_of(state, expert))
    for copy in known:
        yield _withdrawn(state, copy, since)
    for (holder, digest, name), erased in state.copies.erased.items():
        listed = any((copy.holder, copy.name) == (holder, name) for copy in known)
        if digest == expert and not listed and erased.at >= since:
            yield CopyRow(expert, holder, name, ERASED, erased.statement.at, f"signed by {holder}; if there was any")
    yield from _traces(state, expert)


def _withdrawn(state: State, copy: Copy, since: datetime) -> CopyRow:
    key = (copy.holder, copy.expert, copy.name)
    erased = state.copies.erased.get(key)
    if erased is not None and erased.at >= since:
        how = "its key was thrown away; " if copy.what == BACKUP else ""
        return CopyRow(*_names(copy), ERASED, erased.statement.at, f"{how}signed by {copy.holder}")
    if key in state.copies.remains:
        at, why = state.copies.remains[key]
        return CopyRow(*_names(copy), REMAINS, at.isoformat(), why)
    return CopyRow(*_names(copy), REMAINS, since.isoformat(), _not_yet(state, copy))


def _not_yet(state: State, copy: Copy) -> str:
    if copy.holder == COORDINATOR:
        return "the coordinator has not run since the withdrawal; it erases when it does (atoll coordinator erase)"
    if state.owners[copy.holder].revoked:
        return f"{copy.holder} is revoked, so its node cannot be asked"
    return f"the node of {copy.holder} was not reached since the withdrawal; it is asked when it connects"


def _traces(state: State, expert: str) -> Iterator[CopyRow]:
    """What is no copy, and stays."""
    for number, made in state.releases.items():
        if expert in made.released.members and made.released.guarantee != EXACT:
            why = f"{made.released.guarantee}; what was fitted together is no copy, and stays in this release"
            yield CopyRow(expert, COORDINATOR, f"traces in {RELEASE} {number}", REMAINS, made.since.isoformat(), why)
    why = "its card, consents and figures stand in a history that cannot be changed; they hold no weights"
    yield CopyRow(expert, COORDINATOR, "entries in the ledger", REMAINS, "", why)
    for successor, fact in state.copies.successors.items():
        if fact.predecessor == expert:
            why = f"made in its place, without {fact.forgotten} of the records; it has a consent of its own"
            yield CopyRow(expert, fact.owner, f"successor {successor}", IN_USE, "", why)


def _names(copy: Copy) -> tuple[str, str, str]:
    place = "" if copy.machine in ("", this_machine()) else f" on {copy.machine}"
    return copy.expert, copy.holder, f"{copy.name}{place}"
