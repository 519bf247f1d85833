"""A snapshot as tables of text, for the page and the terminal alike."""

from dataclasses import dataclass

from atoll.coordinator.report.wording import NOTHING, size_text
from atoll.coordinator.status.cells import (
    BAD,
    GOOD,
    NOTE,
    Cell,
    clean,
    digest_cell,
    lines,
    moment_cell,
    moment_text,
    short_digest,
    since_text,
)
from atoll.coordinator.status.values import (
    ALIVE,
    GIVEN,
    NONE,
    UNKNOWN,
    WITHDRAWN,
    CallStatus,
    ExpertStatus,
    FailureStatus,
    OwnerStatus,
    ReleaseStatus,
    Snapshot,
    WorkStatus,
)
from atoll.ledger import ANY


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table.

    Attributes:
        name: Short, unlike any other.
        title: Above it.
        columns: Headings; the first column names the row.
        rows: As many cells each as there are columns.
        empty: What is said where there is no row.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[Cell]]
    empty: str


def tables(snapshot: Snapshot) -> list[Table]:
    """All of a snapshot."""
    return [
        Table(
            name="owners",
            title="Owners",
            columns=["owner", "key", "may take part", "node", "bytes from it", "bytes to it"],
            rows=[_owner(owner, snapshot.at) for owner in snapshot.owners],
            empty="No owner was admitted yet.",
        ),
        Table(
            name="experts",
            title="Experts and consent",
            columns=["owner", "expert", "consent", "in the owner’s words", "in releases"],
            rows=[_expert(expert) for expert in snapshot.experts],
            empty="No expert was accepted yet.",
        ),
        Table(
            name="releases",
            title="Releases",
            columns=["number", "digest", "made", "members", "permitted", "what a withdrawal leaves"],
            rows=[_release(release) for release in snapshot.releases],
            empty="No release was made yet.",
        ),
        Table(
            name="calls",
            title="Calls for work",
            columns=["call", "work", "since", "for", "units"],
            rows=[_call(call) for call in snapshot.calls],
            empty="Nothing is called for now.",
        ),
        Table(
            name="work",
            title="Work in progress",
            columns=["owner", "work", "unit", "first heard of", "how far"],
            rows=[_work(work) for work in snapshot.work],
            empty="No owner is asked for anything now.",
        ),
        Table(
            name="failures",
            title="Recent failures",
            columns=["when", "owner", "what", "why"],
            rows=[_failure(failure) for failure in snapshot.failures],
            empty="Nothing has failed.",
        ),
    ]


def _owner(owner: OwnerStatus, now: str) -> list[Cell]:
    allowed = Cell(text="admitted", more=(f"since {moment_text(owner.admitted)}",), mark=GOOD)
    if owner.revoked:
        allowed = Cell(text="revoked", more=(clean(owner.revoked),), mark=BAD)
    return [
        Cell(text=clean(owner.owner), more=lines(owner.domain)),
        Cell(text=owner.fingerprint or "no valid key", whole=owner.fingerprint),
        allowed,
        _node(owner, now),
        _bytes(owner.bytes_from, owner.received),
        _bytes(owner.bytes_to, owner.sent),
    ]


def _node(owner: OwnerStatus, now: str) -> Cell:
    if owner.node in (NONE, UNKNOWN):
        return Cell(text=owner.node)
    heard = "not since the start" if owner.seen is None else since_text(owner.seen, now)
    missed = "" if owner.revoked else NOTE
    if owner.barred:
        return Cell(text="given no work", more=(heard, clean(owner.barred)), mark=BAD)
    return Cell(text=owner.node, more=(heard,), mark=GOOD if owner.node == ALIVE else missed)


def _bytes(written: int, lately: int | None) -> Cell:
    more = () if lately is None else (f"{size_text(lately)} since the start",)
    return Cell(text=size_text(written), more=more)


def _expert(expert: ExpertStatus) -> list[Cell]:
    mark = GOOD if expert.consent == GIVEN else NOTE
    said = [f"since {moment_text(expert.since)}"]
    if expert.consent != WITHDRAWN:
        said.insert(0, "for any use" if ANY in expert.purposes else f"for {clean(', '.join(expert.purposes))}")
    if expert.until is not None:
        said.insert(1, f"until {expert.until}" if expert.usable else f"only until {expert.until}, which is over")
    harm = [f"does harm to {clean(by)}: {added:+.3f} nats a token" for by, added in sorted(expert.flagged.items())]
    return [
        Cell(text=clean(expert.owner)),
        digest_cell(expert.expert, f"accepted {moment_text(expert.accepted)}", *harm),
        Cell(text=expert.consent, more=tuple(said), mark=mark if expert.usable else BAD),
        Cell(text=clean(expert.statement) or NOTHING),
        Cell(text=", ".join(map(str, expert.releases)) or "none"),
    ]


def _release(release: ReleaseStatus) -> list[Cell]:
    against = sorted({member.owner for member in release.members if not member.usable})
    permitted = Cell(text="yes", mark=GOOD)
    if against:
        permitted = Cell(text="no longer", more=(clean(f"no use of what is {', '.join(against)}’s"),), mark=BAD)
    members = [f"{clean(member.owner)}: {short_digest(member.expert)}" for member in release.members]
    return [
        Cell(text=str(release.number)),
        digest_cell(release.digest),
        moment_cell(release.made),
        Cell(text="1 expert" if len(members) == 1 else f"{len(members)} experts", more=tuple(members)),
        permitted,
        Cell(text=clean(release.guarantee)),
    ]


def _call(call: CallStatus) -> list[Cell]:
    whom = clean(", ".join(call.owners)) or "everyone"
    units = f"{call.done} done, {call.open} open"
    return [
        digest_cell(call.call),
        Cell(text=clean(call.work)),
        moment_cell(call.since),
        Cell(text=whom),
        Cell(text=units),
    ]


def _work(work: WorkStatus) -> list[Cell]:
    how_far = Cell(text="not heard of yet" if work.since is None else "begun", more=lines(work.note))
    if work.total > 0:
        done = min(max(work.done, 0), work.total)
        how_far = Cell(text=f"{done:,} of {work.total:,}", more=lines(work.note), share=(done, work.total))
    return [
        Cell(text=clean(work.owner)),
        Cell(text=clean(work.work)),
        digest_cell(work.unit),
        moment_cell(work.since),
        how_far,
    ]


def _failure(failure: FailureStatus) -> list[Cell]:
    when = Cell(text="not known") if failure.at is None else moment_cell(failure.at)
    return [when, *(Cell(text=clean(text) or NOTHING) for text in (failure.owner, failure.what, failure.reason))]
