"""``atoll coordinator backup``, ``restore`` and ``confirm``."""

from pathlib import Path
from typing import Annotated

import typer

from atoll.cli.coordinator_operators import Token

_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The coordinator's folder.")]


def backup(
    folder: _Folder,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The backup, a new file.")],
    keys: Annotated[
        bool, typer.Option("--keys", help="Also the coordinator's signing key and TLS authority: keep it as they are.")
    ] = False,
) -> None:
    """Write a backup, also while the coordinator runs: the ledger, releases, work, and experts sealed.

    Keys of sealed experts (expert-keys/) are in no backup, so that an expert that is erased is gone from all of them.

    Example: atoll coordinator backup coordinator --out backup-2031-05-03.tar
    """
    from atoll.coordinator.backup.archive import write_backup
    from atoll.coordinator.server.folder import ServerFolder
    from atoll.experts.signing import OwnerKey

    found = ServerFolder(folder)
    found.read_config()
    manifest = write_backup(found, out, OwnerKey.load(found.key), keys=keys)
    typer.echo(f"Wrote {out}: {len(manifest.files)} files; ledger head {manifest.head}")


def restore(
    folder: _Folder,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A backup. Without: go on from the ledger that is there, though older."),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="For the ledger.")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="Who you are, for the ledger.")] = "",
) -> None:
    """Restore a backup, or go on from an older ledger, so that no withdrawal is lost. Stop the coordinator first.

    A ledger that is there and newer than the backup stays. Another one is set aside, and owners' statements in it are
    carried over. Releases that the ledger does not know are set aside, never deleted. Until every owner was heard
    since, nothing is released or answers.

    Example: atoll coordinator restore coordinator backup-2031-05-03.tar --reason 'the disk failed'
    """
    from atoll.coordinator.backup.restore import describe
    from atoll.coordinator.backup.restore import restore as run
    from atoll.coordinator.server.folder import ServerFolder
    from atoll.errors import ConfigError

    if not reason:
        raise ConfigError("say why with --reason TEXT; it is written into the ledger")
    typer.echo(describe(run(ServerFolder(folder), file, reason, by)))


def confirm(
    folder: _Folder,
    owner: Annotated[str, typer.Argument(metavar="OWNER")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="How you know that it stated nothing since.")],
    by: Annotated[str, typer.Option(metavar="NAME", help="Who you are, for the ledger.")] = "",
    token_file: Token = None,
) -> None:
    """After a restoration, vouch for an owner whose node can't be heard: all that it had stated is known again.

    Example: atoll coordinator confirm coordinator hospital --reason 'call of 3 May'
    """
    from atoll.coordinator.operators import operated_ledger
    from atoll.coordinator.server.folder import ServerFolder
    from atoll.ledger import OwnerConfirmed

    with operated_ledger(ServerFolder(folder), "admit", f"confirm {owner}", token_file) as ledger:
        news = ledger.record(OwnerConfirmed(owner=owner, reason=reason, by=by))
    typer.echo(f"{owner} is vouched for" if news else f"{owner} is not waited for")
