"""``atoll coordinator``: the operator's commands."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atoll.cli import coordinator_backup, coordinator_operators
from atoll.cli.coordinator_operators import Token

if TYPE_CHECKING:
    from atoll.ledger import Called

# Nothing heavy is imported up here: `--help` must answer at once.

app = typer.Typer(
    name="coordinator",
    epilog="Example: atoll coordinator init my-coordinator --host atoll.example.org",
    help="A coordinator that stays up: make it, run it, admit owners, call for work.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
call_app = typer.Typer(
    name="call",
    help="Call for work.",
    epilog="Example: atoll coordinator call train my-coordinator",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(call_app)
app.add_typer(coordinator_operators.app)

_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The coordinator's folder.")]
_Owner = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only this owner; repeatable. Without: everyone, those who come later too."),
]


@app.command()
def init(
    folder: _Folder,
    host: Annotated[
        list[str], typer.Option(metavar="NAME", help="Name or address by which nodes reach it; repeatable.")
    ],
    port: Annotated[int, typer.Option(help="To listen on.")] = 9443,
    bind: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "0.0.0.0",
    status_port: Annotated[
        int, typer.Option(help="Of the status page, on this machine only; 0 for a free one.")
    ] = 9080,
    anchor: Annotated[
        str, typer.Option(help="atoll-3m, smollm2 or the folder of a Llama or Olmo2 model.")
    ] = "atoll-3m",
    ledger: Annotated[str, typer.Option(metavar="URL", help="A database; a file in the folder by default.")] = "",
    certificate: Annotated[str, typer.Option(metavar="FILE", help="Your own TLS certificate, PEM.")] = "",
    key: Annotated[str, typer.Option(metavar="FILE", help="Of that certificate.")] = "",
    ca: Annotated[str, typer.Option(metavar="FILE", help="Who signed it.")] = "",
) -> None:
    """Make the folder: configuration, TLS certificates, a signing key, and the invitation for institutions.

    Run again, it completes what is missing and changes nothing that is there: no key or authority is made anew.

    Example: atoll coordinator init coordinator --host atoll.example.org
    """
    from atoll.coordinator.server.folder import ServerConfig, StatusConfig, init_server
    from atoll.experts.signing import PublicKey
    from atoll.ledger.location import absolute_ledger

    config = ServerConfig(
        hosts=host,
        bind=bind,
        port=port,
        anchor=_absolute(anchor) if os.path.isdir(os.path.expanduser(anchor)) else anchor,
        ledger=absolute_ledger(ledger) if ledger else "",
        certificate=_absolute(certificate),
        key=_absolute(key),
        ca=_absolute(ca),
        status=StatusConfig(port=status_port),
    )
    made = init_server(folder, config)
    typer.echo(f"Made {folder}.")
    typer.echo(f"Hand to institutions: {made.invitation}")
    typer.echo(f"Read out to them:     {PublicKey.load(folder / 'coordinator.pub').fingerprint}")
    typer.echo(f"Then: atoll coordinator up {shlex.quote(str(folder))}")


@app.command()
def up(folder: _Folder) -> None:
    """Serve until stopped; started again, even after kill -9, it goes on where it was.

    Example: atoll coordinator up coordinator
    """
    from atoll.cli.serving import speak
    from atoll.cli.stopping import stopped_by_signal
    from atoll.coordinator.server.server import serve_coordinator

    speak(folder)
    serve_coordinator(folder, stopped_by_signal())


@app.command()
def approve(
    folder: _Folder,
    enrolment: Annotated[Path, typer.Argument(metavar="FILE", help="From the institution.")],
    proof: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A member's word for it, or its certificate; repeatable."),
    ] = None,
    token_file: Token = None,
) -> None:
    """Admit an institution; a running coordinator lets it in at once.

    Example: atoll coordinator approve coordinator enrolment.json
    """
    from atoll.coordinator.operators import operated_ledger
    from atoll.coordinator.server.admission import admit
    from atoll.coordinator.server.folder import ServerFolder
    from atoll.experts.signing import PublicKey
    from atoll.federation.handover import Enrolment

    paper = Enrolment.load(enrolment)
    fingerprint = PublicKey.from_hex(paper.public_key).fingerprint
    what = f"approve {paper.owner} {fingerprint}"
    with operated_ledger(ServerFolder(folder), "admit", what, token_file) as ledger:
        news = admit(ledger, folder, paper, proof or [])
    typer.echo(f"{paper.owner} is admitted" if news else f"{paper.owner} was admitted before")
    typer.echo(f"It must read out to you: {fingerprint}")


@app.command()
def revoke(
    folder: _Folder,
    owner: Annotated[str, typer.Argument(metavar="OWNER")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="For the ledger.")] = "revoked by the operator",
    token_file: Token = None,
) -> None:
    """Bar an institution; a running coordinator shuts it out at once. Its experts stay until consent is withdrawn.

    Its keys are never admitted again: it comes back with new ones (atoll node enrol FOLDER --renew).

    Example: atoll coordinator revoke coordinator hospital --reason 'its key was stolen'
    """
    from atoll.coordinator.operators import operated_ledger
    from atoll.coordinator.server.folder import ServerFolder
    from atoll.ledger import OwnerRevoked

    with operated_ledger(ServerFolder(folder), "admit", f"revoke {owner}", token_file) as ledger:
        news = ledger.record(OwnerRevoked(owner=owner, reason=reason, bars_keys=True))
    typer.echo(f"{owner} is revoked" if news else f"{owner} was revoked before")


@app.command()
def withdraw(
    folder: _Folder,
    owner: Annotated[str, typer.Argument(metavar="OWNER")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="How the owner said so: its letter, its call.")],
    token_file: Token = None,
) -> None:
    """Withdraw an owner's experts on its word; owners with a node do it themselves: atoll node withdraw.

    It holds until the owner itself permits anew, with its signature; an operator can't take it back.

    Example: atoll coordinator withdraw coordinator hospital --reason 'letter of 3 May'
    """
    from atoll.coordinator.operators import operated_ledger
    from atoll.coordinator.server.folder import ServerFolder
    from atoll.ledger import UseRestricted

    with operated_ledger(ServerFolder(folder), "admit", f"withdraw {owner}", token_file) as ledger:
        news = ledger.record(UseRestricted(owner=owner, expert="", purposes=[], until=None, reason=reason))
    typer.echo(f"{owner}'s experts are withdrawn" if news else f"{owner} had nothing left to withdraw")


@app.command()
def accept(
    folder: _Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A package, or what its owner signed.")],
    token_file: Token = None,
) -> None:
    """Take an expert, an owner's statement or its key's rotation from a file: the same checks, the same entries.

    Example: atoll coordinator accept coordinator hospital.atoll
    """
    from atoll.anchors import resolve
    from atoll.coordinator.operators import operated_ledger
    from atoll.coordinator.server.accept import accept_file, accept_statement
    from atoll.coordinator.server.folder import ServerFolder
    from atoll.coordinator.server.owner_keys import accept_rotation
    from atoll.experts.statements import KeyRotation
    from atoll.federation.blobs import BlobStore
    from atoll.federation.handover import Statement, paper_kind

    found = ServerFolder(folder)
    with operated_ledger(found, "admit", f"accept {file.name}", token_file) as ledger:
        if paper_kind(file) == Statement.__name__:
            news = accept_statement(ledger, Statement.load(file))
            typer.echo("accepted" if news else "was accepted before")
            return
        if paper_kind(file) == KeyRotation.__name__:
            news = accept_rotation(ledger, KeyRotation.load(file), found.read_config().key_days)
            typer.echo("accepted" if news else "was accepted before")
            return
        digest = accept_file(ledger, resolve(found.read_config().anchor), BlobStore(found.packages), file)
    typer.echo(f"accepted: {digest}")


@app.command()
def erase(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The coordinator's folder, or a run's.")],
) -> None:
    """Erase what owners have withdrawn, and say what remains; a running coordinator erases by itself.

    Example: atoll coordinator erase coordinator
    """
    from rich.console import Console

    from atoll.cli.copies_tables import copies_table
    from atoll.coordinator.erasure.eraser import Eraser
    from atoll.coordinator.erasure.folders import open_holdings
    from atoll.coordinator.erasure.inventory import withdrawn_since

    opened, holdings = open_holdings(folder.absolute())
    with opened as ledger:
        Eraser(ledger, holdings).turn()
        state = ledger.state()
        gone = {each.accepted.owner for digest, each in state.experts.items() if withdrawn_since(state, digest)}
        for owner in sorted(gone):
            Console().print(copies_table(state, owner))
    if not gone:
        typer.echo("nobody has withdrawn an expert")


@app.command()
def status(folder: _Folder, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Owners, nodes, experts, consents, releases, work in progress and recent failures.

    Example: atoll coordinator status coordinator
    """
    from atoll.cli.coordinator_status import show_status
    from atoll.coordinator.server.folder import ServerFolder

    found = ServerFolder(folder)
    show_status(folder, found.read_config().ledger or folder / "ledger.db", as_json)


app.command()(coordinator_backup.backup)
app.command()(coordinator_backup.restore)
app.command()(coordinator_backup.confirm)


@call_app.command()
def train(
    folder: _Folder,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Such as training.steps=400 or expert.kind=lora.")
    ] = None,
    owner: _Owner = None,
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="Wait so long for it to be done.")] = 0,
    token_file: Token = None,
) -> None:
    """Ask for an expert: those who are away, or come later, are asked when they are there.

    Example: atoll coordinator call train coordinator training.steps=400
    """
    from atoll.anchors import resolve
    from atoll.coordinator.operators import operated_ledger
    from atoll.coordinator.server.calls import call_training
    from atoll.coordinator.server.folder import ServerFolder
    from atoll.coordinator.server.latest import Latest

    found = ServerFolder(folder)
    config = found.read_config()
    anchor = resolve(config.anchor)
    with operated_ledger(found, "operate", "call train", token_file) as ledger:
        latest = Latest.of(found, config, anchor, ledger.state())
        called = call_training(ledger, anchor.digest, owner or [], overrides or [], latest)
    _say(folder, called, wait)


@call_app.command()
def evaluate(
    folder: _Folder,
    owner: _Owner = None,
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="Wait so long for it to be done.")] = 0,
    token_file: Token = None,
) -> None:
    """Let silos measure what a release would be now, and what each expert does to it; what does harm is flagged.

    Each silo's policy says on how many documents, how exactly and how often; what is measured again is not charged.

    Example: atoll coordinator call evaluate coordinator --wait 600
    """
    from atoll.coordinator.operators import operated_ledger
    from atoll.coordinator.server.calls import call_evaluation
    from atoll.coordinator.server.folder import ServerFolder

    with operated_ledger(ServerFolder(folder), "operate", "call evaluate", token_file) as ledger:
        called = call_evaluation(ledger, owner or [])
    _say(folder, called, wait)


@call_app.command()
def audit(
    folder: _Folder,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Such as samples=300 or extraction.prefixes=24.")
    ] = None,
    owner: _Owner = None,
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="Wait so long for it to be done.")] = 0,
    token_file: Token = None,
) -> None:
    """Let members of the latest release measure what it tells of their training data; figures come beside the release.

    Example: atoll coordinator call audit coordinator samples=300 --wait 3600
    """
    from atoll.coordinator.operators import operated_ledger
    from atoll.coordinator.server.calls import call_audit
    from atoll.coordinator.server.folder import ServerFolder

    with operated_ledger(ServerFolder(folder), "operate", "call audit", token_file) as ledger:
        called = call_audit(ledger, owner or [], overrides or [])
    _say(folder, called, wait)


@call_app.command()
def release(
    folder: _Folder,
    at_least: Annotated[int, typer.Option(help="Wait for so many experts of the latest training.")] = 1,
    within: Annotated[float, typer.Option(metavar="SECONDS", help="Wait no longer than that.")] = 86400.0,
    without: Annotated[
        list[str] | None, typer.Option(metavar="OWNER", help="Leave this owner out; repeatable.")
    ] = None,
    flagged: Annotated[
        list[str] | None, typer.Option(metavar="OWNER", help="Take its expert although a silo flagged it; repeatable.")
    ] = None,
    like: Annotated[
        int, typer.Option(metavar="NUMBER", help="Go back: release again what this release held, as the next one.")
    ] = 0,
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="Wait so long for it to be done.")] = 0,
    token_file: Token = None,
) -> None:
    """Make a release of the experts that are there and permitted.

    Example: atoll coordinator call release coordinator --at-least 3 --within 7200
    """
    from atoll.coordinator.operators import operated_ledger
    from atoll.coordinator.server.calls import call_release
    from atoll.coordinator.server.folder import ServerFolder

    asked = {"without": without, "flagged": flagged, "like": like}
    what = " ".join(["call release", *(f"{name}={value}" for name, value in asked.items() if value)])
    with operated_ledger(ServerFolder(folder), "release", what, token_file) as ledger:
        called = call_release(
            ledger, at_least=at_least, within=within, without=without or [], flagged=flagged or [], like=like
        )
    _say(folder, called, wait)


def _say(folder: Path, called: "Called", wait: float) -> None:
    from atoll.cli.serving import wait_for

    whom = ", ".join(called.owners) or "everyone"
    typer.echo(f"called for: {called.work}, of {whom} ({called.call})")
    wait_for(folder, called, wait)


def _absolute(path: str) -> str:
    return str(Path(os.path.expanduser(path)).absolute()) if path else ""
