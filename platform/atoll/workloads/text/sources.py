"""From files to documents, one at a time: a silo may be larger than memory, a document may not."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from atoll.errors import DataError
from atoll.workloads.compressed import head_of
from atoll.workloads.decoding import not_text
from atoll.workloads.excluded import Excluded
from atoll.workloads.reading import Bad, Tally
from atoll.workloads.text.config import TextConfig
from atoll.workloads.text.csv_documents import csv_documents
from atoll.workloads.text.files import Source, find
from atoll.workloads.text.json_records import json_documents
from atoll.workloads.text.plain import paragraphs, whole


@dataclass(frozen=True, slots=True)
class Document:
    """One document, with at least one character that is not white space.

    Attributes:
        id: Name of the file and ordinal of the document in it, from 0.
        text: The document.
        read: Bytes of its file that were read by its end; for progress, and only nearly right for Parquet.
    """

    id: str
    text: str
    read: int

    @property
    def content(self) -> bytes:
        """What identifies it: its text, but for white space at its ends."""
        return self.text.strip().encode()


def documents(config: TextConfig, excluded: Excluded | None = None, tally: Tally | None = None) -> Iterator[Document]:
    """All documents of a configuration, in an order that only the files' names and contents decide.

    Args:
        config: Where they are.
        excluded: Those that are passed over.
        tally: Counts what is met.

    Raises:
        ConfigError: see :func:`atoll.workloads.text.files.find`.
        DataError: after all files, what cannot be read, with the file and the place in it, unless that is skipped.
    """
    tally = tally or Tally(config.on_error)
    for source in find(config):
        yield from _read(source, config, excluded, tally)
    tally.close()


def read(source: Source, config: TextConfig, excluded: Excluded | None = None) -> Iterator[Document]:
    """The documents of one file; those without any text are left out, and those that are excluded.

    Raises:
        DataError: after the whole file, what cannot be read, with the place, unless that is skipped.
    """
    tally = Tally(config.on_error)
    yield from _read(source, config, excluded, tally)
    tally.close()


def _read(source: Source, config: TextConfig, excluded: Excluded | None, tally: Tally) -> Iterator[Document]:
    ordinal = 0
    try:
        for text, position in _texts(source, config):
            if isinstance(text, Bad):
                tally.bad(text.kind, text.message)
            elif not text or text.isspace():
                tally.empty()
            else:
                document = Document(f"{source.name}#{ordinal}", text, position)
                ordinal += 1
                if excluded is None or not excluded.holds(document.content):
                    tally.record(document.content)
                    yield document
    except DataError as error:
        tally.bad_file(source.path, "file that cannot be read", str(error))
    except OSError as error:
        why = error.strerror or error
        tally.bad_file(source.path, "file that cannot be read", f"{source.path}: cannot be read: {why}")
    else:
        tally.file()


def _texts(source: Source, config: TextConfig) -> Iterable[tuple[str | Bad, int]]:
    if source.format != "parquet" and (reason := not_text(head_of(source.path), source.path)):
        raise DataError(reason)
    if source.format == "jsonl":
        return json_documents(source.path, config.field)
    if source.format == "csv":
        return csv_documents(source, config.field)
    if source.format == "parquet":
        # Imported here: pyarrow is heavy, and in an extra.
        from atoll.workloads.text.parquet import column

        return column(source, config.field)
    if config.document == "paragraphs":
        return paragraphs(source.path, config.paragraph_characters)
    return whole(source.path)
