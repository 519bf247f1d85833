"""The one form of zip file that a package may have.

Members are stored as they are (no compression), in sorted order, with fixed dates, permissions and versions: equal
members give equal bytes with every Python. A reader walks the members, writes that form anew and compares: nothing can
hide between, before or after them, and no hostile file reaches a general zip reader. Field layouts: PKWARE APPNOTE 6.3.
"""

import re
import struct
import zlib
from collections.abc import Mapping

from atoll.errors import PackageError

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


def encode(members: Mapping[str, bytes]) -> bytes:
    """The zip file of these members.

    Raises:
        PackageError: together they reach 4 GiB, which this form cannot hold.
    """
    if sum(map(len, members.values())) + 1024 * len(members) > _LARGEST:
        raise PackageError("is above 4 GiB, more than a package can hold; store bfloat16 or change fewer targets")
    parts: list[bytes] = []
    central: list[bytes] = []
    offset = 0
    for name, data in sorted(members.items()):
        raw = name.encode("ascii")
        common = (_VERSION, 0, _STORED, _TIME, _DATE, zlib.crc32(data), len(data), len(data), len(raw), 0)
        local = _LOCAL.pack(b"PK\3\4", *common) + raw
        central.append(_CENTRAL.pack(b"PK\1\2", _MADE_BY_UNIX, *common, 0, 0, 0, _MODE, offset) + raw)
        parts += [local, data]
        offset += len(local) + len(data)
    directory = b"".join(central)
    end = _END.pack(b"PK\5\6", 0, 0, len(members), len(members), len(directory), offset, 0)
    return b"".join([*parts, directory, end])


def decode(data: bytes) -> dict[str, bytes]:
    """The members of a file that :func:`encode` wrote.

    Raises:
        PackageError: any other file; the message says what is wrong with it.
    """
    if not data.startswith(b"PK\3\4"):
        raise PackageError(f"does not begin as an Atoll package; it may be damaged or another sort of file: {_AGAIN}")
    members: dict[str, bytes] = {}
    offset = 0
    while data.startswith(b"PK\3\4", offset):
        name, start, end = _member(data, offset)
        if name in members:
            raise PackageError(f"holds '{name}' twice; do not use it, and tell its owner")
        if len(members) == MEMBERS:
            raise PackageError(f"holds more than {MEMBERS} members; do not use it, and tell its owner")
        members[name] = data[start:end]
        offset = end
    canonical = encode(members)
    if data != canonical:
        raise PackageError(_difference(data, canonical))
    return members


def check_name(name: str) -> None:
    """Raise PackageError for a name that no member of a package has: with a path, or of another sort of file."""
    if not NAME.fullmatch(name):
        shown = repr(name[:80])
        if "/" in name or "\\" in name or ".." in name:
            raise PackageError(f"holds {shown}, which points outside the package; do not use it, and tell its owner")
        raise PackageError(f"holds {shown}; which no package has (only .yaml, .json, .safetensors): remove it")


def _member(data: bytes, offset: int) -> tuple[str, int, int]:
    """Name of the member whose header is at ``offset``, and where its bytes begin and end."""
    start = offset + _LOCAL.size
    if start > len(data):
        raise PackageError(f"is cut short at byte {len(data)}: {_AGAIN}")
    _, _, flags, method, _, _, _, packed, size, name_length, extra_length = _LOCAL.unpack_from(data, offset)
    if start + name_length > len(data):
        raise PackageError(f"is cut short at byte {len(data)}: {_AGAIN}")
    name = data[start : start + name_length].decode("ascii", errors="backslashreplace")
    check_name(name)
    if flags & 1:
        raise PackageError(f"'{name}' is encrypted; use `atoll expert pack`, which does not encrypt")
    if method != _STORED:
        raise PackageError(f"'{name}' is compressed; use `atoll expert pack`, which stores members as they are")
    if flags or extra_length or packed != size:
        raise PackageError(f"'{name}' has zip features that no package uses; use `atoll expert pack`")
    start += name_length
    if start + size > len(data):
        raise PackageError(f"is cut short inside '{name}': {_AGAIN}")
    return name, start, start + size


def _difference(data: bytes, canonical: bytes) -> str:
    if data.startswith(canonical):
        return f"has {len(data) - len(canonical)} bytes after its end: {_AGAIN}"
    if len(data) < len(canonical):
        return f"is cut short at byte {len(data)}: {_AGAIN}"
    where = next(index for index, (a, b) in enumerate(zip(data, canonical, strict=False)) if a != b)
    return (
        f"differs at byte {where} from what `atoll expert pack` writes of its members "
        f"(checksum, order, date, permissions, link or comment): {_AGAIN}"
    )
