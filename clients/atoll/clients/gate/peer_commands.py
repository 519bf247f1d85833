"""``atoll node peer``: the other members, as this institution knows them, and its word for newcomers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atoll.experts.signing import PublicKey
    from atoll.experts.statements import Enrolment

# Nothing heavy is imported up here: `--help` must answer at once.

app = typer.Typer(
    name="peer",
    help="The other members, as you know them.",
    epilog="Example: atoll node peer list my-node",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The node's folder.")]
_Fingerprint = Annotated[
    str, typer.Option(metavar="DIGITS", help="Of its key, as that institution itself read it out to you.")
]


@app.command()
def add(
    folder: _Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A member's enrolment, or a proof of whose a key is.")],
    fingerprint: _Fingerprint = "",
) -> None:
    """Pin a member's key after comparing it, so that its experts pass under `peers: pinned`; or keep a proof.

    Example: atoll node peer add hospital library-enrolment.json --fingerprint 1f2e-…
    """
    from atoll.clients.gate.setup import NodeFolder
    from atoll.experts.documents import document_kind
    from atoll.experts.statements import Enrolment

    peers = NodeFolder(folder).peers
    if document_kind(file) != Enrolment.__name__:
        typer.echo(f"Kept: {type(peers.keep(file.read_text('utf-8'))).__name__}")
        return
    enrolment, key = _compared(file, fingerprint)
    peers.pin(enrolment.owner, key)
    typer.echo(f"{enrolment.owner} is pinned: {key.fingerprint}")


@app.command()
def remove(folder: _Folder, owner: Annotated[str, typer.Argument(metavar="OWNER")]) -> None:
    """Pin a member's key no more.

    Example: atoll node peer remove hospital library
    """
    from atoll.clients.gate.setup import NodeFolder

    gone = NodeFolder(folder).peers.unpin(owner)
    typer.echo(f"{owner} is pinned no more" if gone else f"{owner} was not pinned")


@app.command(name="list")
def list_(folder: _Folder) -> None:
    """Who is known under the policy, pinned or vouched for.

    Example: atoll node peer list hospital
    """
    from datetime import UTC, datetime

    from atoll.clients.gate.setup import NodeFolder
    from atoll.experts.signing import PublicKey

    found = NodeFolder(folder)
    policy, pinned = found.read_policy(), found.peers.pinned()
    for owner, key in sorted(found.peers.known(policy, datetime.now(UTC))):
        how = (
            "pinned"
            if pinned.get(owner) == key
            else "this node"
            if owner == found.read_config().owner
            else "vouched for"
        )
        typer.echo(f"{owner:<24}{PublicKey.from_hex(key).fingerprint}  {how}")
    typer.echo(f"peers: {policy.peers}")


@app.command()
def cosign(
    folder: _Folder,
    enrolment: Annotated[Path, typer.Argument(metavar="FILE", help="The newcomer's enrolment.")],
    fingerprint: _Fingerprint,
    out: Annotated[Path, typer.Option(metavar="FILE", help="To write; for the newcomer's operator.")],
) -> None:
    """Vouch for a newcomer: sign that its key is its own, after it read the fingerprint out to you.

    Example: atoll node peer cosign hospital mill-enrolment.json --fingerprint 1f2e-… --out mill-by-hospital.json
    """
    from atoll.clients.gate.passphrase import ask_passphrase
    from atoll.clients.gate.setup import NodeFolder
    from atoll.experts.identity import CoSignature

    newcomer, key = _compared(enrolment, fingerprint)
    found = NodeFolder(folder)
    config = found.read_config()
    ask_passphrase(found.keys)
    signer = found.read_key()
    word = CoSignature(public_key=signer.public.hex, by=config.owner, owner=newcomer.owner, owner_key=key.hex)
    made = word.signed(signer)
    made.check()
    made.save(out)
    typer.echo(f"Signed: {out}; the operator gives it along: atoll coordinator approve FOLDER FILE --proof {out.name}")


@app.command()
def certify(
    folder: _Folder,
    certificate: Annotated[Path, typer.Option(metavar="FILE", help="Your institution's, PEM, with those above it.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Of that certificate, PEM.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="To write; for the operator.")],
) -> None:
    """Sign your owner's key with the key of your institution's certificate.

    Example: atoll node peer certify hospital --certificate seal.pem --key seal.key --out hospital-certified.json
    """
    from atoll.clients.gate.passphrase import ask_passphrase
    from atoll.clients.gate.setup import NodeFolder
    from atoll.experts.identity import certify as sign

    found = NodeFolder(folder)
    config = found.read_config()
    ask_passphrase(found.keys)
    signer = found.read_key()
    sign(certificate, key, config.owner, signer.public.hex).signed(signer).save(out)
    typer.echo(f"Signed: {out}; the operator gives it along: atoll coordinator approve FOLDER FILE --proof {out.name}")


def _compared(file: Path, fingerprint: str) -> "tuple[Enrolment, PublicKey]":
    """An enrolment and its key, where the fingerprint is that of the key.

    Raises:
        ConfigError: it is another one, or none was given.
    """
    from atoll.errors import ConfigError
    from atoll.experts.signing import PublicKey
    from atoll.experts.statements import Enrolment

    enrolment = Enrolment.load(file)
    key = PublicKey.from_hex(enrolment.public_key)
    if fingerprint != key.fingerprint:
        raise ConfigError(
            f"{file}: is the enrolment of '{enrolment.owner}', but not with the key of that fingerprint; ask the "
            "institution itself, by telephone, and give what it reads out with --fingerprint"
        )
    return enrolment, key
