"""What a replay generator keeps of an owner: named tensors, each with a declaration that a person can read."""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from atoll.errors import PackageError
from atoll.replay.stored import check_tensors, digest, expect_keys, pack, unpack

LIMIT = 64 << 20
"""The most bytes of a prior."""

Scalar = int | float | str | bool

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LINE = 400
_LARGEST = 1e15


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """What one tensor says, of how many, and how it was blurred.

    Attributes:
        what: In one line, for whoever decides whether it may leave.
        unit: Whose records count once: ``user``, ``document``.
        units: How many of them it rests on. Exact, as an expert card's counts are.
        smallest: Entries that rest on fewer of them, after noise where there is any, are zero.
        sensitivity: By how much the sum of all counts' changes is bounded when one unit is replaced by another (L1).
        epsilon: Of the Laplace mechanism on the counts, whose scale is sensitivity / epsilon; ``None`` for no noise.
        delta: Above zero where the noise is that of DP-SGD instead; the sensitivity is then the norm to which the
            gradient of one unit is clipped, and (epsilon, delta) is of one unit more or less.

    Raises:
        PackageError: an impossible value.
    """

    what: str
    unit: str
    units: int
    smallest: float
    sensitivity: float
    epsilon: float | None
    delta: float = 0.0

    def __post_init__(self) -> None:
        for name in ("what", "unit"):
            value = getattr(self, name)
            if not isinstance(value, str) or not 0 < len(value) <= _LINE or not value.isprintable():
                raise PackageError(f"prior: '{name}' of a declaration must be one line of text")
        if type(self.units) is not int or self.units < 1:
            raise PackageError(f"prior: a declaration rests on {self.units!r:.40} units; it must be at least 1")
        for name in ("smallest", "sensitivity"):
            if not _real(getattr(self, name)) or getattr(self, name) < 0:
                raise PackageError(f"prior: '{name}' of a declaration is {getattr(self, name)!r:.40}")
        if self.epsilon is not None and (not _real(self.epsilon) or self.epsilon <= 0):
            raise PackageError(f"prior: 'epsilon' of a declaration is {self.epsilon!r:.40}")
        if not _real(self.delta) or not 0 <= self.delta < 1 or (self.delta and self.epsilon is None):
            raise PackageError(f"prior: 'delta' of a declaration is {self.delta!r:.40}")

    @property
    def noise(self) -> str:
        """How it was blurred, in words."""
        if self.epsilon is None:
            return "exact"
        if self.delta:
            return f"DP-SGD (epsilon {self.epsilon:g}, delta {self.delta:.1e}, clipped to {self.sensitivity:g})"
        scale = self.sensitivity / self.epsilon
        return f"Laplace noise of scale {scale:g} (epsilon {self.epsilon:g}, sensitivity {self.sensitivity:g})"

    def __str__(self) -> str:
        least = f"nothing below {self.smallest:g}" if self.smallest else "nothing left out"
        return f"{self.what}; rests on {self.units} {self.unit}s, each counted once; {self.noise}; {least}"


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Prior:
    """What one generator keeps of one owner, and all that it may know of its data besides the teacher.

    Attributes:
        generator: Registered name of the generator that reads it.
        settings: The generator's choices that say how to read the tensors.
        tensors: By name; none where the owner tells nothing, and the prior only carries its terms.
        declared: By the same names.
        most: Samples of the owner's domain that may be drawn from one release, at most; 0 for no cap.

    Raises:
        PackageError: a tensor without a declaration, a declaration without a tensor, or an impossible value.
    """

    generator: str
    settings: Mapping[str, Scalar]
    tensors: Mapping[str, Tensor]
    declared: Mapping[str, Declaration]
    most: int = 0

    def __post_init__(self) -> None:
        if type(self.most) is not int or not 0 <= self.most < _LARGEST:
            raise PackageError(
                f"prior: 'most' is {self.most!r:.40}; it must be a whole number, 0 for no cap on samples"
            )
        if not isinstance(self.generator, str) or not _SLUG.fullmatch(self.generator):
            raise PackageError(f"prior: {self.generator!r:.80} is no generator's name")
        for key, value in self.settings.items():
            if not _KEY.fullmatch(key) or not (isinstance(value, bool | str) or _real(value)):
                raise PackageError(f"prior: setting {key[:80]!r} is {value!r:.80}; it must be a number, text or bool")
        check_tensors("prior", self.tensors)
        if odd := sorted(set(self.tensors) ^ set(self.declared)):
            raise PackageError(f"prior: '{odd[0]}' is declared and not there, or there and not declared")

    @property
    def epsilon(self) -> float | None:
        """Of everything together (sequential composition); ``None`` as soon as one tensor is exact."""
        parts = [declaration.epsilon for declaration in self.declared.values()]
        return None if None in parts else sum(part for part in parts if part is not None)

    @property
    def digest(self) -> str:
        """``sha256:…`` of everything in it."""
        return digest("prior", self._header(), self.tensors)

    def lines(self) -> tuple[str, ...]:
        """The declarations as sentences, by tensor, and the cap, as an expert card shows them."""
        kept = tuple(f"{name}: {self.declared[name]}" for name in sorted(self.declared)) or ("nothing is kept",)
        return (*kept, f"at most {self.most} samples a release" if self.most else "any number of samples")

    def expect(
        self,
        generator: str,
        settings: Mapping[str, Scalar],
        shapes: Mapping[str, tuple[int, ...]],
        shares: Collection[str] | None = None,
    ) -> None:
        """Check that a generator can read this: made by it, with these settings, and tensors of these shapes.

        Args:
            generator: Its name.
            settings: Its choices.
            shapes: By tensor.
            shares: Names of the tensors that are shares; all if not given.

        Raises:
            PackageError: it is another's, a tensor is not finite float32, or what is to be shares is negative or does
                not sum to one.
        """
        if self.generator != generator:
            raise PackageError(f"prior of generator '{self.generator}', where {generator} reads: remember it anew")
        if dict(self.settings) != dict(settings):
            raise PackageError(
                f"prior of {generator}: made with {dict(self.settings)}, to be read with {dict(settings)}"
            )
        found = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        if found != dict(shapes):
            raise PackageError(f"prior of {generator}: has {found}, expected {dict(shapes)}: is it of this data?")
        for name, tensor in self.tensors.items():
            if tensor.dtype != torch.float32 or not bool(torch.isfinite(tensor).all()):
                raise PackageError(f"prior of {generator}: '{name}' is not float32, or not finite")
            total = float(tensor.double().sum())
            if (shares is None or name in shares) and (bool((tensor < 0).any()) or abs(total - 1) > 1e-3):
                raise PackageError(f"prior of {generator}: '{name}' holds no float32 shares that sum to 1 ({total:g})")

    def to_bytes(self) -> bytes:
        """A safetensors file; equal priors give equal bytes."""
        return pack(self._header(), self.tensors)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Prior":
        """Read what :meth:`to_bytes` wrote.

        Raises:
            PackageError: not a prior, too large, or one with anything odd in it.
        """
        header, tensors = unpack("prior", data, LIMIT)
        expect_keys("prior", header, ("generator", "settings", "declared", "most"))
        settings, declared = header["settings"], header["declared"]
        if not isinstance(settings, dict) or not isinstance(declared, dict):
            raise PackageError("prior: 'settings' and 'declared' must be mappings")
        names = tuple(field.name for field in fields(Declaration))
        made = {
            name: Declaration(**expect_keys("prior: a declaration", _with_delta(value), names))
            for name, value in declared.items()
        }
        generator, most = header["generator"], header["most"]
        return cls(generator=generator, settings=settings, tensors=tensors, declared=made, most=most)

    def _header(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "settings": dict(self.settings),
            "declared": {name: _without_delta(value) for name, value in self.declared.items()},
            "most": self.most,
        }


def _real(value: object) -> bool:
    """A number that a double can be; JSON's truth values are ints to Python, and its whole numbers have no limit."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _without_delta(declared: Declaration) -> dict[str, Any]:
    """As plain values; a delta is written only where there is one, so that priors without keep their digests."""
    return {name: value for name, value in asdict(declared).items() if name != "delta" or value}


def _with_delta(value: Any) -> Any:
    return {"delta": 0.0, **value} if isinstance(value, dict) else value
