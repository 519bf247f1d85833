"""Tensors in and out of safetensors bytes; nothing is handed out before the bytes are proven sane."""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch
from torch import Tensor

from atoll.errors import PackageError
from atoll.experts.strict_json import json_object, shown

_SIZES = {"F32": 4, "BF16": 2, "F16": 2}
_HEADER_LIMIT = 16 * 1024**2
_NAME = re.compile(r"[A-Za-z0-9_.]{1,512}")
_DIMENSIONS = 8
_TELL = "do not use it, and tell its owner"


def save(tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file; equal tensors give equal bytes, wherever they lie in memory.

    Raises:
        PackageError: a dtype that packages do not hold.
    """
    own: dict[str, Tensor] = {}
    for name in sorted(tensors):
        tensor = tensors[name]
        if tensor.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            raise PackageError(f"tensor '{name}' is {tensor.dtype}; store it as float32, bfloat16 or float16")
        own[name] = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    # One metadata entry, which PEFT's own files have too: safetensors does not order several of them.
    return safetensors_torch.save(own, metadata={"format": "pt"})


def shapes(data: bytes, metadata: Mapping[str, str | None]) -> dict[str, tuple[int, ...]]:
    """Shapes by name, from a header that is proven sane without the safetensors library.

    Args:
        data: A whole safetensors file.
        metadata: Metadata entries that it may have, and their value where that is fixed.

    Raises:
        PackageError: no safetensors file, or one with anything unusual in it.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or data[8:9] != b"{":
        raise PackageError(f"{_foreign(data)}; only safetensors is accepted: {_TELL}")
    if length > min(_HEADER_LIMIT, len(data) - 8):
        raise PackageError(f"is no safetensors file: its header would have {length} bytes; {_TELL}")
    header = json_object(data[8 : 8 + length])
    found = header.pop("__metadata__", {})
    if not isinstance(found, dict):
        raise PackageError(f"has metadata that is no mapping; {_TELL}")
    for key, value in found.items():
        if key not in metadata or not isinstance(value, str) or metadata[key] not in (None, value):
            raise PackageError(f"has metadata {key[:80]!r}, which has no place in a package: remove it and pack again")
    extents = {name: _entry(name, entry) for name, entry in header.items()}
    _check_layout(extents, len(data) - 8 - length)
    return {name: shape for name, (shape, _, _) in extents.items()}


def load(data: bytes) -> dict[str, Tensor]:
    """Tensors of a file that :func:`shapes` accepted, in the order of their names.

    Raises:
        PackageError: a tensor with NaN or infinite entries, or a file that the library refuses.
    """
    try:
        tensors = safetensors_torch.load(data)
    except (SafetensorError, ValueError, TypeError, RuntimeError, LookupError) as error:
        raise PackageError(f"is refused by safetensors ({error}); {_TELL}") from error
    for name in sorted(tensors):
        if not bool(torch.isfinite(tensors[name]).all()):
            raise PackageError(f"tensor '{name}' has NaN or infinite entries; train again with a lower learning rate")
    return {name: tensors[name] for name in sorted(tensors)}


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


def _entry(name: str, entry: Any) -> tuple[tuple[int, ...], int, int]:
    """Shape, begin and end of one tensor."""
    if not _NAME.fullmatch(name):
        raise PackageError(f"has a tensor called {name[:80]!r}; use letters, digits, _ and dots only")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise PackageError(f"tensor '{name}' has a header without exactly dtype, shape and data_offsets; {_TELL}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _SIZES:
        raise PackageError(f"tensor '{name}' is {shown(dtype)}; convert it to F32, BF16 or F16 and pack again")
    if not _whole(shape) or len(shape) > _DIMENSIONS or 0 in shape:
        raise PackageError(f"tensor '{name}' has an impossible shape; {_TELL}")
    if not _whole(offsets) or len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * _SIZES[dtype]:
        raise PackageError(f"tensor '{name}' does not lie where its shape says; {_TELL}")
    return tuple(shape), offsets[0], offsets[1]


def _check_layout(extents: Mapping[str, tuple[tuple[int, ...], int, int]], size: int) -> None:
    """No gap and no overlap: every byte belongs to one tensor."""
    if not extents:
        raise PackageError(f"holds no tensor; {_TELL}")
    position = 0
    for name, (_, begin, end) in sorted(extents.items(), key=lambda item: item[1][1:]):
        if begin != position:
            raise PackageError(f"tensor '{name}' begins at byte {begin}, expected {position}; {_TELL}")
        position = end
    if position != size:
        raise PackageError(f"holds {size} bytes of tensors, but its header tells of {position}; {_TELL}")


def _whole(value: Any) -> bool:
    """A list of numbers from 0 to 2**63; JSON's truth values are ints to Python, and its numbers have no limit."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _foreign(data: bytes) -> str:
    if data[:1] == b"\x80" and data[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "holds a pickle, which could run code"
    if data.startswith(b"PK"):
        return "holds a zip file, as PyTorch's own format with its pickle is"
    return "is no safetensors file"
