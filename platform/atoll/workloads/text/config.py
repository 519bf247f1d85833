"""What text to read, and how to split it."""

import dataclasses
import difflib
import math

from atoll.errors import ConfigError
from atoll.workloads.data import DataConfig
from atoll.workloads.reading import REFUSE, check_on_error

FORMATS = ("auto", "text", "jsonl", "csv", "parquet")
DOCUMENTS = ("file", "paragraphs")


@dataclasses.dataclass(frozen=True)
class TextConfig(DataConfig):
    """A silo's text.

    Attributes:
        workload: ``text``.
        paths: Files, folders (read with their subfolders, hidden files left out) or globs (``**`` for any depth).
        format: ``text``, ``jsonl`` (one JSON object a line, or an array of objects), ``csv`` (with a header) or
            ``parquet`` for every file; ``auto`` goes by the suffix: ``.jsonl``, ``.ndjson`` and ``.json`` are JSON,
            ``.csv`` and ``.tsv`` are CSV, ``.parquet`` and ``.pq`` are Parquet, anything else is plain text. All but
            Parquet may be compressed by gzip, zstd, bzip2 or xz, which their first bytes say.
        field: The JSON field, or column of CSV or Parquet, that holds a document; ``note.text`` is the field ``text``
            within ``note``, and ``notes.0`` the first of a list.
        on_error: A record that cannot be read is an error once all are read (``refuse``, which names ten and counts
            all), or left out and counted (``skip``).
        document: What a document is in plain text: the whole ``file``, or a group of ``paragraphs``, which is the
            choice for few or large files.
        paragraph_characters: With ``paragraphs``: a group ends at the first blank line after so many characters; only
            the last of a file may be shorter.
        validation: Share of the documents kept for validation, in [0, 1).
        test: Share of the documents kept for the test, in [0, 1).
        sequence_length: Tokens in a window.
        salt: Changes which documents fall in which split.
    """

    workload: str = "text"
    paths: list[str] = dataclasses.field(default_factory=list)
    format: str = "auto"
    field: str = "text"
    document: str = "file"
    paragraph_characters: int = 2000
    validation: float = 0.05
    test: float = 0.05
    sequence_length: int = 256
    salt: str = ""
    on_error: str = REFUSE


def validate(config: TextConfig) -> None:
    """Check the values by themselves, without looking at any file.

    Raises:
        ConfigError: the first value that makes no sense.
    """
    if not config.paths:
        raise ConfigError("text: paths is empty; name at least one file, folder or glob")
    _one_of("format", config.format, FORMATS)
    _one_of("document", config.document, DOCUMENTS)
    check_on_error(config.on_error, "text")
    if not config.field:
        raise ConfigError("text: field is empty; name the JSON field or Parquet column that holds the text")
    for name, share in (("validation", config.validation), ("test", config.test)):
        if not math.isfinite(share) or not 0 <= share < 1:
            raise ConfigError(f"text: {name}={share} is not a share in [0, 1)")
    if config.validation + config.test >= 1:
        raise ConfigError(
            f"text: validation={config.validation} and test={config.test} leave nothing to train on; "
            "their sum must be less than 1"
        )
    if config.paragraph_characters < 1:
        raise ConfigError(f"text: paragraph_characters={config.paragraph_characters} must be at least 1")
    if config.sequence_length < 2:
        raise ConfigError(f"text: sequence_length={config.sequence_length} must be at least 2, a token and its next")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        close = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ConfigError(f"text: {name}='{value}' is unknown: {hint}there are {', '.join(known)}")
