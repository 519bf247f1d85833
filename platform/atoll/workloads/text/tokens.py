"""From documents to token files, once: the folder's name is a digest of everything that decides its content."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from atoll.anchors.plain_text import text_ids
from atoll.errors import ConfigError, DataError
from atoll.workloads.excluded import Excluded
from atoll.workloads.reading import REFUSE, ReadReport
from atoll.workloads.text.check import splitting_of
from atoll.workloads.text.config import TextConfig
from atoll.workloads.text.files import Source, changed, digest
from atoll.workloads.text.sources import read
from atoll.workloads.text.store import SplitWriter, open_store, write_index
from atoll.workloads.workload import SPLITS, Progress, Split

_CHARACTERS = 1 << 17
"""Characters in one call of the tokenizer. It bounds memory: an encoding is far larger than its text."""

_ATTEMPTS = 3


class Tokenizer(Protocol):
    """What is needed of a tokenizer; transformers' fast tokenizers have it."""

    @property
    def eos_token_id(self) -> Any:
        """The end-of-text token, or ``None``."""

    @property
    def backend_tokenizer(self) -> Any:
        """The tokenizer of the ``tokenizers`` library."""

    def get_vocab(self) -> dict[str, int]:
        """Token to id."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Encode a list of texts."""

    def decode(self, *args: Any, **kwargs: Any) -> Any:
        """Decode a list of ids."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a document, short enough for one call of the tokenizer."""

    split: Split
    text: str
    last: bool
    characters: int
    read: int


def end_of_text(tokenizer: Tokenizer) -> int:
    """The token that closes every document.

    Raises:
        ConfigError: the tokenizer has none.
    """
    if tokenizer.eos_token_id is None:
        raise ConfigError("text: the tokenizer has no end-of-text token; set its eos_token")
    return int(tokenizer.eos_token_id)


def cache_key(
    config: TextConfig, sources: Iterable[Source], tokenizer: Tokenizer, excluded: Excluded | None = None
) -> str:
    """A digest of the files' contents, of what the configuration does to them, and of the tokenizer.

    File names and the window's length play no part. Where documents are excluded, it is of the others' texts in place
    of the files' bytes: so nothing depends on what the excluded ones hold.
    """
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    # These are the state of the last call, not of the tokenizer.
    backend.pop("truncation", None)
    backend.pop("padding", None)
    content = {
        "layout": 1,
        **_content(config, sources, excluded),
        "field": config.field,
        "document": config.document,
        "paragraph_characters": config.paragraph_characters,
        "validation": config.validation,
        "test": config.test,
        "salt": config.salt,
        "tokenizer": backend,
        "eos": end_of_text(tokenizer),
        "characters": _CHARACTERS,
    }
    if config.on_error != REFUSE:
        content["on_error"] = config.on_error
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _content(config: TextConfig, sources: Iterable[Source], excluded: Excluded | None) -> dict[str, object]:
    if excluded is None or not excluded.digests:
        return {"files": [(source.format, digest(source)) for source in sources]}
    texts = hashlib.sha256()
    for source in sources:
        for document in read(source, config, excluded):
            texts.update(hashlib.sha256(document.text.encode()).digest())
    return {"documents": texts.hexdigest()}


def build(
    config: TextConfig,
    sources: tuple[Source, ...],
    tokenizer: Tokenizer,
    folder: Path,
    progress: Progress | None,
    report: ReadReport,
    excluded: Excluded | None = None,
) -> None:
    """Tokenize all sources, but for what is excluded, into ``folder``, which appears complete or not at all.

    Of several processes that do this at once, each writes a folder of its own and the first to end is kept.

    Raises:
        ConfigError: the cache cannot be written.
        DataError: a file that cannot be read, or that changed while it was.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Only its owner may read a folder made so; these are the silo's documents.
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name[:16]}-", dir=folder.parent))
    except OSError as error:
        raise ConfigError(f"text: cache '{folder.parent}' cannot be written: {error.strerror}") from error
    try:
        _write(config, sources, tokenizer, scratch, progress, report, excluded)
        for source in sources:
            if changed(source):
                raise DataError(f"{source.path}: changed while it was read; run again when nobody writes to it")
        _publish(scratch, folder)
    except OSError as error:
        raise ConfigError(f"text: cache '{folder.parent}' cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(
    config: TextConfig,
    sources: tuple[Source, ...],
    tokenizer: Tokenizer,
    folder: Path,
    progress: Progress | None,
    report: ReadReport,
    excluded: Excluded | None,
) -> None:
    eos = end_of_text(tokenizer)
    total = sum(source.size for source in sources)
    largest = max(eos, *tokenizer.get_vocab().values())
    with ExitStack() as stack:
        writers = {split: SplitWriter(folder, split, largest=largest) for split in SPLITS}
        for writer in writers.values():
            stack.callback(writer.close)
        for batch in _batches(_pieces(config, sources, excluded)):
            encoded = text_ids(tokenizer, [piece.text for piece in batch])
            for piece, ids in zip(batch, encoded, strict=True):
                writers[piece.split].add(ids)
                if piece.last:
                    writers[piece.split].end(eos, piece.characters)
            if progress is not None:
                progress(batch[-1].read, total)
    write_index(folder, {split: writer.entry() for split, writer in writers.items()}, report)
    if progress is not None:
        progress(total, total)


def _pieces(config: TextConfig, sources: tuple[Source, ...], excluded: Excluded | None) -> Iterator[_Piece]:
    before, splitting = 0, splitting_of(config, excluded)
    for source in sources:
        for document in read(source, config, excluded):
            text = document.text
            split = splitting.split_of(text)
            start = 0
            while start < len(text):
                end = _cut(text, start)
                last = end == len(text)
                yield _Piece(split, text[start:end], last, len(text), before + min(document.read, source.size))
                start = end
        before += source.size


def _cut(text: str, start: int) -> int:
    """Where to end a piece of a very long document: after a line, or a word, where tokens seldom reach across."""
    limit = start + _CHARACTERS
    if limit >= len(text):
        return len(text)
    line = text.rfind("\n", start, limit)
    if line >= 0:
        return line + 1
    word = text.rfind(" ", start + 1, limit)
    return word if word >= 0 else limit


def _batches(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    batch: list[_Piece] = []
    characters = 0
    for piece in pieces:
        if batch and characters + len(piece.text) > _CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(piece)
        characters += len(piece.text)
    if batch:
        yield batch


def _publish(scratch: Path, folder: Path) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            os.replace(scratch, folder)
            return
        except OSError:
            # A folder with files in it is not replaced: another process was first, or what is there is damaged.
            if open_store(folder) is not None:
                return
            if attempt == _ATTEMPTS - 1:
                raise
        with tempfile.TemporaryDirectory(prefix=".damaged-", dir=folder.parent) as aside, suppress(FileNotFoundError):
            os.replace(folder, Path(aside, folder.name))
