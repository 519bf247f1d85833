"""What reading an owner's data met: files, records, and what is wrong with those that cannot be used.

All of it is the owner's: it goes to the owner's log and terminal, and never to a coordinator.
"""

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atoll.errors import ConfigError, DataError

REFUSE, SKIP = ON_ERROR = ("refuse", "skip")
"""What happens to a record that cannot be read."""

NAMED = 10
"""How many bad records are named; all are counted."""


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What reading found.

    Attributes:
        files: Files that were read.
        files_skipped: Files that could not be, by path, and the kind of fault.
        records: Documents, pictures, rows or trajectories that are used.
        skipped: Records that could not be read, by the kind of fault; a file that cannot be read counts as one.
        named: What was wrong with the first of them, with file and place; at most :data:`NAMED`.
        empty: Records without any content, which are left out.
        duplicates: Records that hold the same as one before.
        over_long: Records that are longer than a sample, which single-record uses cut.
    """

    files: int = 0
    files_skipped: Mapping[str, str] = field(default_factory=dict)
    records: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    named: tuple[str, ...] = ()
    empty: int = 0
    duplicates: int = 0
    over_long: int = 0

    @property
    def bad(self) -> int:
        """Records that could not be read, of all kinds."""
        return sum(self.skipped.values())

    def lines(self) -> list[str]:
        """What an owner is told of it: one line of counts, and what was skipped, by kind and with examples."""
        counted = [f"{self.files} files", f"{self.records} records"]
        counted += [f"{self.bad} skipped", f"{self.empty} empty", f"{self.duplicates} duplicates"]
        first = ", ".join([*counted, f"{self.over_long} longer than a sample"])
        return [first, *(f"skipped {count}: {kind}" for kind, count in sorted(self.skipped.items())), *self.named]

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "ReadReport":
        """Read :meth:`plain`; names that are not known raise TypeError."""
        return cls(**{**found, "named": tuple(found.get("named", ()))})


class Tally:
    """Counts while data is read; what cannot be read is refused when all is read, so that all of it is named."""

    def __init__(self, on_error: str = REFUSE, *, compare: bool = False) -> None:
        """Start at zero; only where records are to be compared are duplicates counted, which takes memory of each."""
        self.on_error, self._compare = on_error, compare
        self._files, self._empty, self._records = 0, 0, 0
        self._skipped: Counter[str] = Counter()
        self._files_skipped: dict[str, str] = {}
        self._named: list[str] = []
        self._seen: set[bytes] = set()
        self._duplicates = 0

    def file(self) -> None:
        """Count a file that is read."""
        self._files += 1

    def empty(self) -> None:
        """Count a record without content."""
        self._empty += 1

    def record(self, content: bytes) -> None:
        """Count a record that is used, known again by what it holds."""
        self._records += 1
        if self._compare:
            identity = hashlib.blake2b(content, digest_size=16).digest()
            self._duplicates += identity in self._seen
            self._seen.add(identity)

    def bad(self, kind: str, message: str, count: int = 1) -> None:
        """Take note of a record that cannot be read.

        Args:
            kind: What is wrong, in words that many records share.
            message: Where it is and what is wrong with it.
            count: How many records it stands for.
        """
        self._skipped[kind] += count
        if len(self._named) < NAMED:
            self._named.append(message)

    def bad_file(self, path: Path, kind: str, message: str) -> None:
        """Take note of a file that cannot be read, or not to its end."""
        self._files_skipped[str(path)] = kind
        self.bad(kind, message)

    def close(self) -> None:
        """Refuse what cannot be read, unless it is to be skipped.

        Raises:
            DataError: up to ten of the bad records by name, and how many there are.
        """
        count = sum(self._skipped.values())
        if self.on_error == SKIP or not count:
            return
        if count == 1:
            raise DataError(self._named[0])
        kinds = ", ".join(f"{number} {kind}" for kind, number in self._skipped.most_common())
        more = [f"and {count - len(self._named)} more"] if count > len(self._named) else []
        raise DataError(
            "\n  ".join(
                [f"{count} records cannot be read ({kinds}); correct them, or set on_error: skip:", *self._named, *more]
            )
        )

    def report(self, over_long: int = 0, records: int | None = None, duplicates: int | None = None) -> ReadReport:
        """What was counted."""
        return ReadReport(
            self._files,
            dict(self._files_skipped),
            self._records if records is None else records,
            dict(self._skipped),
            tuple(self._named),
            self._empty,
            self._duplicates if duplicates is None else duplicates,
            over_long,
        )


def check_on_error(value: str, workload: str) -> None:
    """Raise ConfigError for a word that is none of the two."""
    if value not in ON_ERROR:
        raise ConfigError(f"{workload}: on_error is '{value}'; it is {' or '.join(ON_ERROR)}")


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that cannot be read, where a reader goes on with the next.

    Attributes:
        kind: What is wrong, in words that many records share.
        message: Where it is, what is wrong with it, and what to do.
    """

    kind: str
    message: str


def quantiles(values: list[int]) -> dict[str, int]:
    """Smallest, median, nine tenths and largest; nothing of no values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    places = {"shortest": 0.0, "median": 0.5, "nine tenths up to": 0.9, "longest": 1.0}
    return {name: ordered[math.ceil(share * (len(ordered) - 1))] for name, share in places.items()}
