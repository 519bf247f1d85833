"""A mixture continues a text, and says who contributed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atoll.anchors.plain_text import text_ids
from atoll.errors import ConfigError, MixtureError
from atoll.mixture import Mixture
from atoll.mixture.layer import average_shares


@dataclass(frozen=True, slots=True)
class Answer:
    """What a mixture answered.

    Attributes:
        text: The continuation, without the prompt.
        shares: Who contributed, by slot; sums to one. Prompt and answer both count, since an answer rests on what was
            read. The routing weight where tokens are routed; equal shares where weights are averaged; for an ensemble
            the weights of the models at the end of the text.
    """

    text: str
    shares: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        tokens: The most that are added; fewer where the text ends, or the anchor's context does.
        temperature: 0 for the likeliest token every time.
        top_p: Sample among the likeliest tokens that together have this probability.
        seed: Of sampling; the same seed gives the same answer on one machine.
    """

    tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise ConfigError(f"tokens is {self.tokens}; ask for at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature is {self.temperature}; it must be zero or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; it must be above zero and at most 1")


@torch.no_grad()
def generate(
    mixture: Mixture,
    tokenizer: Any,
    prompt: str,
    *,
    entitlement: Collection[str] | None = None,
    sampling: Sampling | None = None,
) -> Answer:
    """Continue a prompt.

    Args:
        mixture: Over a transformers causal LM.
        tokenizer: The anchor's.
        prompt: The text so far; where it is empty, a new document begins.
        entitlement: Owners that may answer; ``None`` for all.
        sampling: How; by default the likeliest token, 64 times at most.

    Raises:
        MixtureError: the entitlement names somebody who is not in the mixture, or its router is not causal.
        ConfigError: the prompt is longer than what the anchor can read.
    """
    if not mixture.router.causal:
        raise MixtureError(
            f"router {mixture.router.name} declares that later positions change the choice at earlier ones: a text "
            "cannot be continued with it piece by piece"
        )
    how = sampling or Sampling()
    ids = _read(mixture, tokenizer, prompt)
    room = int(mixture.model.config.max_position_embeddings) - ids.shape[1]  # type: ignore[union-attr, arg-type]
    tokens = min(how.tokens, room)
    end = int(tokenizer.eos_token_id)
    with torch.random.fork_rng(devices=[ids.device] if ids.is_cuda else []):
        torch.manual_seed(how.seed)
        if mixture.composition == "outputs":
            whole = _uncached(mixture, ids, entitlement, tokens, how, end)
            shares = _model_shares(mixture, whole, entitlement)
        else:
            whole, shares = _cached(mixture, ids, entitlement, tokens, how, end)
    text = tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)
    return Answer(text=text, shares=dict(zip(mixture.slots, shares, strict=True)))


def _read(mixture: Mixture, tokenizer: Any, prompt: str) -> Tensor:
    """The prompt's ids, [1, S]; documents begin after an end-of-text token, so an empty one is that."""
    read = text_ids(tokenizer, [prompt])[0] or [tokenizer.eos_token_id]
    most = int(mixture.model.config.max_position_embeddings)  # type: ignore[union-attr, arg-type]
    if len(read) >= most:
        raise ConfigError(f"the prompt has {len(read)} tokens, and the anchor reads at most {most}: shorten it")
    return torch.tensor([read], device=next(mixture.model.parameters()).device)


def _cached(
    mixture: Mixture, ids: Tensor, entitlement: Collection[str] | None, tokens: int, how: Sampling, end: int
) -> tuple[Tensor, list[float]]:
    """By transformers' own generation, with its cache of keys and values and the router's memory."""
    from transformers import GenerationConfig

    config = GenerationConfig(max_new_tokens=tokens, do_sample=how.temperature > 0, eos_token_id=end, pad_token_id=end)
    # Nothing of a checkpoint's own habits: what is not set here, transformers would take from there.
    config.update(num_beams=1, repetition_penalty=1.0, use_cache=True)
    if how.temperature > 0:
        config.update(temperature=how.temperature, top_p=how.top_p, top_k=0)
    with mixture.use(entitlement, remember=True) as call:
        whole = mixture.model.generate(  # type: ignore[operator]
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config
        )
        routed = call.mass_N is not None
        shares = call.shares() if routed else average_shares(call.allowed_N).tolist()
    return whole, shares


def _uncached(
    mixture: Mixture, ids: Tensor, entitlement: Collection[str] | None, tokens: int, how: Sampling, end: int
) -> Tensor:
    """Whole models side by side: every step reads the text from its beginning."""
    for _ in range(tokens):
        with mixture.use(entitlement):
            scores = mixture(input_ids=ids, use_cache=False).logits[:, -1]
        chosen = _choose(scores.float(), how)
        ids = torch.cat([ids, chosen], 1)
        if int(chosen) == end:
            break
    return ids


def _choose(scores: Tensor, how: Sampling) -> Tensor:
    if how.temperature == 0:
        return scores.argmax(-1, keepdim=True)
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    scores = TemperatureLogitsWarper(how.temperature)(None, scores)
    if how.top_p < 1:
        scores = TopPLogitsWarper(how.top_p)(None, scores)
    return torch.multinomial(scores.softmax(-1), 1)


def _model_shares(mixture: Mixture, ids: Tensor, entitlement: Collection[str] | None) -> list[float]:
    """Weights of an ensemble's models after the whole text."""
    shares = average_shares(mixture.allowed(entitlement))
    if mixture.weighting == "uniform":
        return [float(share) for share in shares]
    evidence = torch.full_like(shares, float("-inf"))
    for slot in [int(slot) for slot in shares.nonzero()]:
        with mixture.use([mixture.slots[slot]]):
            logits = mixture(input_ids=ids, use_cache=False).logits[:, :-1]
        # One model alone: its mixture is itself.
        evidence[slot] = torch.log_softmax(logits.float(), -1).gather(-1, ids[:, 1:, None]).sum()
    return [float(share) for share in evidence.softmax(0)]
