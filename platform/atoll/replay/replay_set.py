"""Replay as it is kept and sent: samples, and all that says where they come from."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from atoll.errors import PackageError
from atoll.replay.replay import Sample
from atoll.replay.stored import check_tensors, digest, expect_keys, pack, unpack

LIMIT = 1 << 30
"""The most bytes of a replay set."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_OPTIONS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What a replay set was drawn from, and how.

    Attributes:
        owner: Whose domain it stands in for; if that owner withdraws, the set goes.
        teacher: Digest of the frozen release.
        experts: Owners whose experts answered in it; if one withdraws, the set goes too.
        generator: Registered name.
        options: The generator's fields, all of them.
        seed: Of the draw; ``None`` where the owner keeps it to itself, since it filtered the samples.
        prior: The prior's digest; ``None`` where there was none.
        budget: How many samples were drawn.
        most: The owner's cap on them, to which the budget was cut where it was larger; 0 for none.

    Raises:
        PackageError: an impossible value.
    """

    owner: str
    teacher: str
    experts: tuple[str, ...]
    generator: str
    options: Mapping[str, Any]
    seed: int | None
    prior: str | None
    budget: int
    most: int = 0

    def __post_init__(self) -> None:
        for value in (self.owner, self.generator, *self.experts):
            if not isinstance(value, str) or not _SLUG.fullmatch(value):
                raise PackageError(f"replay set: {value!r:.80} is no name; use lower-case letters, digits and hyphens")
        for value in (self.teacher, *(() if self.prior is None else (self.prior,))):
            if not isinstance(value, str) or not _DIGEST.fullmatch(value):
                raise PackageError(f"replay set: {value!r:.80} is no digest 'sha256:' and 64 hexadecimal digits")
        if type(self.budget) is not int or self.budget < 1 or type(self.seed) not in (int, type(None)):
            raise PackageError(f"replay set: budget {self.budget!r:.40} or seed {self.seed!r:.40} is no whole number")
        if type(self.most) is not int or self.most < 0 or (self.most and self.budget > self.most):
            raise PackageError(f"replay set: {self.budget} samples were drawn, and its owner permits {self.most!r:.40}")
        try:
            size = len(json.dumps(dict(self.options), allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise PackageError(f"replay set: options that JSON does not hold ({str(error)[:120]})") from error
        if size > _OPTIONS:
            raise PackageError(f"replay set: options of {size} characters; at most {_OPTIONS} are accepted")


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class ReplaySet:
    """Samples of one owner's domain, drawn from one teacher.

    Attributes:
        provenance: Where they come from.
        samples: Each with the same tensors, of the same types; first dimensions may differ from sample to sample, the
            others may not.
        dropped: How many samples each filter took away, by its name. Which ones, nobody can tell from it.

    Raises:
        PackageError: samples unlike each other, or more of them than the budget leaves.
    """

    provenance: Provenance
    samples: Sequence[Sample]
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, count in self.dropped.items():
            if not _SLUG.fullmatch(name) or type(count) is not int or count < 0:
                raise PackageError(f"replay set: filter {name!r:.80} dropped {count!r:.40}")
        if len(self.samples) + sum(self.dropped.values()) != self.provenance.budget:
            raise PackageError(
                f"replay set: {len(self.samples)} samples and {sum(self.dropped.values())} dropped ones are not the "
                f"budget of {self.provenance.budget}"
            )
        forms = {_form(sample) for sample in self.samples}
        if len(forms) > 1:
            one, other = sorted(forms)[:2]
            raise PackageError(f"replay set: samples differ in their tensors: {one} and {other}")

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def digest(self) -> str:
        """``sha256:…`` of samples and provenance."""
        return digest("replay set", self._header(), self._columns())

    def without(self, mask: ArrayLike, why: str) -> "ReplaySet":
        """The set without the samples where ``mask``, bool [samples], is true; their number is noted under ``why``."""
        gone = np.asarray(mask, dtype=np.bool_)
        kept = [sample for sample, drop in zip(self.samples, gone, strict=True) if not drop]
        count = self.dropped.get(why, 0) + int(gone.sum())
        return replace(self, samples=kept, dropped={**self.dropped, why: count})

    def to_bytes(self) -> bytes:
        """A safetensors file; equal sets give equal bytes."""
        return pack(self._header(), self._columns())

    @classmethod
    def from_bytes(cls, data: bytes) -> "ReplaySet":
        """Read what :meth:`to_bytes` wrote.

        Raises:
            PackageError: not a replay set, too large, or one with anything odd in it.
        """
        header, columns = unpack("replay set", data, LIMIT)
        expect_keys("replay set", header, ("provenance", "samples", "dropped"))
        names = tuple(part.name for part in fields(Provenance))
        known = expect_keys("replay set: provenance", header["provenance"], names)
        if not isinstance(known["experts"], list) or not isinstance(known["options"], dict):
            raise PackageError("replay set: 'experts' must be a list and 'options' a mapping")
        if not isinstance(header["dropped"], dict):
            raise PackageError("replay set: 'dropped' must be a mapping")
        made = Provenance(**{**known, "experts": tuple(known["experts"])})
        return cls(provenance=made, samples=_samples(columns, header["samples"]), dropped=header["dropped"])

    def _header(self) -> dict[str, Any]:
        known = asdict(self.provenance)
        return {
            "provenance": {**known, "experts": list(known["experts"])},
            "samples": len(self.samples),
            "dropped": dict(self.dropped),
        }

    def _columns(self) -> dict[str, Tensor]:
        """Each tensor of all samples end to end; and their lengths, where a sample has more than one entry of it."""
        columns: dict[str, Tensor] = {}
        for name in sorted(self.samples[0]) if self.samples else ():
            parts = [sample[name] for sample in self.samples]
            if not parts[0].ndim:
                columns[f"one.{name}"] = torch.stack(parts)
                continue
            columns[f"all.{name}"] = torch.cat(parts)
            columns[f"length.{name}"] = torch.tensor([len(part) for part in parts], dtype=torch.int32)
        check_tensors("replay set", columns)
        return columns


def _samples(columns: Mapping[str, Tensor], count: object) -> list[Sample]:
    if type(count) is not int or count < 0:
        raise PackageError(f"replay set: {count!r:.40} samples")
    parts: dict[str, Sequence[Tensor]] = {}
    for whole, column in columns.items():
        kind, _, name = whole.partition(".")
        if kind == "one" and column.ndim == 1 and len(column) == count:
            parts[name] = column.unbind()
        elif kind == "all" and column.ndim and f"length.{name}" in columns:
            lengths = columns[f"length.{name}"]
            if lengths.dtype != torch.int32 or tuple(lengths.shape) != (count,) or bool((lengths < 0).any()):
                raise PackageError(f"replay set: the lengths of '{name}' are no {count} whole numbers")
            if int(lengths.sum()) != len(column):
                raise PackageError(f"replay set: '{name}' has {len(column)} entries, but lengths of another sum")
            parts[name] = column.split(lengths.tolist())
        elif kind != "length" or f"all.{name}" not in columns:
            raise PackageError(f"replay set: tensor {whole!r:.80} has no place in it, or a wrong shape")
    if not parts and count:
        raise PackageError(f"replay set: has {count} samples and no tensors of them")
    # Copies, so that one sample does not keep the memory of all.
    return [{name: pieces[index].clone() for name, pieces in parts.items()} for index in range(count)]


def _form(sample: Sample) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """Names, types and shapes; -1 for a first dimension."""
    return tuple(
        (name, str(value.dtype), (-1, *value.shape[1:]) if value.ndim else ()) for name, value in sorted(sample.items())
    )
