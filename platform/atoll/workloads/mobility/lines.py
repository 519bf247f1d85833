"""The reader and writer of MoveGCL's published trajectory lines: ``user r_gyr H_loc loc,day,slot,wait,jump;…``

One line is one user's trajectory of up to three days, as text, plain or compressed. What it holds is private: no
message repeats it.
"""

import gzip
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError
from atoll.workloads.compressed import open_plain
from atoll.workloads.decoding import not_text
from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.trajectories import DAYS, SLOTS, Trajectories, starts
from atoll.workloads.reading import Tally
from atoll.workloads.signatures import HEAD

_LINE = 1 << 20
"""Bytes of the longest line that is read."""

_CHUNK = 1 << 18
"""Visits checked at a time: memory stays at the columns and so many visits' text."""

_REAL = rb"\d{1,20}(?:\.\d{0,20})?(?:[eE][+-]?\d{1,2})?"
_VISIT = rb"\d{1,9},\d{1,9},\d{1,9},%b,%b" % (_REAL, _REAL)
_FORM = re.compile(rb"(-?\d{1,19})\s+(%b)\s+(%b)\s+(%b(?:;%b)*+);?" % (_REAL, _REAL, _VISIT, _VISIT))
_FIELDS = re.compile(rb"\d{1,9}|%b" % _REAL)


def read_trajectories(paths: str | Path | Iterable[str | Path], city: City, tally: Tally | None = None) -> Trajectories:
    """The trajectories of these files, in order, read line by line.

    Args:
        paths: One file or several.
        city: Where the locations are.
        tally: Counts what is met.

    Raises:
        DataError: a file that cannot be read or holds no trajectory, or bad lines, by their numbers.
    """
    tally = tally or Tally()
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    parts = [part for path in files for part in _file(Path(path), city, tally)]
    tally.close()
    if not parts:
        raise DataError(
            "\n  ".join([f"mobility: no trajectory in {', '.join(map(str, files))}", *tally.report().named])
        )
    return Trajectories.concatenate(parts)


def write_trajectories(path: str | Path, trajectories: Trajectories) -> None:
    """Write lines that :func:`read_trajectories` reads back to the same values; a path on ``.gz`` is compressed.

    The file appears when it is whole.

    Raises:
        DataError: the file cannot be written.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with _written(partial, target.suffix == ".gz") as stream:
            for begin in range(0, len(trajectories), _LINES):
                stream.writelines(_lines(trajectories, begin, min(begin + _LINES, len(trajectories))))
        partial.replace(target)
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


_LINES = 4096
"""Lines written at a time."""


def _lines(trajectories: Trajectories, begin: int, end: int) -> Iterator[bytes]:
    part = trajectories.select(np.arange(begin, end))
    columns = [_texts(column) for column in (part.location, part.day, part.slot, part.wait, part.jump)]
    visits = [",".join(fields) for fields in zip(*columns, strict=True)]
    heads = zip(part.user.tolist(), _texts(part.radius), _texts(part.entropy), strict=True)
    spans = zip(part.start[:-1].tolist(), part.start[1:].tolist(), strict=True)
    for (user, radius, entropy), (low, high) in zip(heads, spans, strict=True):
        yield f"{user} {radius} {entropy} {';'.join(visits[low:high])}\n".encode()


def _texts(column: NDArray[np.generic]) -> list[str]:
    """The shortest text that is read back to the same value; whole numbers without a point."""
    return [text.removesuffix(".0") for text in column.astype(str).tolist()]


@dataclass
class _Chunk:
    """Lines matched but not yet turned into columns."""

    users: list[int] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    visits: list[bytes] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    size: int = 0

    def add(self, number: int, line: bytes, where: str) -> None:
        """Take a line.

        Raises:
            DataError: it has another form.
        """
        match = _FORM.fullmatch(line)
        if match is None:
            raise DataError(f"{where}: line {number}: {_fault(line)}; {_EXPECTED}")
        user, radius, entropy, visits = match.groups()
        if not -(2**63) <= int(user) < 2**63:
            raise DataError(f"{where}: line {number}: the user's number does not fit into 64 bits")
        self.users.append(int(user))
        self.heads += (radius, entropy)
        self.visits.append(visits.replace(b";", b","))
        self.lengths.append(visits.count(b";") + 1)
        self.numbers.append(number)
        self.size += self.lengths[-1]

    def columns(self, city: City, where: str, tally: Tally) -> Trajectories:
        """Those of the lines as columns in which all values are in their ranges; the others are told to ``tally``."""
        heads = _floats(self.heads).reshape(-1, 2)
        table = _floats(self.visits).reshape(-1, 5)
        start = starts(self.lengths)
        good = np.ones(len(self.numbers), dtype=np.bool_)
        for column, high, name in (
            (0, city.n - 1, f"location, of the {city.n} (0 to {city.n - 1}) of city '{city.name}',"),
            (1, DAYS - 1, "day, of 0 (Monday) to 6,"),
            (2, SLOTS - 1, "half-hour slot, of 0 to 47,"),
            (3, _REALS, "waiting time"),
            (4, _REALS, "jump"),
        ):
            visits = np.flatnonzero(table[:, column] > high)
            lines, at = np.unique(np.searchsorted(start, visits, side="right") - 1, return_index=True)
            for line, visit in zip(lines.tolist(), visits[at].tolist(), strict=True):
                if good[line]:
                    number = visit - int(start[line]) + 1
                    wrong = f"the {name} is out of range"
                    tally.bad(wrong, f"{where}: line {self.numbers[line]}: visit {number}: {wrong}")
            good[lines] = False
        for line in np.flatnonzero(good & (heads > _REALS).any(1)).tolist():
            wrong = "radius or entropy is out of range"
            tally.bad(wrong, f"{where}: line {self.numbers[line]}: {wrong}")
            good[line] = False
        if not good.all():
            chosen = np.repeat(good, np.diff(start))
            heads, table, start = heads[good], table[chosen], starts(np.diff(start)[good])
        users = np.array(self.users)[good]
        radius, entropy = heads.T.astype(np.float32)
        location = table[:, 0].astype(np.int32)
        day, slot = table[:, 1:3].T.astype(np.int8)
        wait, jump = table[:, 3:].T.astype(np.float32)
        return Trajectories(users, radius, entropy, start, location, day, slot, wait, jump)


_REALS = 3.4028235e38
"""The greatest number of float32, as it is written."""


def _floats(texts: list[bytes]) -> NDArray[np.float64]:
    """Numbers out of texts in which they stand between commas; the form of all is known to be good."""
    return np.fromstring(b",".join(texts).decode(), dtype=np.float64, sep=",")


def _file(path: Path, city: City, tally: Tally) -> Iterator[Trajectories]:
    try:
        yield from _read(path, city, tally)
    except DataError as error:
        tally.bad_file(path, "file that cannot be read", str(error))
    else:
        tally.file()


def _read(path: Path, city: City, tally: Tally) -> Iterator[Trajectories]:
    chunk, found = _Chunk(), False
    for number, line in _numbered(path):
        found = True
        try:
            chunk.add(number, line, str(path))
        except DataError as error:
            tally.bad("line that is no trajectory", str(error))
            continue
        if chunk.size >= _CHUNK:
            yield chunk.columns(city, str(path), tally)
            chunk = _Chunk()
    if chunk.numbers:
        yield chunk.columns(city, str(path), tally)
    if not found:
        raise DataError(f"{path}: holds no trajectory; {_EXPECTED}")


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines without white space at their ends, counted from 1; empty ones may only stand at the end of the file."""
    empty = 0
    try:
        with open_plain(path) as stream:
            reason = not_text(stream.read(HEAD), path)
        if reason:
            raise DataError(reason)
        with open_plain(path) as stream:
            number = 0
            while line := stream.readline(_LINE + 1):
                number += 1
                if len(line) > _LINE:
                    raise DataError(f"{path}: line {number} is longer than {_LINE} bytes; {_EXPECTED}")
                line = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
                if not line:
                    empty = empty or number
                elif empty:
                    raise DataError(f"{path}: line {empty} is empty; {_EXPECTED}")
                else:
                    yield number, line
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


@contextmanager
def _written(path: Path, compressed: bool) -> Iterator[BinaryIO]:
    with path.open("wb") as raw:
        if not compressed:
            yield raw
            return
        # Neither name nor time: the same trajectories give the same file.
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
            yield cast(BinaryIO, stream)


_EXPECTED = "expected is 'user r_gyr H_loc loc,day,slot,wait,jump;…', one trajectory a line"


def _fault(line: bytes) -> str:
    """What is wrong with the form of a line, without repeating any of it."""
    parts = line.split()
    if len(parts) != 4:
        return f"{len(parts)} parts between spaces, where 4 are needed"
    for name, text, form in zip(
        ("user (a whole number)", "radius of gyration", "location entropy"),
        parts,
        (re.compile(rb"-?\d{1,19}"), re.compile(_REAL), re.compile(_REAL)),
        strict=False,
    ):
        if not form.fullmatch(text):
            return f"the {name} is not a number that can be used"
    for number, visit in enumerate(parts[3].removesuffix(b";").split(b";"), 1):
        fields = visit.split(b",")
        if len(fields) != 5:
            return f"visit {number} has {len(fields) if visit else 0} fields, where 5 are needed"
        if not re.fullmatch(_VISIT, visit):
            return f"visit {number} has a field that is not a number that can be used, or is negative"
    return "another form"
