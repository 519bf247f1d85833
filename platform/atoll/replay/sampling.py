"""Draw from a model's next-token scores.

Shapes: B sequences, V candidates.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from atoll.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the next one is chosen. The filters apply in the order of the attributes, after the temperature.

    Attributes:
        temperature: Divides the logits; 0 takes the likeliest every time.
        top_k: Only so many of the likeliest (Fan et al. 2018, arXiv 1805.04833); 0 for all.
        top_p: Only the fewest of the likeliest that have this probability together (nucleus sampling, Holtzman et al.
            2020, arXiv 1904.09751); 1 for all.
        uniform_top: So many of the likeliest, all alike, as MoveGCL's published code draws (5 there); 0 for not. It
            goes without the others.

    Raises:
        ConfigError: an impossible value.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    uniform_top: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"sampling: temperature is {self.temperature}; it must be zero or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"sampling: top_p is {self.top_p}; it must be above zero and at most 1")
        if self.top_k < 0 or self.uniform_top < 0:
            raise ConfigError("sampling: top_k and uniform_top must be zero (for not) or more")
        if self.uniform_top and (self.top_k, self.top_p, self.temperature) != (0, 1.0, 1.0):
            raise ConfigError("sampling: uniform_top draws all alike; leave temperature, top_k and top_p as they are")

    def probabilities(self, logits_BV: Tensor) -> Tensor:
        """What is drawn from, float64 [B, V]; rows sum to one."""
        logits = logits_BV.detach().double()
        if self.uniform_top:
            return _alike(logits, self.uniform_top)
        if self.temperature == 0:
            return _alike(logits, 1)
        logits = logits / self.temperature
        if 0 < self.top_k < logits.shape[-1]:
            kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, logits.topk(self.top_k, -1).indices, True)
            logits = logits.masked_fill(~kept, float("-inf"))
        found = logits.softmax(-1)
        return found if self.top_p == 1 else _nucleus(found, self.top_p)


def draw(probabilities_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """One candidate a row, int64 [B], by inverting the distribution function at numbers from [0, 1).

    What has probability zero is never drawn.
    """
    return _inverted(probabilities_BV, uniform_B[:, None]).squeeze(1)


def draw_alike(probabilities_V: Tensor, uniform_B: Tensor) -> Tensor:
    """Candidates from one distribution, int64 [B]."""
    return _inverted(probabilities_V[None], uniform_B[None]).squeeze(0)


def sample(logits_BV: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """One candidate a row, int64 [B], with numbers from a generator."""
    uniform = torch.rand(len(logits_BV), dtype=torch.float64, generator=generator, device=generator.device)
    return draw(sampling.probabilities(logits_BV), uniform.to(logits_BV.device))


def streams(seed: int, indices: Iterable[int], length: int) -> Tensor:
    """Numbers from [0, 1) for each sample, float64 [samples, length]: a function of seed and index alone.

    So a sample is the same in whatever batch it is drawn.
    """
    generator = torch.Generator()
    rows = []
    for index in indices:
        key = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest()
        generator.manual_seed(int.from_bytes(key, "little") >> 1)
        rows.append(torch.rand(length, dtype=torch.float64, generator=generator))
    return torch.stack(rows) if rows else torch.zeros(0, length, dtype=torch.float64)


def _inverted(probabilities_BV: Tensor, uniform_BN: Tensor) -> Tensor:
    upto = probabilities_BV.cumsum(-1)
    total = upto[:, -1:]
    # A product may be rounded up to the total, beyond the last candidate.
    target = torch.minimum(uniform_BN * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(upto, target, right=True)


def _alike(logits_BV: Tensor, count: int) -> Tensor:
    top = logits_BV.topk(min(count, logits_BV.shape[-1]), -1)
    # A candidate that is ruled out stays so, even where fewer are left than asked for.
    weights = (top.values > float("-inf")).double()
    return torch.zeros_like(logits_BV).scatter(-1, top.indices, weights / weights.sum(-1, keepdim=True))


def _nucleus(probabilities_BV: Tensor, top_p: float) -> Tensor:
    ordered, places = probabilities_BV.sort(dim=-1, descending=True, stable=True)
    # Kept while what is likelier does not reach top_p; the likeliest always is.
    kept = ordered.cumsum(-1) - ordered < top_p
    found = torch.zeros_like(probabilities_BV).scatter(-1, places, ordered * kept)
    return found / found.sum(-1, keepdim=True)
