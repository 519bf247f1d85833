"""One sentence for what the machine or a library refuses: what, where, and what to do. Nothing heavy is imported."""

import errno
import os
import re

from atoll.errors import AtollError, ConfigError, DataError, FederationError, MachineError, PackageError

_AGAIN = "then run the same command again, which goes on where it stopped"
_SPACE = f"free some space, or choose a folder on another disk; {_AGAIN}"
_RIGHTS = "change its permissions or its owner, or choose another place"
_ADVICE = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "the file may not become that large here; choose a folder on another disk, or raise `ulimit -f`",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "nothing can be written there; choose another place",
    errno.EMFILE: f"raise the limit, such as by `ulimit -n 4096`; {_AGAIN}",
    errno.ENFILE: f"the whole machine has too many open files; end other programs; {_AGAIN}",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a file is where a folder is needed; choose another place",
    errno.EISDIR: "a folder is where a file is needed; choose another place",
    errno.ENOENT: "check the path",
    errno.EEXIST: "something is there already; choose another place, or move it away",
    errno.ENOTEMPTY: "something is in it already; choose another place, or move it away",
    errno.ELOOP: "links there lead in a circle; choose another place",
    errno.EIO: "the disk or the network under it fails; choose another place",
    errno.ENOMEM: f"end other programs; {_AGAIN}",
    errno.EAGAIN: f"this user has too many processes or threads; end some, or raise `ulimit -u`; {_AGAIN}",
    errno.EADDRINUSE: "another program listens there; stop it, or choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one that it has",
    errno.ECONNREFUSED: "nothing listens there; start it, or check the address",
    errno.ETIMEDOUT: f"check the network; {_AGAIN}",
}
_MEMORY = (
    "memory ran out; make training.batch, data.sequence_length or the number of silos at a time smaller, or take "
    f"another device; {_AGAIN}"
)
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")
_DATABASE_TROUBLE = {
    "is full": f"the disk is full: {_SPACE}",
    "readonly database": f"a database is read-only: {_RIGHTS}",
    "unable to open database file": f"a database cannot be opened: {_RIGHTS}",
    "disk i/o error": f"the disk under a database fails or is full: {_SPACE}",
    "is locked": f"another process writes to a database: wait for it or stop it, {_AGAIN}",
    "is not a database": "a file that should be a database is something else: move it away",
    "malformed": "a database is damaged: put a copy back, or move it away",
}
"""What SQLite says, by a part of it."""


def explained(error: BaseException) -> AtollError | None:
    """One of our own errors for what the machine or a library refuses; ``None`` where it looks like a fault of ours.

    Args:
        error: Whatever was raised; one of ours comes back as it is.
    """
    if isinstance(error, AtollError):
        return error
    if isinstance(error, MemoryError) or _says(error, *_OUT_OF_MEMORY):
        return MachineError(_MEMORY)
    if isinstance(error, OSError) and _library(error) not in ("httpx", "requests", "urllib3"):
        return MachineError(_system(error))
    return _of_library(error)


def _of_library(error: BaseException) -> AtollError | None:
    library, first = _library(error), (str(error).strip().splitlines() or [""])[0]
    if library in ("sqlalchemy", "sqlite3", "mlflow"):
        said = next((advice for part, advice in _DATABASE_TROUBLE.items() if part in str(error).lower()), "")
        return MachineError(f"{said} ({_shortened(error)})") if said else None
    if library == "safetensors":
        if code := re.search(r"Os \{ code: (\d+)", str(error)):
            return MachineError(_system(OSError(int(code[1]), os.strerror(int(code[1])))))
        return PackageError(f"a safetensors file cannot be read or written ({first}); it may be damaged: get it again")
    if library in ("yaml", "omegaconf"):
        return ConfigError(f"a YAML file cannot be used: {' '.join(str(error).split())}")
    if library in ("httpx", "httpcore", "requests", "urllib3"):
        return FederationError(f"a connection failed ({first or type(error).__name__}); check the address and the log")
    if isinstance(error, RuntimeError) and ("inline_container" in str(error) or "PytorchStreamWriter" in str(error)):
        return MachineError(f"a checkpoint cannot be written, for the disk is full or fails: {_SPACE}")
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return MachineError("this user has no home directory; set HOME to a folder that can be written")
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return ConfigError("a path holds a zero byte, which no file name can; check the configuration's paths")
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return DataError("a text or a name holds bytes that are no text in UTF-8; write it again in UTF-8")
    if isinstance(error, UnicodeDecodeError):
        return DataError(f"a text is not UTF-8 (byte {error.start}: {error.reason}); save it as UTF-8")
    return None


def _system(error: OSError) -> str:
    names = [_name(name) for name in (error.filename, error.filename2) if name is not None]
    reason = error.strerror or str(error) or type(error).__name__
    advice = _ADVICE.get(error.errno or 0, f"check the path and the disk; {_AGAIN}")
    return f"{' -> '.join(names)}: {reason}; {advice}" if names else f"{reason}; {advice}"


def _name(name: object) -> str:
    text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else str(name)
    return text if text.isprintable() else ascii(text)


def _library(error: BaseException) -> str:
    """Whose exception it is: the first package of its classes' modules that is not Python's own."""
    for kind in type(error).__mro__:
        package = kind.__module__.partition(".")[0]
        if package.lstrip("_") not in ("builtins", "exceptions"):
            return package.removeprefix("_").removesuffix("_rust")
    return ""


def _says(error: BaseException, *parts: str) -> bool:
    return isinstance(error, RuntimeError) and any(part in str(error).lower() for part in parts)


def _shortened(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0][:300]
