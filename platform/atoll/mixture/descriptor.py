"""What an owner reveals of its domain: statistics of embeddings, never a sample."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from atoll.errors import PackageError

ANCHOR_STATES = "anchor-states"
_LARGEST = 1e6
"""In size, of a mean; large models' states reach some ten thousand."""
_MOST = 2**53
"""Of a count."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Descriptor:
    """Mean and variance of the embeddings of a sample of one silo's training text.

    There is one row for every routing site, in the space of what the router sees there. With the embedder
    ``anchor-states`` the rows are the statistics of just that, when the anchor alone reads the text. A sentence
    encoder's mean is brought into the same space by a linear map that everyone can compute from public text, so
    routers need not know which embedder it was.

    Attributes:
        embedder: ``anchor-states``, or the name of a sentence encoder.
        samples: How many documents the mean and the variance rest on.
        tokens: How many tokens of them were read.
        sites: Module paths of the routing sites, in order.
        mean: [sites, dimension], float32.
        variance: [sites, dimension], float32: variance of each coordinate over tokens.
        unigram: [vocabulary], float32: share of each token of the anchor's vocabulary in a sample of documents, which
            may be larger; zero for tokens that few of them hold, so that a rare name in one document is not revealed;
            ``None`` where the owner does not give it.
        directions: [sites, R, dimension], float32: in which R directions embeddings vary most at each site, the most
            first, each as long as their standard deviation along it; ``None`` where the owner does not give them.
    """

    embedder: str
    samples: int
    tokens: int
    sites: tuple[str, ...]
    mean: Tensor
    variance: Tensor
    unigram: Tensor | None = None
    directions: Tensor | None = None

    def __post_init__(self) -> None:
        shape = (len(self.sites), self.mean.shape[-1])
        if self.mean.ndim != 2 or tuple(self.mean.shape) != shape or tuple(self.variance.shape) != shape:
            raise PackageError(
                f"descriptor: mean {tuple(self.mean.shape)} and variance {tuple(self.variance.shape)} "
                f"should both be [{len(self.sites)} sites, dimension]"
            )
        for name, value in self._tensors().items():
            if value.dtype != torch.float32:
                raise PackageError(f"descriptor: {name} is {value.dtype}, not float32")
            if not bool(torch.isfinite(value).all()):
                raise PackageError(f"descriptor: {name} has NaN or infinite entries")
            # Routers square and sum these in float32.
            if value.numel() and float(value.abs().max()) > (most := _LARGEST**2 if name == "variance" else _LARGEST):
                raise PackageError(f"descriptor: {name} has entries above {most:g} in size, as no anchor's states have")
        if bool((self.variance < 0).any()):
            raise PackageError("descriptor: a variance is negative")
        self._check_unigram()
        if self.directions is not None and self.directions.shape[::2] != shape:
            raise PackageError(
                f"descriptor: directions are {tuple(self.directions.shape)}, not [{shape[0]} sites, R, {shape[1]}]"
            )
        if not 1 <= self.samples <= _MOST or not 0 <= self.tokens <= _MOST:
            raise PackageError(f"descriptor: rests on {self.samples} samples and {self.tokens} tokens")

    def _check_unigram(self) -> None:
        if self.unigram is None:
            return
        if self.unigram.ndim != 1 or not self.unigram.numel():
            raise PackageError(f"descriptor: unigram is {tuple(self.unigram.shape)}, not [vocabulary]")
        if bool((self.unigram < 0).any()) or float(self.unigram.double().sum()) > 1 + 1e-4:
            raise PackageError("descriptor: unigram holds no shares: one is negative, or they are more than 1 together")

    def _tensors(self) -> dict[str, Tensor]:
        told = {"unigram": self.unigram, "directions": self.directions}
        given = {name: value for name, value in told.items() if value is not None}
        return {"mean": self.mean, "variance": self.variance, **given}

    def at(self, site: str) -> tuple[Tensor, Tensor]:
        """Mean and variance [dimension] at one routing site.

        Raises:
            PackageError: the descriptor says nothing of that site.
        """
        if site not in self.sites:
            raise PackageError(f"descriptor by {self.embedder} has no row for '{site}': it has {', '.join(self.sites)}")
        row = self.sites.index(site)
        return self.mean[row], self.variance[row]

    def to_bytes(self) -> bytes:
        """A safetensors file; equal descriptors give equal bytes."""
        header = {
            "embedder": self.embedder,
            "samples": str(self.samples),
            "tokens": str(self.tokens),
            "sites": json.dumps(list(self.sites)),
        }
        # One metadata entry, because safetensors does not order several of them.
        return save(
            {name: tensor.contiguous().clone() for name, tensor in self._tensors().items()},
            metadata={"atoll": json.dumps(header, sort_keys=True)},
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Descriptor":
        """Read what :meth:`to_bytes` wrote.

        Raises:
            PackageError: not a descriptor, or one with impossible values.
        """
        try:
            length = int.from_bytes(data[:8], "little")
            header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["atoll"])
            tensors: Mapping[str, Tensor] = load(data)
            if set(tensors) - {"unigram", "directions"} != {"mean", "variance"}:
                raise PackageError(f"descriptor: holds {', '.join(sorted(tensors))} instead of mean and variance")
            return cls(
                embedder=str(header["embedder"]),
                samples=int(header["samples"]),
                tokens=int(header["tokens"]),
                sites=tuple(str(site) for site in json.loads(header["sites"])),
                mean=tensors["mean"],
                variance=tensors["variance"],
                unigram=tensors.get("unigram"),
                directions=tensors.get("directions"),
            )
        except (SafetensorError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
            raise PackageError(f"descriptor: not a safetensors file with Atoll's header ({error})") from error
