"""Named tensors under a header as one safetensors file: the form of priors and replay sets."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from atoll.errors import PackageError

Header = Mapping[str, Any]
"""What JSON can hold, without NaN and infinities."""

DTYPES = (torch.bool, torch.int8, torch.int16, torch.int32, torch.int64, torch.float32)
_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_TENSORS = 64
_DIMENSIONS = 4
_HEADER = 1 << 20
_LARGEST = 1e12


def check_tensors(what: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise PackageError for tensors that a file cannot hold, or that have NaN or infinite entries."""
    if len(tensors) > _TENSORS:
        raise PackageError(f"{what}: holds {len(tensors)} tensors; at most {_TENSORS} are accepted")
    for name, tensor in tensors.items():
        if not _NAME.fullmatch(name):
            raise PackageError(f"{what}: a tensor is called {name[:80]!r}; use lower-case letters, digits, _ and dots")
        if tensor.dtype not in DTYPES:
            raise PackageError(f"{what}: '{name}' is {tensor.dtype}; it must be float32, whole numbers or bool")
        if tensor.ndim > _DIMENSIONS:
            raise PackageError(f"{what}: '{name}' has {tensor.ndim} dimensions; at most {_DIMENSIONS} are accepted")
        if tensor.dtype == torch.float32 and not bool(torch.isfinite(tensor).all()):
            raise PackageError(f"{what}: '{name}' has NaN or infinite entries")
        if tensor.dtype == torch.float32 and tensor.numel() and float(tensor.abs().max()) > _LARGEST:
            raise PackageError(f"{what}: '{name}' has entries above {_LARGEST:g} in size")


def pack(header: Header, tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file; equal values give equal bytes."""
    # One metadata entry, because safetensors does not order several of them.
    return save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
        metadata={"atoll": _text(header)},
    )


def unpack(what: str, data: bytes, limit: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of what :func:`pack` wrote.

    Args:
        what: What it should be, for the message.
        data: A whole file.
        limit: The most bytes it may have.

    Raises:
        PackageError: too large, no safetensors file of ours, or with anything unusual in it.
    """
    if len(data) > limit:
        raise PackageError(f"{what}: has {len(data)} bytes; at most {limit} are accepted")
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(_HEADER, len(data) - 8):
        raise PackageError(f"{what}: not a safetensors file, or one with a header of {length} bytes")
    try:
        metadata = _object(data[8 : 8 + length])["__metadata__"]
        if not isinstance(metadata, dict) or set(metadata) != {"atoll"} or not isinstance(metadata["atoll"], str):
            raise PackageError(f"{what}: its metadata are not Atoll's alone")
        header, tensors = _object(metadata["atoll"].encode()), load(data)
    except (SafetensorError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise PackageError(f"{what}: not a safetensors file with Atoll's header ({str(error)[:120]})") from error
    check_tensors(what, tensors)
    return header, tensors


def expect_keys(what: str, found: object, expected: tuple[str, ...]) -> dict[str, Any]:
    """The mapping, if these are its keys.

    Raises:
        PackageError: it is something else, or has other keys.
    """
    if not isinstance(found, dict) or set(found) != set(expected):
        named = ", ".join(sorted(map(str, found)))[:200] if isinstance(found, dict) else type(found).__name__
        raise PackageError(f"{what}: must have exactly the keys {', '.join(expected)}, not {named}")
    return found


def digest(what: str, header: Header, tensors: Mapping[str, Tensor]) -> str:
    """``sha256:…`` over the header and, by name, each tensor's name, type, shape and bytes.

    It does not depend on how a version of the safetensors library lays out its files.
    """
    total = hashlib.sha256(f"atoll {what} 1\n{_text(header)}\n".encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{total.hexdigest()}"


def _text(header: Header) -> str:
    return json.dumps(header, sort_keys=True, allow_nan=False)


def _object(raw: bytes) -> dict[str, Any]:
    found = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
