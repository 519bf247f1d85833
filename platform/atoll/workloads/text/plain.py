"""Plain text to documents: whole files, or groups of paragraphs."""

from collections.abc import Iterator
from pathlib import Path

from atoll.errors import DataError
from atoll.workloads.compressed import open_plain
from atoll.workloads.decoding import decode_plain


def whole(path: Path) -> Iterator[tuple[str, int]]:
    """The file as one document, and how many bytes it has.

    Raises:
        DataError: it is no text.
    """
    with open_plain(path) as stream:
        raw = stream.read()
    yield _plain(raw, path, 0), len(raw)


def paragraphs(path: Path, at_least: int) -> Iterator[tuple[str, int]]:
    """Groups of paragraphs; the blank lines after a group belong to it, so nothing of the file is lost.

    Raises:
        DataError: a line that is no text.
    """
    group: list[str] = []
    characters = 0
    position = 0
    blank = False
    with open_plain(path) as stream:
        for raw in stream:
            line = _plain(raw, path, position)
            # A group ends before the first line of the paragraph that follows.
            if blank and line.strip() and characters >= at_least:
                yield "".join(group), position
                group, characters = [], 0
            blank = not line.strip()
            group.append(line)
            # Blank lines at the start do not count, so that no group is without text.
            if characters or not blank:
                characters += len(line)
            position += len(raw)
    yield "".join(group), position


def _plain(raw: bytes, path: Path, offset: int) -> str:
    text = decode_plain(raw, path, offset)
    nul = raw.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{path}: byte {offset + nul} is zero, so this is no plain UTF-8 text; leave the file out of the paths, "
            f"or convert it if it is UTF-16: iconv -f UTF-16 -t UTF-8 '{path}'"
        )
    return text.replace("\r\n", "\n")
