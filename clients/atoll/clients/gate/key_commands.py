"""``atoll node key``: the owner's key, shown, replaced on its own word, and protected."""

from pathlib import Path
from typing import Annotated

import typer

# Nothing heavy is imported up here: `--help` must answer at once.

app = typer.Typer(
    name="key",
    help="The owner's key.",
    epilog="Example: atoll node key show my-node",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The node's folder.")]


@app.command()
def show(folder: _Folder) -> None:
    """The key's fingerprint, where it is, and the keys that it took over from.

    Example: atoll node key show hospital
    """
    from atoll.clients.gate.setup import NodeFolder
    from atoll.experts.signing import PublicKey
    from atoll.experts.statements import KeyRotation

    found = NodeFolder(folder)
    found.read_config()
    keys = found.keys
    if keys.in_agent:
        where = "held by an agent (SSH_AUTH_SOCK)"
    else:
        where = "in owner.key, with a passphrase" if keys.protected else "in owner.key, without a passphrase"
    typer.echo(f"{PublicKey.load(folder / 'owner.pub').fingerprint}  {where}")
    for text in reversed(keys.rotations()):
        typer.echo(f"took over from {PublicKey.from_hex(KeyRotation.from_json(text).public_key).fingerprint}")


@app.command()
def rotate(
    folder: _Folder,
    agent: Annotated[
        bool, typer.Option("--agent", help="To a key that an ssh-agent holds, on a hardware token for instance.")
    ] = False,
    which: Annotated[
        str, typer.Option("--which", metavar="FINGERPRINT", help="Of the agent's keys, if it holds several.")
    ] = "",
) -> None:
    """Let a new key take over, signed by the old one; a running node uses it at once and tells the coordinator.

    For a key that may be stolen this is not enough, for the thief can do it too: see atoll node enrol --renew.

    Example: atoll node key rotate hospital
    """
    from atoll.clients.gate.passphrase import ask_passphrase
    from atoll.clients.gate.setup import NodeFolder, write_enrolment
    from atoll.experts.signing import PublicKey

    found = NodeFolder(folder)
    config = found.read_config()
    ask_passphrase(found.keys)
    made, path = found.keys.rotate(config.owner, which if agent else None)
    write_enrolment(found)
    typer.echo(f"In force from now on: {PublicKey.from_hex(made.new_key).fingerprint}")
    typer.echo("A running node tells the coordinator at once; without one, hand this file to the operator, for")
    typer.echo(f"        atoll coordinator accept FOLDER {path}")


@app.command()
def protect(
    folder: _Folder,
    remove: Annotated[bool, typer.Option("--remove", help="Take the passphrase away.")] = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Its first line is the passphrase; else asked for."),
    ] = None,
) -> None:
    """Give the key a passphrase, or another one. `atoll node up` then needs it: asked for, or from the variable
    ATOLL_KEY_PASSPHRASE, or from the file that ATOLL_KEY_PASSPHRASE_FILE names.

    Example: atoll node key protect hospital
    """
    from atoll.clients.gate.passphrase import ask_passphrase, new_passphrase
    from atoll.clients.gate.setup import NodeFolder

    found = NodeFolder(folder)
    found.read_config()
    ask_passphrase(found.keys)
    found.keys.protect(None if remove else new_passphrase(file))
    typer.echo("The key has no passphrase now." if remove else "The key has that passphrase now.")
