"""``atoll expert``: look at, check, sign and pack expert packages, on files alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor

    from atoll.experts.package import ExpertPackage
    from atoll.experts.signing import PublicKey

# Nothing heavy is imported up here: `--help` must answer at once.

app = typer.Typer(
    name="expert",
    epilog="Example: atoll expert show hospital.atoll",
    help="Look at, check, sign and pack expert packages, on files alone.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
key_app = typer.Typer(
    name="key",
    help="The key that an owner signs with.",
    epilog="Example: atoll expert key new hospital.key",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(key_app)

_Package = Annotated[Path, typer.Argument(metavar="FILE", help="A package file (.atoll) or an unpacked folder.")]


@app.command()
def show(file: _Package) -> None:
    """Verify a package and show what is in it; anyone's valid signature will do.

    Within a release, what its owner measured of the release's privacy is shown too.

    Example: atoll expert show hospital.atoll
    """
    from rich.console import Console

    from atoll.cli.mixture_tables import privacy_table
    from atoll.coordinator.audits import audit_beside
    from atoll.experts.package import read_package

    package = read_package(file, trusted=None)
    console = Console()
    console.print(_table(package))
    if measured := audit_beside(file, package.card.owner):
        console.print(privacy_table({package.card.owner: measured}))


@app.command()
def verify(
    file: _Package,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Who must have signed: 64 hexadecimal digits, or a .pub file.")
    ] = None,
    anchor: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="Anchor that the expert must be for: sha256:…")
    ] = None,
) -> None:
    """Verify a package: exit 0 if it may be used, 4 with the reason if not.

    Example: atoll expert verify hospital.atoll --key hospital.key.pub
    """
    from atoll.experts.package import verify_package

    trusted = None if key is None else _public_key(key)
    package = verify_package(file, trusted=trusted, anchor=_digest(anchor))
    typer.echo(f"{file}: verified, {package.digest}")
    if trusted is None:
        typer.echo(f"signed by {package.public_key.fingerprint}; give --key to insist on the owner's")


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An unpacked expert: card.yaml and the tensors.")],
    key: Annotated[Path, typer.Option(metavar="KEYFILE", help="The owner's private key.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The package to write.")],
) -> None:
    """Check, sign and pack a folder into one file.

    Example: atoll expert pack hospital/ --key hospital.key --out hospital.atoll
    """
    from atoll.experts.package import pack_folder
    from atoll.experts.signing import OwnerKey

    owner = OwnerKey.load(key)
    digest = pack_folder(folder, out, owner)
    typer.echo(f"{out}: {digest}, signed by {owner.public.fingerprint}")


@app.command()
def unpack(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A package file (.atoll).")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Who must have signed: 64 hexadecimal digits, or a .pub file.")
    ] = None,
) -> None:
    """Verify a package and write its files into a new folder; a `lora` expert's is a PEFT adapter.

    Example: atoll expert unpack hospital.atoll hospital/
    """
    from atoll.experts.package import unpack as unpack_package

    package = unpack_package(file, folder, trusted=None if key is None else _public_key(key))
    typer.echo(f"{folder}: {package.digest}, signed by {package.public_key.fingerprint}")


@app.command()
def export(
    file: Annotated[
        Path,
        typer.Argument(metavar="PACKAGE", help="A package, an unpacked one, or a node's folder: its latest expert."),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="A new or empty folder.")],
    form: Annotated[
        str, typer.Option("--as", metavar="checkpoint|peft", help="The whole model, or a PEFT adapter for the anchor.")
    ] = "checkpoint",
    anchor: Annotated[
        str, typer.Option(metavar="SPEC", help="Where the anchor is, if it is no shipped one and no node's.")
    ] = "",
    expert: Annotated[str, typer.Option(metavar="DIGEST", help="Which of a node's experts.")] = "",
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Who must have signed: 64 hexadecimal digits, or a .pub file.")
    ] = None,
) -> None:
    """Take the model along: anchor and own expert as a plain checkpoint or PEFT adapter, which need no Atoll.

    It works from the owner's own copy: also after a withdrawal, and without any coordinator. What is written is loaded
    again without Atoll and compared with what Atoll computes.

    Example: atoll expert export hospital.atoll --out hospital-model --as checkpoint
    """
    from atoll.coordinator.expert_export import FORMS, export_expert
    from atoll.coordinator.own_package import anchor_for, find_package
    from atoll.errors import ConfigError

    if form not in FORMS:
        raise ConfigError(f"--as is '{form}'; it is {' or '.join(FORMS)}")
    trusted = None if key is None else _public_key(key)
    source = find_package(file, expert)
    found = anchor_for(source, anchor or file, trusted)
    made = export_expert(source, out, form=form, anchor=found, trusted=trusted)
    typer.echo(f"{out}: {made.form}, the expert of {made.owner} ({made.digest}); README.txt in it says how to use it")
    typer.echo(
        f"loaded again, its logits differ from Atoll's by at most {made.difference:.2g}; "
        f"the anchor's differ by {made.from_anchor:.2g}"
    )


@key_app.command("new")
def key_new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes; FILE.pub gets the public.")],
) -> None:
    """Make an owner's key. The private key stays with the owner; the .pub file is for everyone.

    Example: atoll expert key new hospital.key
    """
    from atoll.errors import ConfigError
    from atoll.experts.signing import OwnerKey

    public_file = file.with_name(f"{file.name}.pub")
    if public_file.exists():
        raise ConfigError(f"{public_file}: is there already and a key is never overwritten; choose another name")
    key = OwnerKey.generate()
    key.save(file)
    key.public.save(public_file)
    typer.echo(f"{file}: private key, for the owner alone")
    typer.echo(f"{public_file}: public key {key.public.hex}")
    typer.echo(f"fingerprint {key.public.fingerprint}")


def _table(package: "ExpertPackage") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"Expert of {package.card.owner}", show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(package):
        table.add_row(name, Text(value))  # Text, since what an owner writes is not markup
    return table


def _rows(package: "ExpertPackage") -> list[tuple[str, str]]:
    card, descriptor = package.card, package.descriptor
    size = sum(tensor.numel() * tensor.element_size() for tensor in package.weights.values())
    dtypes = ", ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in package.weights.values()}))
    privacy = f"ε = {card.privacy.epsilon:g}, δ = {card.privacy.delta:g}" if card.privacy else "no formal guarantee"
    return [
        ("digest", package.digest),
        ("signed by", f"{package.public_key.fingerprint}\n{package.public_key.hex}"),
        ("domain", card.domain),
        ("anchor", card.anchor),
        ("kind", f"{card.kind} {_pairs(card.settings)}".strip()),
        ("targets", f"{len(card.targets)}: {_some(card.targets)}"),
        ("workload", card.workload),
        ("documents", _pairs(card.documents)),
        ("tokens", _pairs(card.tokens)),
        ("training", _pairs(card.training)),
        ("metrics", _pairs(card.metrics)),
        ("privacy", privacy),
        ("replay", "\n".join(card.replay) or "nothing is kept"),
        ("successor of", f"{card.predecessor}, without {card.forgotten:,} records" if card.predecessor else "nothing"),
        ("licence", card.licence),
        ("consent", f"for {', '.join(card.consent.purposes) or 'nothing'}, until {card.consent.until or 'withdrawn'}"),
        ("statement", card.consent.statement),
        ("weights", f"{len(package.weights)} tensors, {size:,} bytes, {dtypes}"),
        (
            "descriptor",
            f"{descriptor.embedder}: {descriptor.samples} samples, {descriptor.tokens} tokens, "
            f"{len(descriptor.sites)} sites of {descriptor.mean.shape[-1]} dimensions; {_unigram(descriptor.unigram)}, "
            f"{_directions(descriptor.directions)}",
        ),
    ]


def _unigram(shares: "Tensor | None") -> str:
    return "no token shares" if shares is None else f"shares of {int((shares > 0).sum()):,} tokens"


def _directions(told: "Tensor | None") -> str:
    return "no directions" if told is None else f"{told.shape[1]} directions of their variance"


def _pairs(values: object) -> str:
    from collections.abc import Mapping

    assert isinstance(values, Mapping)
    return ", ".join(f"{key} {value:,}" if type(value) is int else f"{key} {value}" for key, value in values.items())


def _some(paths: tuple[str, ...]) -> str:
    return ", ".join(paths) if len(paths) <= 4 else f"{paths[0]}, … {paths[-1]}"


def _public_key(text: str) -> "PublicKey":
    """From hexadecimal digits or a file that holds them."""
    from atoll.errors import ConfigError
    from atoll.experts.signing import PublicKey

    try:
        return PublicKey.from_hex(text)
    except ConfigError:
        return PublicKey.load(Path(text))


def _digest(text: str | None) -> str | None:
    import re

    from atoll.errors import ConfigError

    if text is not None and not re.fullmatch("sha256:[0-9a-f]{64}", text):
        raise ConfigError(f"--anchor is '{text[:80]}'; give the anchor's digest, sha256: and 64 hexadecimal digits")
    return text
