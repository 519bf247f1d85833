"""Tensors in and out of safetensors files, piece by piece; none is handed out before its bytes are proven sane."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from atoll.errors import PackageError
from atoll.experts.archive import Member
from atoll.experts.files import PIECE, Content, Pieces
from atoll.experts.strict_json import json_object, shown

# In the order in which the safetensors library writes them: digests rest on it.
LARGEST = 1e4
"""Weights beyond this drown out every other expert's; trained ones stay far below."""
_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_HEADER_LIMIT = 16 * 1024**2
_NAME = re.compile(r"[A-Za-z0-9_.]{1,512}")
_DIMENSIONS = 8
_TELL = "do not use it, and tell its owner"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor:
    """A tensor in a safetensors file.

    Attributes:
        dtype: Of its entries.
        shape: Its sizes.
        begin: Where in the file it begins.
        size: How many bytes it has.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    size: int


@dataclass(frozen=True, eq=False, slots=True)
class Header:
    """What a safetensors file says of itself, proven sane.

    Attributes:
        raw: The bytes that say it.
        tensors: By name, in the order in which they lie in the file; together they are all of the rest.
    """

    raw: bytes
    tensors: Mapping[str, StoredTensor]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name."""
        return {name: stored.shape for name, stored in self.tensors.items()}


def save(tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file; equal tensors give equal bytes, wherever they lie in memory.

    Raises:
        PackageError: a dtype that packages do not hold.
    """
    return b"".join(bytes(piece) for piece in serialized(tensors).pieces())


def serialized(tensors: Mapping[str, Tensor]) -> Pieces:
    """The file that :func:`save` gives, made while it is read.

    Raises:
        PackageError: a dtype that packages do not hold.
    """
    for name in sorted(tensors):
        if tensors[name].dtype not in _DTYPES.values():
            raise PackageError(f"tensor '{name}' is {tensors[name].dtype}; store it as float32, bfloat16 or float16")
    return _File({name: (tensor.dtype, tuple(tensor.shape), _Entries(tensor)) for name, tensor in tensors.items()})


def rewritten(content: Content, tensors: Mapping[str, StoredTensor]) -> Pieces:
    """The file that :func:`save` gives for the tensors of another, made while it is read."""
    return _File(
        {
            name: (stored.dtype, stored.shape, content.part(stored.begin, stored.size))
            for name, stored in tensors.items()
        }
    )


def read_header(content: Content, metadata: Mapping[str, str | None]) -> Header:
    """The header, proven sane without the safetensors library; of the tensors nothing is read.

    Args:
        content: A whole safetensors file.
        metadata: Metadata entries that it may have, and their value where that is fixed.

    Raises:
        PackageError: no safetensors file, or one with anything unusual in it.
    """
    begin = content.part(0, 9).read()
    length = int.from_bytes(begin[:8], "little")
    if content.size < 8 or begin[8:] != b"{":
        raise PackageError(f"{_foreign(begin)}; only safetensors is accepted: {_TELL}")
    if length > min(_HEADER_LIMIT, content.size - 8):
        raise PackageError(f"is no safetensors file: its header would have {length} bytes; {_TELL}")
    raw = content.part(0, 8 + length).read()
    if raw[:8] != begin[:8]:
        raise PackageError("was changed while it was read; try again")
    header = json_object(raw[8:])
    found = header.pop("__metadata__", {})
    if not isinstance(found, dict):
        raise PackageError(f"has metadata that is no mapping; {_TELL}")
    for key, value in found.items():
        if key not in metadata or not isinstance(value, str) or metadata[key] not in (None, value):
            raise PackageError(f"has metadata {key[:80]!r}, which has no place in a package: remove it and pack again")
    tensors = {name: _entry(name, entry, len(raw)) for name, entry in header.items()}
    tensors = dict(sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].size)))
    _check_layout(tensors, len(raw), content.size)
    if b"-" in raw:
        # Only -0 comes this far: Python takes it for 0, and the safetensors library for no whole number.
        json.loads(raw[8:], parse_int=_not_negative)
    return Header(raw, tensors)


def check(member: Member, header: Header) -> None:
    """Read all tensors and forget them.

    Args:
        member: The file.
        header: Of this file.

    Raises:
        PackageError: a tensor with NaN or infinite entries, or other bytes than those that the member's sums are of.
    """
    most = max(stored.size for stored in header.tensors.values())
    buffer = torch.empty(min(PIECE, most), dtype=torch.uint8, device="cpu")
    _read(member, header, lambda name: _again(buffer, header.tensors[name].size))


def load(member: Member, header: Header) -> dict[str, Tensor]:
    """The tensors, in the order of their names, in memory of their own: what becomes of the file does not matter.

    Args:
        member: The file.
        header: Of this file.

    Raises:
        PackageError: as in :func:`check`.
    """
    tensors = {
        name: torch.empty(stored.shape, dtype=stored.dtype, device="cpu")
        for name, stored in sorted(header.tensors.items())
    }
    _read(member, header, lambda name: tensors[name].reshape(-1).view(torch.uint8).split(PIECE))
    return tensors


def expect_shapes(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Exactly these tensors.

    Raises:
        PackageError: names the first tensor that is missing, too many or of another shape.
    """
    for name in sorted({*found, *expected}):
        if name not in found:
            raise PackageError(f"tensor '{name}' is missing, expected {list(expected[name])}; use the same anchor")
        if name not in expected:
            raise PackageError(f"tensor '{name}' {list(found[name])} is not expected; check the card's targets")
        if found[name] != tuple(expected[name]):
            raise PackageError(
                f"tensor '{name}' has shape {list(found[name])}, expected {list(expected[name])}; "
                "train against the same anchor and check the card's settings"
            )


def _read(member: Member, header: Header, memory: Callable[[str], Iterable[Tensor]]) -> None:
    """Read every tensor once, from the first to the last, into what ``memory`` gives for its name, as bytes."""
    # The header counts as it was understood, not as it might be read now.
    sha256, position = hashlib.sha256(header.raw), len(header.raw)
    for name, stored in header.tensors.items():
        for piece in memory(name):
            view = piece.numpy().data
            member.content.fill(position, view)
            sha256.update(view)
            position += len(view)
            # Both extremes are NaN if any entry is; unlike isfinite() this needs no memory, and little time.
            largest = max(abs(float(extreme)) for extreme in torch.aminmax(piece.view(stored.dtype)))
            if not math.isfinite(largest):
                raise PackageError(
                    f"tensor '{name}' has NaN or infinite entries; train again with a lower learning rate"
                )
            if largest > LARGEST:
                raise PackageError(f"tensor '{name}' holds {largest:.3g}, larger than {LARGEST:g}; no training ends so")
    member.expect(sha256.hexdigest())


def _again(buffer: Tensor, size: int) -> Iterator[Tensor]:
    """The same memory as often as ``size`` bytes need it."""
    for begin in range(0, size, len(buffer)):
        yield buffer[: size - begin]


def _entry(name: str, entry: Any, body: int) -> StoredTensor:
    """One tensor of a file whose header ends at ``body``."""
    if not _NAME.fullmatch(name):
        raise PackageError(f"has a tensor called {name[:80]!r}; use letters, digits, _ and dots only")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise PackageError(f"tensor '{name}' has a header without exactly dtype, shape and data_offsets; {_TELL}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise PackageError(f"tensor '{name}' is {shown(dtype)}; convert it to F32, BF16 or F16 and pack again")
    if not _whole(shape) or len(shape) > _DIMENSIONS or 0 in shape:
        raise PackageError(f"tensor '{name}' has an impossible shape; {_TELL}")
    size = math.prod(shape) * _DTYPES[dtype].itemsize
    if not _whole(offsets) or len(offsets) != 2 or offsets[1] - offsets[0] != size:
        raise PackageError(f"tensor '{name}' does not lie where its shape says; {_TELL}")
    return StoredTensor(dtype=_DTYPES[dtype], shape=tuple(shape), begin=body + offsets[0], size=size)


def _check_layout(tensors: Mapping[str, StoredTensor], body: int, end: int) -> None:
    """No gap and no overlap: every byte from ``body`` to ``end`` belongs to one tensor."""
    if not tensors:
        raise PackageError(f"holds no tensor; {_TELL}")
    position = body
    for name, stored in tensors.items():
        if stored.begin != position:
            raise PackageError(
                f"tensor '{name}' begins at byte {stored.begin - body}, expected {position - body}; {_TELL}"
            )
        position += stored.size
    if position != end:
        raise PackageError(f"holds {end - body} bytes of tensors, but its header tells of {position - body}; {_TELL}")


def _whole(value: Any) -> bool:
    """A list of numbers from 0 to 2**63; JSON's truth values are ints to Python, and its numbers have no limit."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _not_negative(digits: str) -> int:
    if digits.startswith("-"):
        raise PackageError(f"has the negative number {digits[:80]} in its header; {_TELL}")
    return int(digits)


def _foreign(data: bytes) -> str:
    if data[:1] == b"\x80" and data[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "holds a pickle, which could run code"
    if data.startswith(b"PK"):
        return "holds a zip file, as PyTorch's own format with its pickle is"
    return "is no safetensors file"


@final
class _Entries:
    """The entries of a tensor as bytes, wherever it lies and whatever its strides are."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor.detach().resolve_neg()
        self.size = tensor.numel() * tensor.element_size()

    def pieces(self) -> Iterator[memoryview]:
        """See :class:`Pieces`."""
        for block in _blocks(self._tensor):
            yield block.view(torch.uint8).numpy().data


def _blocks(tensor: Tensor) -> Iterator[Tensor]:
    """The entries in their order, as flat tensors on the CPU that are small enough for a piece."""
    most = PIECE // tensor.element_size()
    if tensor.numel() <= most:
        yield tensor.to("cpu").contiguous().view(-1)
    elif tensor.is_contiguous():
        for block in tensor.view(-1).split(most):
            yield block.to("cpu")
    else:
        row = tensor.numel() // len(tensor)
        for part in tensor.unbind() if row > most else tensor.split(most // row):
            yield from _blocks(part)


@final
class _File:
    """A safetensors file, with the tensors in the order in which the safetensors library has them."""

    def __init__(self, tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...], Pieces]]) -> None:
        codes = {dtype: code for code, dtype in _DTYPES.items()}
        order = list(codes)
        names = sorted(tensors, key=lambda name: (order.index(tensors[name][0]), name))
        # One metadata entry, which PEFT's own files have too.
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        position = 0
        for name in names:
            dtype, shape, source = tensors[name]
            offsets = [position, position := position + source.size]
            header[name] = {"dtype": codes[dtype], "shape": list(shape), "data_offsets": offsets}
        raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        raw += b" " * (-len(raw) % 8)
        self._header = len(raw).to_bytes(8, "little") + raw
        self._sources = [tensors[name][2] for name in names]
        self.size = len(self._header) + position

    def pieces(self) -> Iterator[memoryview]:
        """See :class:`Pieces`."""
        yield memoryview(self._header)
        for source in self._sources:
            yield from source.pieces()
