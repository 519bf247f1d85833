"""Exports that Atoll wrote: a mark by which they are known again, and their erasure."""

import hashlib
import json
import shutil
from pathlib import Path

from atoll.experts.files import write_atomic

MARK = "atoll-copy.json"
"""In every export; without it a folder is not taken for one, whatever a ledger says."""


def mark(folder: Path) -> str:
    """Put a mark into a folder that was just written; its content's digest, by which it is known again."""
    content = content_digest(folder)
    write_atomic(folder / MARK, json.dumps({"content": content}).encode() + b"\n")
    return content


def content_digest(folder: Path) -> str:
    """``sha256:…`` of all files below a folder, with their names, but for the mark."""
    total = hashlib.sha256(b"atoll copy 1\n")
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            total.update(b"something else\n")
        elif path.is_file() and path != folder / MARK:
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            total.update(json.dumps([path.relative_to(folder).as_posix(), digest]).encode() + b"\n")
    return f"sha256:{total.hexdigest()}"


def erase_written(folder: Path, content: str) -> str:
    """Delete an export, if it is still what was written.

    A ledger's entry alone must not be able to have a folder deleted: it is one that bears the mark, and holds what the
    entry says.

    Returns:
        Why it is left there; empty where it is gone.
    """
    going = folder.with_name(f".erasing-{folder.name}")
    if (going / MARK).is_file() and not going.is_symlink():
        shutil.rmtree(going, ignore_errors=True)  # a crash came in between
    if not folder.exists() and not folder.is_symlink():
        return f"{going} cannot be deleted" if going.exists() else ""
    if folder.is_symlink() or not (folder / MARK).is_file():
        return f"{folder} is no export that Atoll wrote any more, so it is not deleted"
    if content_digest(folder) != content:
        return f"{folder} was changed after it was written, so it is not deleted; look at it, and delete it by hand"
    try:
        folder.rename(going)  # so that what is half deleted is not taken for something that was changed
        _delete(going)
    except OSError as error:
        return f"{folder} cannot be deleted ({error.strerror})"
    return ""


def _delete(folder: Path) -> None:
    """All of it, the mark last."""
    for path in folder.iterdir():
        if path.name != MARK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(folder)
