"""Structured logs: one JSON object a line."""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pythonjsonlogger.json import JsonFormatter

from atoll.errors import ConfigError

_LARGEST = 10 * 1024 * 1024
_FILES = 5


def log_to(path: Path, *, level: int | str) -> logging.Handler:
    """Write what Atoll logs from now on to a file as well.

    Every line has ``ts`` (ISO 8601, UTC), ``level``, ``logger`` and ``message``, then whatever was given by
    ``extra={"owner": …}``. A file of 10 MiB is set aside as ``….1``; the oldest of five goes.

    Args:
        path: The file; lines are added at its end.
        level: The least that is written, such as ``"INFO"``.

    Returns:
        What writes, to be closed or taken off the logger ``atoll``.

    Raises:
        ConfigError: the file cannot be written, or there is no such level.
    """
    try:
        handler = RotatingFileHandler(path, maxBytes=_LARGEST, backupCount=_FILES, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: no log can be written here ({error.strerror}); name another file") from error
    logger = logging.getLogger("atoll")
    try:
        handler.setLevel(level)
    except ValueError as error:
        handler.close()
        raise ConfigError(f"'{level}' is no level of logs; there are DEBUG, INFO, WARNING and ERROR") from error
    handler.setFormatter(
        JsonFormatter(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="ts",
            json_ensure_ascii=False,
        )
    )
    logger.addHandler(handler)
    logger.setLevel(min(logger.getEffectiveLevel(), handler.level))
    return handler
