"""Token files on disk: the format, its verification, its reading.

A folder holds, for each split, ``SPLIT.tokens`` (all documents one after the other, each closed by the end-of-text
token; little-endian uint16 or uint32) and ``SPLIT.ends`` (where each document ends, after that token; uint64), and
``index.json`` with counts and digests, itself under a digest.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.workloads.reading import ReadReport
from atoll.workloads.workload import SPLITS, Split, SplitCounts

LAYOUT = 2
INDEX = "index.json"
_DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
_ENDS = np.dtype("<u8")
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class TokenSplit:
    """One split, mapped from disk.

    Attributes:
        counts: How much there is.
        tokens: [tokens]
        ends: [documents], where each ends in ``tokens``.
    """

    counts: SplitCounts
    tokens: NDArray[Any]
    ends: NDArray[Any]

    def document(self, number: int, limit: int) -> NDArray[Any]:
        """The first tokens of a document, at most ``limit``, without its end-of-text token."""
        start = int(self.ends[number - 1]) if number else 0
        return self.tokens[start : min(int(self.ends[number]) - 1, start + limit)]


class SplitWriter:
    """Appends documents to the two files of a split; nothing of them stays in memory."""

    def __init__(self, folder: Path, split: Split, *, largest: int) -> None:
        """Start empty files; ``largest`` is the largest token id."""
        self._name = "uint16" if largest < 1 << 16 else "uint32"
        self._tokens = (folder / f"{split}.tokens").open("wb")
        self._ends = (folder / f"{split}.ends").open("wb")
        self._digests = (hashlib.sha256(), hashlib.sha256())
        self._position = self._start = self._documents = self._characters = 0

    def add(self, ids: list[int]) -> None:
        """Append tokens to the current document."""
        raw = np.asarray(ids, dtype=_DTYPES[self._name]).tobytes()
        self._tokens.write(raw)
        self._digests[0].update(raw)
        self._position += len(ids)

    def end(self, eos: int, characters: int) -> None:
        """Close the current document; one without tokens leaves no trace."""
        if self._position == self._start:
            return
        self.add([eos])
        raw = np.asarray([self._position], dtype=_ENDS).tobytes()
        self._ends.write(raw)
        self._digests[1].update(raw)
        self._start = self._position
        self._documents += 1
        self._characters += characters

    def close(self) -> None:
        """Close the files."""
        self._tokens.close()
        self._ends.close()

    def entry(self) -> dict[str, Any]:
        """The split's entry in the index."""
        return {
            "dtype": self._name,
            "documents": self._documents,
            "tokens": self._position,
            "characters": self._characters,
            "tokens_sha256": self._digests[0].hexdigest(),
            "ends_sha256": self._digests[1].hexdigest(),
        }


def write_index(folder: Path, splits: Mapping[Split, dict[str, Any]], report: ReadReport) -> None:
    """Write the index, the last file of a folder, with what reading found."""
    body = {"layout": LAYOUT, "splits": dict(splits), "reading": report.plain()}
    (folder / INDEX).write_text(json.dumps({"body": body, "sha256": _body_digest(body)}, indent=1) + "\n")


def stored_report(folder: Path) -> ReadReport | None:
    """What reading found when a folder was made; ``None`` where an earlier Atoll made it, which did not write it."""
    try:
        return ReadReport.of(json.loads((folder / INDEX).read_bytes())["body"]["reading"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def open_store(folder: Path) -> dict[Split, TokenSplit] | None:
    """Verify a folder against its index and map it; ``None`` when it is missing, truncated or changed."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        if index["sha256"] != _body_digest(index["body"]) or index["body"]["layout"] != LAYOUT:
            return None
        splits = {split: _open_split(folder, split, index["body"]["splits"][split]) for split in SPLITS}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return splits


def _open_split(folder: Path, split: Split, entry: Mapping[str, Any]) -> TokenSplit:
    counts = SplitCounts(entry["documents"], entry["tokens"], entry["characters"])
    tokens = _map(folder / f"{split}.tokens", _DTYPES[entry["dtype"]], counts.tokens, entry["tokens_sha256"])
    ends = _map(folder / f"{split}.ends", _ENDS, counts.documents, entry["ends_sha256"])
    return TokenSplit(counts, tokens, ends)


def _map(path: Path, dtype: np.dtype[Any], count: int, expected: str) -> NDArray[Any]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
    if size != count * dtype.itemsize or digest.hexdigest() != expected:
        raise ValueError(f"{path}: not what the index says")
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, mode="r", shape=(count,)) if count else np.empty(0, dtype)


def _body_digest(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
