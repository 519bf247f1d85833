"""What ``atoll ledger show`` prints, for people and for machines."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from atoll.cli.plain import add_row, plain_table
from atoll.ledger import Period, Standing, State

_UNSIGNED = "unsigned, from before version 2"


def remarks(state: State) -> list[str]:
    """What to look at in a ledger that verifies, a line each."""
    lines = []
    unsigned = [digest[:19] for digest, expert in state.experts.items() if not expert.consents.signed]
    if unsigned:
        lines.append(f"{_UNSIGNED}: what is permitted with {', '.join(unsigned)}; nodes tell their statements anew")
    for name, owner in sorted(state.owners.items()):
        if owner.voice.missing:
            numbers = ", ".join(map(str, owner.voice.missing))
            lines.append(f"statements of {name} that were not heard, though later ones were: {numbers}")
    if state.awaited:
        lines.append(f"not heard since the ledger was restored: {', '.join(sorted(state.awaited))}")
    if state.doubted:
        lines.append(f"doubted: {state.doubted}")
    return lines


def overview(state: State) -> dict[str, Any]:
    """Everything that is so now, as plain values."""
    return {
        "events": state.head.sequence,
        "head": state.head.digest,
        "owners": [
            {
                "owner": name,
                "domain": owner.admitted.domain,
                "public_key": owner.admitted.public_key,
                "admitted": owner.since.isoformat(),
                "revoked": owner.revoked or None,
                "statements": sorted(owner.voice.heard),
                "withdrawn": owner.voice.out,
                "bytes_from": state.bytes_from.get(name, 0),
                "bytes_to": state.bytes_to.get(name, 0),
            }
            for name, owner in sorted(state.owners.items())
        ],
        "experts": [
            {
                "owner": expert.accepted.owner,
                "expert": digest,
                "accepted": expert.since.isoformat(),
                "consent": expert.consents.now.state,
                "purposes": list(expert.consents.now.purposes),
                "until": expert.consents.now.until and expert.consents.now.until.isoformat(),
                "signed": expert.consents.signed,
                "limits": [limit.standing.statement for limit in expert.consents.limits],
            }
            for digest, expert in state.experts.items()
        ],
        "releases": [
            {
                "number": number,
                "digest": made.released.digest,
                "made": made.since.isoformat(),
                "guarantee": made.released.guarantee,
                "owners": _owners(state, made.released.members),
                "members": made.released.members,
            }
            for number, made in state.releases.items()
        ],
        "operators": [
            {"name": name, "roles": each.roles, "until": each.until} for name, each in sorted(state.operators.items())
        ],
        "acts": [
            {
                "at": at.isoformat(),
                "act": fact.act,
                "operator": fact.operator,
                "role": fact.role,
                "what": fact.what,
                "facts": fact.facts,
                "standing": fact.standing,
            }
            for at, fact in state.acted
        ],
        "open": [{"owner": owner, "unit": unit, "work": issued.work} for (owner, unit), issued in state.open.items()],
    }


def releases_of(state: State, owner: str) -> list[dict[str, Any]]:
    """Which releases hold an owner's experts, and until when, as plain values.

    Raises:
        LedgerError: there is no such owner.
    """
    return [
        {
            "number": number,
            "digest": state.releases[number].released.digest,
            "usable": [{"from": p.begin.isoformat(), "until": p.end and p.end.isoformat()} for p in periods],
        }
        for number, periods in state.periods(owner).items()
    ]


def overview_tables(state: State) -> list[Table]:
    """Everything that is so now."""
    owners = plain_table("Owners", "owner", "domain", "admitted", "state")
    for name, owner in sorted(state.owners.items()):
        standing = f"revoked: {owner.revoked}" if owner.revoked else "admitted"
        add_row(owners, name, owner.admitted.domain, _moment(owner.since), standing)
    experts = plain_table("Experts", "owner", "expert", "accepted", "consent")
    for digest, expert in state.experts.items():
        consent = _consent(expert.consents.now) + ("" if expert.consents.signed else f" ({_UNSIGNED})")
        add_row(experts, expert.accepted.owner, digest[:19], _moment(expert.since), consent)
    releases = plain_table("Releases", "number", "digest", "made", "owners", "guarantee")
    for number, made in state.releases.items():
        owners_in = ", ".join(_owners(state, made.released.members))
        digest = made.released.digest[:19]
        add_row(releases, str(number), digest, _moment(made.since), owners_in, made.released.guarantee)
    tables = [owners, experts, releases]
    if state.open:
        work = plain_table("Work in progress", "owner", "work", "unit")
        for (name, unit), issued in state.open.items():
            add_row(work, name, issued.work, unit)
        tables.append(work)
    if state.acted:
        acts = plain_table("Acts of operators", "at", "operator", "role", "what", "standing", "act")
        for at, fact in state.acted:
            add_row(acts, _moment(at), fact.operator, fact.role, fact.what, fact.standing, fact.act)
        tables.append(acts)
    return tables


def releases_table(state: State, owner: str) -> Table:
    """Which releases hold an owner's experts, and until when.

    Raises:
        LedgerError: there is no such owner.
    """
    table = plain_table(f"Releases with experts of {owner}", "number", "digest", "might use them")
    for number, periods in state.periods(owner).items():
        spans = "\n".join(map(_span, periods)) or "never"
        add_row(table, str(number), state.releases[number].released.digest[:19], spans)
    return table


def _owners(state: State, members: Sequence[str]) -> list[str]:
    return sorted({state.experts[digest].accepted.owner for digest in members})


def _consent(standing: Standing) -> str:
    if standing.state == "withdrawn":
        return "withdrawn"
    end = f", until {standing.until}" if standing.until else ""
    return f"{standing.state}: for {', '.join(standing.purposes)}{end}"


def _span(period: Period) -> str:
    end = f"until {_moment(period.end)}" if period.end else "still"
    return f"from {_moment(period.begin)}, {end}"


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
