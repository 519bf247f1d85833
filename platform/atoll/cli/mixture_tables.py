"""What ``atoll mixture`` prints."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from atoll.cli.plain import add_row, plain_table
from atoll.coordinator.generate import Answer
from atoll.coordinator.measure import Measured
from atoll.coordinator.report.privacy import INTERVALS, privacy_grid
from atoll.errors import PluginError
from atoll.experts.package import ExpertPackage
from atoll.federation.units import Choice
from atoll.plugins.origin import PluginOrigin, difference
from atoll.releases.envelope import ReleaseEnvelope
from atoll.releases.release import Release


def release_table(release: Release, envelope: ReleaseEnvelope | None) -> Table:
    """What a release consists of, and who vouches for it."""
    table = Table(title=f"Release {release.number}", show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "digest": release.digest,
        "anchor": f"{release.anchor_name}\n{release.anchor}",
        "integrator": _choice(release.integrator),
        "router": _choice(release.router),
        "guarantee": release.guarantee,
        "plug-ins": "\n".join(_plugin(plugin) for plugin in release.plugins) or "not recorded",
        "signed": _signed(envelope),
    }
    for name, value in rows.items():
        table.add_row(name, Text(value))  # Text, since what others wrote is not markup
    return table


def _plugin(plugin: PluginOrigin) -> str:
    """What the release was made with, and what of it is another here."""
    try:
        other = difference(plugin)
    except PluginError as error:
        other = str(error)
    made = f"{plugin.group.removeprefix('atoll.')}: {plugin.name}, of {plugin.title}"
    return f"{made} ({other})" if other else made


def _signed(envelope: ReleaseEnvelope | None) -> str:
    if envelope is None:
        return "by nobody"
    until = f"holds until {envelope.expires}" if envelope.expires else "without an end"
    return f"by {envelope.signer.fingerprint}, {envelope.issued}, {until}"


def member_table(experts: Sequence[ExpertPackage]) -> Table:
    """The experts of a release."""
    table = plain_table("Experts", "owner", "domain", "kind", "digest", "signed by", "licence", "consent")
    for expert in experts:
        card = expert.card
        consent = f"for {', '.join(card.consent.purposes) or 'nothing'}, until {card.consent.until or 'withdrawn'}"
        digest = expert.digest[:19]
        signer = expert.public_key.fingerprint
        add_row(table, card.owner, card.domain, card.kind, digest, signer, card.licence, consent)
    return table


def privacy_table(audits: Mapping[str, Mapping[str, float]]) -> Table:
    """What owners measured, by owner."""
    grid = privacy_grid(audits)
    table = plain_table("Privacy, as measured", *grid.columns)
    table.caption, table.caption_justify = INTERVALS, "left"
    for row in grid.rows:
        add_row(table, *row)
    return table


def loss_table(found: Measured) -> Table:
    """Losses in nats a token."""
    caption = f"{found.tokens:,} tokens predicted, in {found.windows:,} windows of {found.documents:,} documents"
    table = Table(title="Loss, nats a token", caption=caption, title_justify="left", caption_justify="left")
    table.add_column("model")
    table.add_column("loss", justify="right")
    table.add_column("against the anchor", justify="right")
    table.add_row("anchor", f"{found.anchor:.4f}", "")
    table.add_row("mixture", f"{found.mixture:.4f}", f"{found.mixture - found.anchor:+.4f}")
    return table


def shares_table(shares: Mapping[str, float]) -> Table:
    """Who contributed, the largest share first."""
    table = Table(title="Who contributed", title_justify="left")
    table.add_column("slot")
    table.add_column("share", justify="right")
    for slot, share in sorted(shares.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(Text(slot), f"{share:.1%}")
    return table


def answered_json(prompt: str, answer: Answer, release: str, entitlement: Sequence[str] | None) -> str:
    """A prompt and its answer as one JSON object in one line; an entitlement of null is everybody in the release."""
    owners = None if entitlement is None else list(entitlement)
    told = {"prompt": prompt, "text": answer.text, "shares": dict(answer.shares)}
    return json.dumps({**told, "entitlement": owners, "release": release}, ensure_ascii=False)


def measured_json(release: Release, found: Measured) -> str:
    """Everything that was measured, as one JSON object."""
    return json.dumps({"release": release.digest, "owners": list(release.owners), **asdict(found)}, indent=2)


def _choice(choice: Choice) -> str:
    options = ", ".join(f"{key} {value}" for key, value in choice.options.items())
    return f"{choice.name} ({options})" if options else choice.name
