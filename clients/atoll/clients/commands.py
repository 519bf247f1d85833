"""``atoll node``: an institution's node. Found by the command line through its entry point."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from atoll.cli.output import echo_json
from atoll.clients.gate import key_commands, peer_commands

# Nothing heavy is imported up here: `--help` must answer at once.

app = typer.Typer(
    name="node",
    epilog="Example: atoll node health my-node",
    help="An institution's node: made, enrolled and run by the institution.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(key_commands.app)
app.add_typer(peer_commands.app)
_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The node's folder.")]


@app.command()
def init(
    folder: _Folder,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="How data is read, such as format=table.")
    ] = None,
    *,
    invitation: Annotated[Path, typer.Option(metavar="FILE", help="invitation.json, from the coordinator's operator.")],
    owner: Annotated[str, typer.Option(metavar="NAME", help="Short name: lower-case letters, digits, hyphens.")],
    data: Annotated[list[str], typer.Option(metavar="PATH", help="A file, a folder or a pattern; repeatable.")],
    domain: Annotated[str, typer.Option(metavar="TEXT", help="What the data is about, for people.")],
    purpose: Annotated[
        list[str] | None, typer.Option(metavar="WORD", help="What experts may be used for; repeatable; any by default.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Last day of the consent: 2031-12-31.")] = None,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Of the experts.")] = "not stated",
) -> None:
    """Make the folder: configuration, keys that never leave it, and the enrolment for the operator.

    Run again, it completes what is missing and changes nothing that is there.

    Example: atoll node init hospital --invitation invitation.json --owner hospital --domain 'Discharge letters'
    --data /srv/letters
    """
    from atoll.clients.gate.setup import init_node
    from atoll.federation.node_config import ConsentTerms

    terms = ConsentTerms(purposes=purpose or ["any"], until=until)
    made = init_node(
        folder,
        invitation,
        owner=owner,
        domain=domain,
        data=data,
        consent=terms,
        licence=licence,
        settings=settings or [],
    )
    typer.echo(f"Made {made.root}. What this node allows is in {made.policy}: read it, and change it as you like.")
    _say_enrolment(folder)


@app.command()
def enrol(
    folder: _Folder,
    renew: Annotated[
        bool,
        typer.Option("--renew", help="With new keys of owner and node: after a revocation, or a theft."),
    ] = False,
    keep_owner_key: Annotated[
        bool, typer.Option("--keep-owner-key", help="With --renew: only the node's key, where that alone was lost.")
    ] = False,
) -> None:
    """Say which file to hand to the operator, and what to read out to each other.

    Example: atoll node enrol hospital
    """
    from atoll.clients.gate.passphrase import ask_passphrase
    from atoll.clients.gate.setup import NodeFolder, write_enrolment

    if renew:
        NodeFolder(folder).read_config()
        NodeFolder(folder).node_key.unlink(missing_ok=True)
        if not keep_owner_key:
            NodeFolder(folder).keys.replace()
    ask_passphrase(NodeFolder(folder).keys)
    write_enrolment(NodeFolder(folder))
    _say_enrolment(folder)


@app.command()
def up(folder: _Folder) -> None:
    """Connect, and serve until stopped; a coordinator that is away is waited for.

    Example: atoll node up hospital
    """
    from atoll.cli.stopping import stopped_by_signal
    from atoll.clients.gate.passphrase import ask_passphrase
    from atoll.clients.gate.serve import serve_node
    from atoll.clients.gate.speech import speak
    from atoll.clients.owner_keys import OwnerKeys

    ask_passphrase(OwnerKeys(folder))
    speak(folder)
    serve_node(folder, stopped_by_signal())


@app.command()
def outbox(
    folder: _Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Every entry in full, one JSON object a line.")] = False,
) -> None:
    """What has left this institution: how much, to whom, and with --json every word.

    Example: atoll node outbox hospital
    """
    from dataclasses import asdict

    from rich.console import Console

    from atoll.clients.gate.outbox import Outbox
    from atoll.clients.gate.report import outbox_table
    from atoll.clients.gate.setup import NodeFolder

    NodeFolder(folder).read_config()
    kept = Outbox(folder / "outbox.jsonl", reading=True)
    if as_json:
        for sent in kept.entries():
            echo_json(json.dumps({**asdict(sent), "bytes": sent.bytes}, ensure_ascii=False))
        return
    Console().print(outbox_table(kept))


@app.command()
def policy(folder: _Folder) -> None:
    """Check policy.yaml, and show what is in force; exit 2 with the reason if it cannot be used.

    Example: atoll node policy hospital
    """
    from atoll.clients.gate.setup import NodeFolder
    from atoll.config import to_yaml

    typer.echo(to_yaml(NodeFolder(folder).read_policy()), nl=False)


@app.command()
def budget(
    folder: _Folder,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, with all that was released.")] = False,
    renew: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="Begin to count anew: trainings or measuring; repeatable. ε stays spent."),
    ] = None,
) -> None:
    """The privacy account, and what trainings and measurements of this version of the data have left.

    Example: atoll node budget hospital --renew trainings
    """
    from rich.console import Console

    from atoll.clients.gate.account import Account
    from atoll.clients.gate.budget_report import budget as current
    from atoll.clients.gate.budget_report import budget_tables
    from atoll.clients.gate.setup import NodeFolder
    from atoll.clients.measuring.budget import MeasuringBudget
    from atoll.errors import ConfigError

    node = NodeFolder(folder)
    key, rules = node.read_key(), node.read_policy()
    renewals = {"trainings": lambda: Account(folder, key).renew(), "measuring": lambda: MeasuringBudget(folder).renew()}
    if odd := [name for name in renew or [] if name not in renewals]:
        raise ConfigError(f"--renew {odd[0]}: there is {' and '.join(renewals)}")
    for name in renew or []:
        renewals[name]()
    found = current(folder, key, rules)
    if as_json:
        echo_json(json.dumps(found, ensure_ascii=False))
        return
    Console().print(budget_tables(found))


@app.command()
def works(folder: _Folder) -> None:
    """The work that this node has taken on.

    Example: atoll node works hospital
    """
    from atoll.clients.gate.setup import NodeFolder
    from atoll.clients.gate.works import pending

    NodeFolder(folder).read_config()
    for each in pending(folder):
        typer.echo(f"{each['work']:<10}{each['unit']}  {each['state']}")


@app.command()
def receipts(
    folder: _Folder,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A file; else the terminal.")] = None,
) -> None:
    """Write out the receipts that coordinators gave: for other members, and for atoll ledger fork-proof.

    Example: atoll node receipts hospital --out hospital.receipts
    """
    from atoll.clients.gate.receipts import read_receipts
    from atoll.clients.gate.setup import NodeFolder
    from atoll.experts.files import write_atomic

    NodeFolder(folder).read_config()
    lines = "".join(receipt.to_line() + "\n" for receipt in read_receipts(folder / "receipts.jsonl"))
    if out is None:
        typer.echo(lines, nl=False)
    else:
        write_atomic(out, lines.encode())
        typer.echo(f"Wrote {out}: {lines.count(chr(10))} receipts")


@app.command()
def alarms(
    folder: _Folder,
    acknowledge: Annotated[bool, typer.Option("--acknowledge", help="You have seen them: move them away.")] = False,
) -> None:
    """What you must look at: exit 9 while there are alarms, such as a statement in your name that you never made.

    Example: atoll node alarms hospital
    """
    from atoll.clients.gate.alarms import Alarms
    from atoll.clients.gate.setup import NodeFolder
    from atoll.errors import LedgerError

    NodeFolder(folder).read_config()
    kept = Alarms(folder)
    entries = kept.entries()
    for line in entries:
        typer.echo(line)
    if acknowledge:
        typer.echo(f"acknowledged: {kept.acknowledge()}")
    elif entries:
        raise typer.Exit(LedgerError.exit_code)
    else:
        typer.echo("no alarms")


@app.command()
def health(folder: _Folder, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Whether the node runs and the coordinator reaches it: exit 0 where it does, else 8.

    Example: atoll node health hospital || systemctl restart atoll-node
    """
    from dataclasses import asdict
    from datetime import UTC, datetime

    from atoll.clients.gate.health import read_health
    from atoll.clients.gate.setup import NodeFolder
    from atoll.errors import FederationError

    NodeFolder(folder).read_config()
    found = read_health(folder)
    if found is None:
        typer.echo(
            json.dumps({"ready": False, "live": False})
            if as_json
            else f"no node runs: atoll node up {shlex.quote(str(folder))}"
        )
        raise typer.Exit(FederationError.exit_code)
    if as_json:
        typer.echo(json.dumps({"ready": found.ready, "live": found.live, **asdict(found)}, indent=2))
    else:
        heard = datetime.fromtimestamp(found.heard, UTC).isoformat(timespec="seconds") if found.heard else "never"
        typer.echo(f"runs:                      {'yes' if found.live else 'no, or it hangs: atoll node up'}")
        typer.echo(f"connected:                 {'yes' if found.live and found.connected else 'no'}")
        typer.echo(f"heard from coordinator:    {heard}")
        typer.echo(f"connections made anew:     {found.reconnects}")
        typer.echo(f"workers started again:     {found.workers}")
        typer.echo(f"stands in the way:         {found.trouble or 'nothing'}")
    if not found.ready:
        raise typer.Exit(FederationError.exit_code)


@app.command()
def withdraw(
    folder: _Folder,
    expert: Annotated[str, typer.Option(metavar="DIGEST", help="Which expert; all of them by default.")] = "",
    words: Annotated[str, typer.Option(metavar="TEXT", help="Why, if you like.")] = "",
    after: Annotated[int, typer.Option(help="Number of your last statement, where the folder lost it.")] = 0,
) -> None:
    """Take experts back: signed here, told as soon as the node is connected, in force from the next answer on.

    Example: atoll node withdraw hospital
    """
    _state(folder, expert, [], None, words or "withdrawn by the owner", after=after)


@app.command()
def permit(
    folder: _Folder,
    purpose: Annotated[list[str], typer.Option(metavar="WORD", help="What it may be used for; repeatable; or any.")],
    expert: Annotated[str, typer.Option(metavar="DIGEST", help="Which expert.")] = "",
    new: Annotated[
        bool, typer.Option("--new", help="Take part again with new experts, after withdrawing all.")
    ] = False,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Last day: 2031-12-31.")] = None,
    words: Annotated[str, typer.Option(metavar="TEXT", help="In your words.")] = "",
) -> None:
    """Change what an expert may be used for from now on; this is all that it may then be used for.

    Example: atoll node permit hospital --expert sha256:… --purpose research --until 2031-12-31
    """
    _state(folder, expert, purpose, until, words, new=new)


@app.command()
def train(
    folder: _Folder,
    offline: Annotated[bool, typer.Option("--offline", help="Without any connection; the only way there is.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Such as training.steps=400 or seed=1.")
    ] = None,
) -> None:
    """Train an expert on a machine without a network; the folder that it names is then packed and carried over.

    Example: atoll node train hospital --offline training.steps=400
    """
    from atoll.clients.gate.offline import train_offline
    from atoll.errors import ConfigError

    if not offline:
        raise ConfigError("a connected node trains when its coordinator calls; give --offline to train without one")
    made = train_offline(folder, overrides or [])
    typer.echo(f"Trained: {made}")
    typer.echo(
        "Next:    "
        + shlex.join(
            ["atoll", "expert", "pack", str(made), "--key", str(folder / "owner.key"), "--out", f"{made}.atoll"]
        )
    )


@app.command()
def scorecard(
    folder: _Folder,
    before: Annotated[Path, typer.Option(metavar="RELEASE", help="The last release with this owner's expert.")],
    after: Annotated[
        Path | None,
        typer.Option(metavar="RELEASE", help="The one without it; without this option, the same release masked."),
    ] = None,
    never_had: Annotated[
        Path | None,
        typer.Option(
            metavar="RELEASE",
            help="One made anew without this owner's data; not needed where a withdrawal from RELEASE is exact.",
        ),
    ] = None,
    documents: Annotated[int, typer.Option(min=2, help="Documents asked about at most, trained on and held out.")] = 64,
    gradient: Annotated[str, typer.Option(help="Membership by gradient norm: auto, always or never.")] = "auto",
    key: Annotated[
        str, typer.Option(metavar="KEY", help="Who must have signed: digits, coordinator.pub or invitation.json.")
    ] = "",
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Although nobody signed it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure what this owner's exit left: on its own machine and data, and for its own eyes.

    Example: atoll node scorecard hospital --before release-0003 --after release-0004
    """
    from rich.console import Console

    from atoll.cli.options import trust
    from atoll.clients.audit.own_exit import ExitReleases, own_exit
    from atoll.coordinator.report.terminal import unlearning_table
    from atoll.privacy.unlearning_config import UnlearningConfig

    config = UnlearningConfig(documents=documents, gradient=gradient)
    releases = ExitReleases(before, after, never_had)
    owner, figures = own_exit(folder, releases, config, trust(key, first=False, older=True, unsigned=unsigned))
    if as_json:
        typer.echo(json.dumps(figures, indent=1, sort_keys=True))
    else:
        Console().print(unlearning_table(figures, owner))


@app.command()
def forget(
    folder: _Folder,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATHS]...", help="Files, folders or globs that hold the records, in the data's form."),
    ] = None,
    record: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A document (notes.jsonl#12) or person of the data, by name; repeatable."),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Train from the beginning, and not from a checkpoint.")] = False,
) -> None:
    """Pass over records for good, and train the latest expert again without them; the earlier one is withdrawn.

    It goes on from the last checkpoint that had not seen them (`checkpoints` in node.yaml keeps some), or begins anew.
    A node that runs is stopped first; started again, it hands the successor to the coordinator.

    Example: atoll node forget hospital /srv/letters/2031-05-03.txt
    """
    from atoll.clients.gate.forget import forget as forget_records

    said = forget_records(folder, paths or [], record or [], anew=anew)
    typer.echo(f"Passed over from now on: {said.records} more records, of {said.samples} samples in the data.")
    if not said.successor:
        typer.echo("No expert had seen them, so none is trained again.")
        return
    how = f"from step {said.step}, before which none of them was read" if said.step else "from the beginning"
    typer.echo(f"Successor: {said.successor}, trained {how}")
    typer.echo(f"Withdrawn, and erased here: {', '.join(said.predecessors) or 'nothing more'}")
    typer.echo("A running node hands both over; without one, hand these files to the operator, for")
    for file in (*said.statements, said.package):
        typer.echo(f"        atoll coordinator accept FOLDER {file}")


def _state(
    folder: Path, expert: str, purposes: list[str], until: str | None, words: str, *, new: bool = False, after: int = 0
) -> None:
    from atoll.clients.gate.setup import NodeFolder
    from atoll.clients.gate.statements import Statements

    found = NodeFolder(folder)
    statements = Statements(folder / "statements", found.read_config().owner, found.read_key())
    _, path = statements.say(expert=expert, purposes=purposes, until=until, words=words, new=new, after=after)
    typer.echo(f"Signed: {path}")
    typer.echo("A running node tells it to the coordinator at once; without one, hand the file to the operator, for")
    typer.echo(f"        atoll coordinator accept FOLDER {path.name}")


def _say_enrolment(folder: Path) -> None:
    from atoll.clients.gate.setup import NodeFolder
    from atoll.experts.signing import PublicKey
    from atoll.federation.handover import Enrolment, Invitation

    found = NodeFolder(folder)
    found.read_config()
    enrolment, invited = Enrolment.load(found.enrolment), Invitation.load(found.invitation)
    typer.echo(f"Hand this file to the operator: {found.enrolment}")
    typer.echo(f"Read out to the operator, who sees the same: {PublicKey.from_hex(enrolment.public_key).fingerprint}")
    typer.echo(f"The operator reads out to you:               {PublicKey.from_hex(invited.public_key).fingerprint}")
    typer.echo(f"Then: atoll node up {shlex.quote(str(folder))}")
