"""``atoll mixture``: build, look at, evaluate, ask and export mixtures, as folders."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atoll.cli.output import echo_json

if TYPE_CHECKING:
    from atoll.releases.opening import OpenRelease
    from atoll.releases.trust import Trust

# Nothing heavy is imported up here: `--help` must answer at once.

app = typer.Typer(
    name="mixture",
    epilog="Example: atoll mixture show my-run/releases/release-0001",
    help="Mixtures, as folders: build, show, evaluate, generate, export.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Release = Annotated[Path, typer.Argument(metavar="RELEASE", help="The release's folder.")]
_Anchor = Annotated[
    str, typer.Option(metavar="SPEC", help="Where the anchor is: atoll-3m, smollm2 or a folder.", show_default=False)
]
_Entitlement = Annotated[
    str | None, typer.Option(metavar="A,B|none", help="Owners whose experts may answer; all if not given.")
]
_Without = Annotated[
    list[str] | None, typer.Option(metavar="OWNER", help="Leave an owner's expert unread. May be repeated.")
]
_Key = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="Who must have signed the release: 64 hexadecimal digits, coordinator.pub or invitation.json.",
        show_default=False,
    ),
]
_First = Annotated[
    bool, typer.Option("--trust-first", help="Trust whoever signed it, if nothing was opened here before.")
]
_Older = Annotated[bool, typer.Option("--older", help="Although a newer one was opened before, or it has expired.")]
_Unsigned = Annotated[bool, typer.Option("--unsigned", help="Although nobody signed it, as in earlier versions.")]
_OtherPlugins = Annotated[
    bool,
    typer.Option("--other-plugins", help="With --ledger: although a plug-in is of another version than at its making."),
]
_Device = Annotated[str, typer.Option(metavar="DEVICE", help="cpu, cuda, …")]


@app.command()
def build(
    packages: Annotated[list[Path], typer.Argument(metavar="PACKAGE…", help="Package files (.atoll).")],
    anchor: Annotated[str, typer.Option(metavar="SPEC", help="atoll-3m, smollm2 or a folder.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The release to write: a new or empty folder.")],
    integrator: Annotated[str, typer.Option(metavar="NAME", help="flexolmo, soup, ensemble, …")] = "flexolmo",
    router: Annotated[str, typer.Option(metavar="NAME", help="naive-bayes, top-k, domain, uniform, …")] = "naive-bayes",
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of the router. May be repeated.")
    ] = None,
    integrator_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of the integrator. May be repeated.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="OWNER=KEY", help="Who must have signed: 64 hexadecimal digits, or a .pub file."),
    ] = None,
) -> None:
    """Verify expert packages and make a mixture of them, without anyone's data.

    Example: atoll mixture build hospital.atoll library.atoll --anchor atoll-3m --out my-mixture
    """
    from atoll.anchors import resolve
    from atoll.cli.options import choice, public_keys
    from atoll.coordinator.assemble import assemble

    over = choice("atoll.routers", router, option or [], "--option")
    how = choice("atoll.integrators", integrator, integrator_option or [], "--integrator-option")
    keys = public_keys(key or [])
    found = resolve(anchor, progress=lambda line: typer.echo(line, err=True))
    release = assemble(packages, found, out, integrator=how, router=over, keys=keys)
    typer.echo(f"{out}: {release.digest}")
    typer.echo(f"withdrawal guarantee: {release.guarantee}")
    for member in release.members:
        typer.echo(f"{member.owner}: {member.digest}")
    unchecked = [owner for owner in release.owners if owner not in keys]
    if unchecked:
        typer.echo(
            f"signed by whom was not checked for {', '.join(unchecked)}; give --key OWNER=KEY to insist on the owner's"
        )


@app.command()
def show(
    release: _Release,
    key: _Key = "",
    trust_first: _First = False,
    older: _Older = False,
    unsigned: _Unsigned = False,
) -> None:
    """Verify the packages of a release and show what it consists of; the anchor is not needed.

    Example: atoll mixture show my-mixture
    """
    from rich.console import Console

    from atoll.cli.mixture_tables import member_table, privacy_table, release_table
    from atoll.cli.options import trust
    from atoll.coordinator.audits import read_audits
    from atoll.releases.envelope import read_envelope
    from atoll.releases.opening import inspect_release

    found, experts = inspect_release(release, trust(key, trust_first, older, unsigned))
    console = Console()
    console.print(release_table(found, read_envelope(release)))
    console.print(member_table(experts))
    if measured := read_audits(release):
        console.print(privacy_table(measured))


@app.command()
def evaluate(
    release: _Release,
    data: Annotated[list[str], typer.Argument(metavar="DATA…", help="Files, folders or globs.")],
    format: Annotated[str, typer.Option(metavar="FORMAT", help="auto, text, jsonl or parquet.")] = "auto",  # noqa: A002
    field: Annotated[str, typer.Option(metavar="NAME", help="JSON field or Parquet column with the text.")] = "text",
    entitlement: _Entitlement = None,
    without: _Without = None,
    windows: Annotated[int | None, typer.Option(min=1, help="Windows at most, evenly spaced.")] = None,
    length: Annotated[
        int | None, typer.Option(min=2, help="Tokens in a window; 256 if not given, or what the anchor reads if less.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Windows in one forward pass.")] = 8,
    anchor: _Anchor = "",
    key: _Key = "",
    trust_first: _First = False,
    older: _Older = False,
    unsigned: _Unsigned = False,
    device: _Device = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Loss of the anchor and of the mixture on text of yours, all of it, and who was routed to.

    Example: atoll mixture evaluate my-mixture notes/ --without hospital
    """
    from atoll.cli.mixture_tables import loss_table, measured_json, shares_table
    from atoll.cli.options import bars, owners, trust
    from atoll.coordinator.measure import measure
    from atoll.workloads.text import TextConfig

    opened = _open(release, anchor, without, device, trust(key, trust_first, older, unsigned))
    window = length or min(256, opened.anchor.architecture.context)
    config = TextConfig(paths=data, format=format, field=field, sequence_length=window)
    with bars() as progress:
        found = measure(
            opened, config, entitlement=owners(entitlement), windows=windows, batch=batch, progress=progress
        )
    if json:
        echo_json(measured_json(opened.release, found))
        return
    from rich.console import Console

    console = Console()
    console.print(loss_table(found))
    if found.shares:
        console.print(shares_table(found.shares))
    else:
        console.print(f"No token is routed: {opened.release.integrator.name} makes whole models of its experts.")


@app.command()
def generate(
    release: _Release,
    prompt: Annotated[
        str,
        typer.Argument(metavar="PROMPT", help="The text to continue; - answers each line of standard input by itself."),
    ],
    entitlement: _Entitlement = None,
    without: _Without = None,
    tokens: Annotated[int, typer.Option(min=1, help="The most tokens to add.")] = 64,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 for the likeliest token every time.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Sample among the likeliest that together have this probability.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of sampling.")] = 0,
    ledger: Annotated[
        str, typer.Option(metavar="LEDGER", help="Ask it before every answer who may answer: a file or a database URL.")
    ] = "",
    purpose: Annotated[str, typer.Option(metavar="WORD", help="What the answers are for; with --ledger.")] = "any",
    anchor: _Anchor = "",
    key: _Key = "",
    trust_first: _First = False,
    older: _Older = False,
    unsigned: _Unsigned = False,
    other_plugins: _OtherPlugins = False,
    device: _Device = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each prompt, in a line.")] = False,
) -> None:
    """Continue a text, and say who contributed: the text goes to standard output, the shares to standard error.

    With - for the prompt, every line of standard input is a prompt, answered as soon as it is there.

    Example: atoll mixture generate my-mixture "In the beginning" --entitlement library

    Example: cat prompts.txt | atoll mixture generate my-mixture - --json
    """
    import contextlib
    import sys

    from rich.console import Console

    from atoll.cli.mixture_tables import answered_json, shares_table
    from atoll.cli.options import owners, trust
    from atoll.coordinator.generate import Sampling
    from atoll.coordinator.generate import generate as continue_text
    from atoll.coordinator.permitted import Permitted
    from atoll.errors import ConfigError
    from atoll.ledger import Ledger

    if ledger and unsigned:
        raise ConfigError("--unsigned is for looking at old releases; what answers under a ledger is signed")
    sampling = Sampling(tokens=tokens, temperature=temperature, top_p=top_p, seed=seed)
    signed_by = trust(key, trust_first, older, unsigned)
    opened = _open(release, anchor, without, device, signed_by, other_plugins=other_plugins or not ledger)
    entitled = owners(entitlement)
    with contextlib.ExitStack() as stack:
        permitted = None
        if ledger:
            asked = stack.enter_context(Ledger.open(ledger, create=False))
            permitted = Permitted(asked, opened.release, purpose, made=opened.made)
        for text in (line.rstrip("\n") for line in sys.stdin) if prompt == "-" else [prompt]:
            allowed = entitled
            if permitted is not None:
                allowed = [owner for owner in permitted.owners() if entitled is None or owner in entitled]
            answer = continue_text(
                opened.mixture, opened.anchor.tokenizer(), text, entitlement=allowed, sampling=sampling
            )
            if json:
                echo_json(answered_json(text, answer, opened.release.digest, allowed))
            else:
                typer.echo(answer.text)
                sys.stdout.flush()
                Console(stderr=True).print(shares_table(answer.shares))
            sys.stdout.flush()


@app.command()
def export(
    release: _Release,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.")],
    without: _Without = None,
    anchor: _Anchor = "",
    ledger: Annotated[
        str,
        typer.Option(metavar="LEDGER", help="Where the copy is registered; the ledger beside the release by default."),
    ] = "",
    key: _Key = "",
    trust_first: _First = False,
    older: _Older = False,
    unsigned: _Unsigned = False,
) -> None:
    """Write the mixture for other tools: a transformers checkpoint, or PEFT adapters.

    The copy is registered, so that it is found and erased when an owner withdraws.

    Example: atoll mixture export my-mixture checkpoint/
    """
    from atoll.cli.options import trust
    from atoll.coordinator.erasure.registration import ledger_of, register_export
    from atoll.coordinator.export import README
    from atoll.coordinator.export import export as write

    opened = _open(release, anchor, without, "cpu", trust(key, trust_first, older, unsigned))
    form = write(opened, folder)
    typer.echo(f"{folder}: {form}; {README} in it says how to use it")
    found = ledger_of(release, ledger)
    if found is None:
        typer.echo("no ledger is beside the release, so nobody will find this copy when an owner withdraws", err=True)
        return
    with found as registered:
        register_export(registered, opened, folder, form)


def _open(
    folder: Path,
    anchor: str,
    without: list[str] | None,
    device: str,
    trust: "Trust",
    *,
    other_plugins: bool = True,
) -> "OpenRelease":
    import torch

    from atoll.errors import ConfigError
    from atoll.releases.opening import open_release

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {device} cannot be used here: {str(error).splitlines()[0]}") from error
    return open_release(folder, trust, anchor=anchor, device=device, without=without or (), other_plugins=other_plugins)
