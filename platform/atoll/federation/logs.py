"""Logs that do not grow without bound."""

import shutil
from pathlib import Path

LARGEST = 8 << 20
"""Bytes of a log, after which its content is moved beside it; what was moved before is gone then."""


def shorten_log(path: Path, largest: int = LARGEST) -> None:
    """Move what is in a log to ``NAME.1`` where it has become large.

    The file itself stays: a process that appends to it goes on doing so. Where that cannot be done, such as on a full
    disk, the log is emptied.

    Args:
        path: Of the log; opened for appending by whoever writes it.
        largest: Bytes.
    """
    try:
        if path.stat().st_size <= largest:
            return
    except OSError:
        return
    try:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    except OSError:
        path.with_name(f"{path.name}.1").unlink(missing_ok=True)
    with path.open("r+b") as log:
        log.truncate(0)
