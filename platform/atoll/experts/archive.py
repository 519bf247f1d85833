"""The one form of zip file that a package may have.

Members are stored as they are (no compression), in sorted order, with fixed dates, permissions and versions: equal
members give equal bytes with every Python. A reader walks the members, makes the headers anew and compares: nothing can
hide between, before or after them, and no hostile file reaches a general zip reader. Field layouts: PKWARE APPNOTE 6.3.

Members can be larger than memory: they are read and written piece by piece.
"""

import hashlib
import io
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from atoll.errors import PackageError
from atoll.experts.files import Content, Pieces

MEMBERS = 8
"""More members than any package has."""

NAME = re.compile(r"[a-z0-9_]{1,64}\.(yaml|json|safetensors)")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_VERSION, _STORED = 20, 0
_MADE_BY_UNIX = 3 << 8 | _VERSION
_DATE, _TIME = (1980 - 1980) << 9 | 1 << 5 | 1, 0
_MODE = 0o100644 << 16
_LARGEST = 2**32 - 1
_AGAIN = "ask its owner for the file again"


@dataclass(frozen=True, slots=True)
class Sums:
    """What is known of a member's bytes once they have been read.

    Attributes:
        size: How many there are.
        crc: Zip's checksum.
        sha256: In hexadecimal digits.
    """

    size: int
    crc: int
    sha256: str

    @classmethod
    def of(cls, source: Pieces) -> "Sums":
        """Read it once."""
        crc, sha256 = 0, hashlib.sha256()
        for piece in source.pieces():
            crc = zlib.crc32(piece, crc)
            sha256.update(piece)
        return cls(source.size, crc, sha256.hexdigest())


@dataclass(frozen=True, eq=False, slots=True)
class Member:
    """A member of a package: where its bytes are, and which they are.

    It is a file that others may write to, so whoever takes bytes from it compares them with the sums.

    Attributes:
        content: The bytes, which are read when they are asked for.
        sums: Of the bytes that were there when the package was opened.
    """

    content: Content
    sums: Sums

    def read(self) -> bytes:
        """All of it.

        Raises:
            PackageError: it has changed since the package was opened.
        """
        data = self.content.read()
        self.expect(hashlib.sha256(data).hexdigest())
        return data

    def write(self, stream: BinaryIO) -> None:
        """Copy it.

        Raises:
            PackageError: it has changed since the package was opened.
        """
        sha256 = hashlib.sha256()
        for piece in self.content.pieces():
            sha256.update(piece)
            stream.write(piece)
        self.expect(sha256.hexdigest())

    def expect(self, sha256: str) -> None:
        """Raise PackageError if bytes with this SHA-256 are not those that were there before."""
        if sha256 != self.sums.sha256:
            raise PackageError("was changed while it was read; wait until it is written, or copy it, and try again")


def write(stream: BinaryIO, members: Mapping[str, Pieces], sums: Mapping[str, Sums]) -> None:
    """Write the zip file of these members.

    Args:
        stream: At its beginning.
        members: By name.
        sums: Of every member.

    Raises:
        PackageError: together they reach 4 GiB, which this form cannot hold.
    """
    headers, directory = _headers(sums)
    for name, header in headers.items():
        stream.write(header)
        for piece in members[name].pieces():
            stream.write(piece)
    stream.write(directory)


def read(content: Content, limits: Mapping[str, int]) -> dict[str, Member]:
    """The members of a file that :func:`write` wrote.

    Args:
        content: All of the file.
        limits: Most bytes of a member by name, for those that have a limit of their own.

    Raises:
        PackageError: any other file; the message says what is wrong with it.
    """
    if not _begins_member(content, 0):
        raise PackageError(f"does not begin as an Atoll package; it may be damaged or another sort of file: {_AGAIN}")
    parts: dict[str, Content] = {}
    offset = 0
    while _begins_member(content, offset):
        name, start, end = _member(content, offset)
        if name in parts:
            raise PackageError(f"holds '{name}' twice; do not use it, and tell its owner")
        if len(parts) == MEMBERS:
            raise PackageError(f"holds more than {MEMBERS} members; do not use it, and tell its owner")
        check_size(name, end - start, limits)
        parts[name] = content.part(start, end - start)
        offset = end
    members = {name: Member(part, Sums.of(part)) for name, part in parts.items()}
    _expect_headers(content, {name: member.sums for name, member in members.items()})
    return members


def encode(members: Mapping[str, bytes]) -> bytes:
    """The zip file of members that are in memory.

    Raises:
        PackageError: together they reach 4 GiB, which this form cannot hold.
    """
    contents = {name: Content.of(data) for name, data in members.items()}
    stream = io.BytesIO()
    write(stream, contents, {name: Sums.of(content) for name, content in contents.items()})
    return stream.getvalue()


def decode(data: bytes) -> dict[str, bytes]:
    """The members of a file that :func:`encode` wrote.

    Raises:
        PackageError: any other file; the message says what is wrong with it.
    """
    return {name: member.read() for name, member in read(Content.of(data), {}).items()}


def file_size(sizes: Mapping[str, int]) -> int:
    """Bytes of the zip file whose members have these names and sizes."""
    headers = sum(_LOCAL.size + _CENTRAL.size + 2 * len(name) for name in sizes)
    return headers + sum(sizes.values()) + _END.size


def check_name(name: str) -> None:
    """Raise PackageError for a name that no member of a package has: with a path, or of another sort of file."""
    if not NAME.fullmatch(name):
        shown = repr(name[:80])
        if "/" in name or "\\" in name or ".." in name:
            raise PackageError(f"holds {shown}, which points outside the package; do not use it, and tell its owner")
        raise PackageError(f"holds {shown}; which no package has (only .yaml, .json, .safetensors): remove it")


def check_size(name: str, size: int, limits: Mapping[str, int]) -> None:
    """Raise PackageError for a member that is larger than the limit which its name has, if it has one."""
    if size > limits.get(name, size):
        raise PackageError(f"'{name}' is {size} bytes; the most is {limits[name]}: pack the expert again")


def _headers(sums: Mapping[str, Sums]) -> tuple[dict[str, bytes], bytes]:
    """What stands before each member, in the file's order, and what stands after the last."""
    if sum(found.size for found in sums.values()) + 1024 * len(sums) > _LARGEST:
        raise PackageError("is above 4 GiB, more than a package can hold; store bfloat16 or change fewer targets")
    headers: dict[str, bytes] = {}
    central: list[bytes] = []
    offset = 0
    for name, found in sorted(sums.items()):
        raw = name.encode("ascii")
        common = (_VERSION, 0, _STORED, _TIME, _DATE, found.crc, found.size, found.size, len(raw), 0)
        headers[name] = _LOCAL.pack(b"PK\3\4", *common) + raw
        central.append(_CENTRAL.pack(b"PK\1\2", _MADE_BY_UNIX, *common, 0, 0, 0, _MODE, offset) + raw)
        offset += len(headers[name]) + found.size
    directory = b"".join(central)
    end = _END.pack(b"PK\5\6", 0, 0, len(sums), len(sums), len(directory), offset, 0)
    return headers, directory + end


def _begins_member(content: Content, offset: int) -> bool:
    return content.part(offset, 4).read() == b"PK\3\4"


def _member(content: Content, offset: int) -> tuple[str, int, int]:
    """Name of the member whose header is at ``offset``, and where its bytes begin and end."""
    start = offset + _LOCAL.size
    if start > content.size:
        raise PackageError(f"is cut short at byte {content.size}: {_AGAIN}")
    _, _, flags, method, _, _, _, packed, size, name_length, extra_length = _LOCAL.unpack(
        content.part(offset, _LOCAL.size).read()
    )
    if start + name_length > content.size:
        raise PackageError(f"is cut short at byte {content.size}: {_AGAIN}")
    name = content.part(start, name_length).read().decode("ascii", errors="backslashreplace")
    check_name(name)
    if flags & 1:
        raise PackageError(f"'{name}' is encrypted; use `atoll expert pack`, which does not encrypt")
    if method != _STORED:
        raise PackageError(f"'{name}' is compressed; use `atoll expert pack`, which stores members as they are")
    if flags or extra_length or packed != size:
        raise PackageError(f"'{name}' has zip features that no package uses; use `atoll expert pack`")
    start += name_length
    if start + size > content.size:
        raise PackageError(f"is cut short inside '{name}': {_AGAIN}")
    return name, start, start + size


def _expect_headers(content: Content, sums: Mapping[str, Sums]) -> None:
    """Compare all that is not in a member with what :func:`write` would write there, and nothing after it."""
    headers, directory = _headers(sums)
    size = file_size({name: found.size for name, found in sums.items()})
    if content.size < size:
        raise PackageError(f"is cut short at byte {content.size}: {_AGAIN}")
    offset = 0
    for name, header in headers.items():
        _expect(content, offset, header)
        offset += len(header) + sums[name].size
    _expect(content, offset, directory)
    if content.size > size:
        raise PackageError(f"has {content.size - size} bytes after its end: {_AGAIN}")


def _expect(content: Content, offset: int, expected: bytes) -> None:
    found = content.part(offset, len(expected)).read()
    if found != expected:
        where = next(index for index, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b)
        raise PackageError(
            f"differs at byte {offset + where} from what `atoll expert pack` writes of its members "
            f"(checksum, order, date, permissions, link or comment): {_AGAIN}"
        )
