"""Take a snapshot: what the ledger says, with what the running server knows beside it."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from atoll.coordinator.status.live import Live, View
from atoll.coordinator.status.values import (
    ALIVE,
    NONE,
    SILENT,
    UNKNOWN,
    CallStatus,
    ExpertStatus,
    FailureStatus,
    MemberStatus,
    OwnerStatus,
    ReleaseStatus,
    Snapshot,
    WorkStatus,
)
from atoll.errors import ConfigError
from atoll.experts.signing import PublicKey
from atoll.ledger import Ledger, State

__all__ = ["Snapshot", "reader", "snapshot"]

_FRESH = timedelta(seconds=60)
"""A node that answered this lately is alive."""
_SHOWN = 50
"""Failures that are shown."""


def snapshot(state: State, live: Live | None, now: datetime) -> Snapshot:
    """How things stand.

    Args:
        state: The ledger's; nobody may change it meanwhile.
        live: The running server's; ``None`` where none is running.
        now: The moment, with its zone.
    """
    view = None if live is None else live.view()
    return Snapshot(
        at=_moment(now),
        started=None if view is None else _moment(view.started),
        sequence=state.head.sequence,
        head=state.head.digest,
        owners=_owners(state, view, now),
        experts=_experts(state, now),
        releases=_releases(state, now),
        calls=_calls(state),
        work=_work(state, view),
        failures=_failures(state, view),
        failed=None if view is None else view.failed,
        unready="" if view is None else view.unready(now),
        restarts=0 if view is None else view.restarts,
    )


def reader(ledger: Ledger, live: Live | None) -> Callable[[], Snapshot]:
    """What gives a fresh snapshot at every call, from any thread.

    Args:
        ledger: One that is opened for this alone, since a writer would change what is being read.
        live: The running server's; ``None`` where none is running.
    """
    turn = threading.Lock()

    def read() -> Snapshot:
        with turn:
            return snapshot(ledger.state(), live, datetime.now(UTC))

    return read


def _owners(state: State, view: View | None, now: datetime) -> list[OwnerStatus]:
    found = []
    for name, owner in sorted(state.owners.items()):
        seen = None if view is None else view.seen.get(name)
        found.append(
            OwnerStatus(
                owner=name,
                domain=owner.admitted.domain,
                fingerprint=_fingerprint(owner.admitted.public_key),
                admitted=_moment(owner.since),
                revoked=owner.revoked,
                node=UNKNOWN if view is None else _node(seen, bool(owner.admitted.node_key), now),
                seen=None if seen is None else _moment(seen),
                bytes_from=state.bytes_from.get(name, 0),
                bytes_to=state.bytes_to.get(name, 0),
                received=None if view is None else view.received.get(name, 0),
                sent=None if view is None else view.sent.get(name, 0),
                barred="" if view is None else view.barred.get(name, ""),
            )
        )
    return found


def _node(seen: datetime | None, has_one: bool, now: datetime) -> str:
    if seen is None:
        return SILENT if has_one else NONE
    return ALIVE if now - seen <= _FRESH else SILENT


def _experts(state: State, now: datetime) -> list[ExpertStatus]:
    holders: dict[str, list[int]] = {}
    for number, made in state.releases.items():
        for digest in made.released.members:
            holders.setdefault(digest, []).append(number)
    found = []
    for digest, expert in state.experts.items():
        since, standing = expert.consents.history[-1]
        found.append(
            ExpertStatus(
                expert=digest,
                owner=expert.accepted.owner,
                accepted=_moment(expert.since),
                consent=standing.state,
                since=_moment(since),
                purposes=list(standing.purposes),
                until=None if standing.until is None else standing.until.isoformat(),
                statement=standing.statement,
                usable=standing.permits_something(now),
                flagged=dict(expert.flagged),
                releases=holders.get(digest, []),
            )
        )
    return found


def _releases(state: State, now: datetime) -> list[ReleaseStatus]:
    found = []
    for number, made in sorted(state.releases.items(), reverse=True):
        members = [
            MemberStatus(
                owner=state.experts[digest].accepted.owner,
                expert=digest,
                usable=state.experts[digest].consents.now.permits_something(now),
            )
            for digest in made.released.members
        ]
        found.append(
            ReleaseStatus(
                number=number,
                digest=made.released.digest,
                made=_moment(made.since),
                guarantee=made.released.guarantee,
                members=sorted(members, key=lambda member: member.owner),
                usable=all(member.usable for member in members),
            )
        )
    return found


def _calls(state: State) -> list[CallStatus]:
    found = []
    for address, call in state.calls.items():
        if call.finished is None:
            done = sum(unit in state.done for unit in call.units.items())
            found.append(
                CallStatus(
                    call=address,
                    work=call.called.work,
                    since=_moment(call.since),
                    owners=list(call.called.owners),
                    done=done,
                    open=len(call.units) - done,
                )
            )
    return found


def _work(state: State, view: View | None) -> list[WorkStatus]:
    found = []
    for (owner, unit), issued in sorted(state.open.items(), key=lambda item: item[0]):
        known = None if view is None else view.work.get((owner, unit))
        found.append(
            WorkStatus(
                owner=owner,
                unit=unit,
                work=issued.work,
                since=None if known is None else _moment(known.since),
                done=0 if known is None else known.done,
                total=0 if known is None else known.total,
                note="" if known is None else known.note,
            )
        )
    return found


def _failures(state: State, view: View | None) -> list[FailureStatus]:
    heard = [] if view is None else sorted(view.failures, key=lambda failure: failure.at, reverse=True)
    # Most failures are in both places; the server's has the time.
    known = {(failure.owner, failure.reason) for failure in heard}
    written = [
        ("", f"call to {call.called.work}", call.finished.failure)
        for call in reversed(state.calls.values())
        if call.finished is not None
    ]
    written += [(fact.owner, f"unit {fact.unit}", fact.failure) for fact in reversed(state.done.values())]
    untimed = [
        FailureStatus(owner=owner, what=what, reason=reason, at=None)
        for owner, what, reason in written
        if reason and (owner, reason) not in known
    ]
    timed = [FailureStatus(owner=each.owner, what=each.what, reason=each.reason, at=_moment(each.at)) for each in heard]
    return [*timed, *untimed][:_SHOWN]


def _fingerprint(public_key: str) -> str:
    try:
        return PublicKey.from_hex(public_key).fingerprint
    except ConfigError:
        return ""


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
