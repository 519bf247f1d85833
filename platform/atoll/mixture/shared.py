"""The shared part of a release: what was fitted with several owners' experts present, and from what.

Experts belong to their owners, and leave with them. What is fitted over all of them does not: so it is kept apart from
the experts, and says itself whose synthetic samples it has seen.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from atoll.errors import PackageError
from atoll.mixture.routing import Rows

_MOST = 99_999
"""Tensors at most: sites times slots times names."""
_LARGEST = 1e12
"""In size, of an entry: routers sum them in float32."""
_COUNTED = 2**53
"""Of a count at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """One fitting of the shared part.

    Attributes:
        release: Number of the release that it was made for.
        teacher: Digest of the frozen release that the samples came from.
        replay: Name of the generator.
        samples: How many synthetic samples were used, by the owner whose domain they stand for.
        stopped: Optimizer steps after which the router's updates were stopped; 0 where they were not.
    """

    release: int
    teacher: str
    replay: str
    samples: dict[str, int]
    stopped: int = 0


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Shared:
    """The router's fitted rows, and every fitting that went into them, oldest first.

    Attributes:
        router: Name of the router.
        rows: Its state by site, slot and name; float32.
        fits: The fittings.
    """

    router: str
    rows: Rows
    fits: tuple[Fit, ...] = field(default=())

    def seen(self, owner: str) -> tuple[int, ...]:
        """Numbers of the releases for which samples of this owner's domain were used."""
        return tuple(fit.release for fit in self.fits if fit.samples.get(owner))

    def to_bytes(self) -> bytes:
        """A safetensors file; equal parts give equal bytes."""
        keys: list[list[str]] = []
        tensors: dict[str, Tensor] = {}
        for site, slots in sorted(self.rows.items()):
            for slot, state in sorted(slots.items()):
                for name, value in sorted(state.items()):
                    tensors[f"{len(keys):05d}"] = value.detach().to("cpu", torch.float32).contiguous().clone()
                    keys.append([site, slot, name])
        fits = [_written(fit) for fit in self.fits]
        header = json.dumps({"router": self.router, "keys": keys, "fits": fits}, sort_keys=True)
        return save(tensors, metadata={"atoll": header})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Shared":
        """Read what :meth:`to_bytes` wrote.

        Raises:
            PackageError: something else, or impossible values.
        """
        try:
            length = int.from_bytes(data[:8], "little")
            header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["atoll"])
            tensors = load(data)
            rows = _rows(header["keys"], tensors)
            fits = tuple(_fit(entry) for entry in header["fits"])
            return cls(router=str(header["router"]), rows=rows, fits=fits)
        except (SafetensorError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
            raise PackageError(f"shared part: not a safetensors file with Atoll's header ({error})") from error


def _rows(keys: list[Any], tensors: dict[str, Tensor]) -> dict[str, dict[str, dict[str, Tensor]]]:
    if len(keys) != len(tensors) or len(keys) > _MOST:
        raise PackageError(f"shared part: names {len(keys)} tensors and holds {len(tensors)}, of at most {_MOST}")
    rows: dict[str, dict[str, dict[str, Tensor]]] = {}
    for place, (site, slot, name) in enumerate(keys):
        value = tensors[f"{place:05d}"]
        if value.dtype != torch.float32 or not bool(torch.isfinite(value).all()):
            raise PackageError(f"shared part: the row of '{slot}' at '{site}' is {value.dtype}, or not finite")
        if value.numel() and float(value.abs().max()) > _LARGEST:
            raise PackageError(f"shared part: the row of '{slot}' at '{site}' has entries above {_LARGEST:g} in size")
        rows.setdefault(str(site), {}).setdefault(str(slot), {})[str(name)] = value
    return rows


def _written(fit: Fit) -> list[Any]:
    """As it was before fittings could be stopped, where this one was not."""
    entry = [fit.release, fit.teacher, fit.replay, dict(sorted(fit.samples.items()))]
    return [*entry, fit.stopped] if fit.stopped else entry


def _fit(entry: list[Any]) -> Fit:
    release, teacher, replay, samples, *stopped = entry
    if len(stopped) > 1:
        raise ValueError(f"a fitting has {len(entry)} entries")
    counted = {str(owner): _count(count) for owner, count in dict(samples).items()}
    stop = _count(*stopped) if stopped else 0
    return Fit(release=_count(release), teacher=str(teacher), replay=str(replay), samples=counted, stopped=stop)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _COUNTED:
        raise ValueError(f"{str(value)[:40]} is no count")
    return value
