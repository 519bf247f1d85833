"""Output that never fails for its encoding, its reader or its disk: prepared once, at the program's entry."""

import codecs
import contextlib
import io
import json
import logging
import os
import sys
from typing import Any

import typer

_HANDLER = "atoll.output"
_PLAIN = {
    **dict.fromkeys("‘’‚‛", "'"),
    **dict.fromkeys("“”„", '"'),
    **dict.fromkeys("‐‑‒–—−", "-"),
    **{"…": "...", "×": "x", "·": ".", "•": "*", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "±": "+/-", "≈": "~"},
    **{"\u00a0": " ", "\u202f": " ", "✓": "ok"},
}
"""What an output that has no such sign gets in its place; other signs are escaped as in JSON."""
_RAW = range(0xDC80, 0xDD00)
"""How Python holds bytes of file names that are no text."""


def prepare_output() -> None:
    """Let standard output and error take any text, in whatever encoding they have; what is closed takes it too.

    Text that comes in is UTF-8 where the locale says ASCII, which is part of it.
    """
    codecs.register_error(_HANDLER, _readable)
    logging.raiseExceptions = False  # a log that cannot be written is no reason for a traceback
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for as long as we run
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)
    if isinstance(sys.stdin, io.TextIOWrapper) and codecs.lookup(sys.stdin.encoding).name == "ascii":
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")


def finish_output() -> OSError | None:
    """Write what is still held back.

    Returns:
        Why that fails, such as a full disk; ``None`` where all is written, or nobody reads any more.
    """
    failed = None
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            _silence(stream)
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                failed = error
    return failed


def echo_json(text: str) -> None:
    """Print JSON so that it is read as it is meant on any output: escaped where the output has no such sign."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        # Outside of strings JSON is ASCII, and within them an escape says the same.
        text = "".join(sign if sign.isascii() else json.dumps(sign)[1:-1] for sign in text)
    typer.echo(text)


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    shown = "".join(_shown(sign) for sign in signs)
    try:
        shown.encode(error.encoding)
    except UnicodeEncodeError:
        shown = "?" * len(signs)
    return shown, error.end


def _shown(sign: str) -> str:
    if ord(sign) in _RAW:
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return _PLAIN.get(sign) or json.dumps(sign)[1:-1]


def _silence(stream: Any) -> None:
    """Nothing more goes to a stream that fails, at the program's end neither."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
        stream.flush()
