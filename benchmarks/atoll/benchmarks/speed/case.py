"""One case of the comparison: which experts over which anchor, doing what, on which inputs."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from atoll.anchors import resolve
from atoll.errors import ConfigError

ACTIONS = ("inference", "expert", "router")
"""A forward pass; a training step of one expert beside frozen ones; one of the router alone, all experts frozen."""

KINDS = {"ffn": ("mlp",), "lora": ("self_attn.q_proj", "mlp.up_proj")}
"""What experts of a kind change in every layer. For LoRA one linear at each place where tokens are routed, so that
PEFT's Arrow, which routes each linear by itself, does the same."""

IN_MEMORY = ("llama", "olmo2")


@dataclass(frozen=True, kw_only=True)
class Form:
    """What is run, but for the draw.

    Attributes:
        kind: ``ffn`` or ``lora``.
        experts: How many, beside the anchor.
        chosen: Slots that the router keeps for a token, of the anchor's and the experts'; all where there are fewer.
        action: One of :data:`ACTIONS`.
        anchor: ``llama`` or ``olmo2`` for a random one of the sizes below; else what ``resolve`` takes.
        layers: Of a random anchor.
        width: Likewise, of the residual stream.
        hidden: Likewise, of the feed-forward blocks.
        heads: Likewise.
        vocabulary: Likewise.
        rank: Of LoRA.
        batch: Samples.
        length: Tokens a sample.

    Raises:
        ConfigError: an action or kind that there is not, or a size below one.
    """

    kind: str = "ffn"
    experts: int = 4
    chosen: int = 2
    action: str = "inference"
    anchor: str = "olmo2"
    layers: int = 4
    width: int = 128
    hidden: int = 256
    heads: int = 4
    vocabulary: int = 1024
    rank: int = 8
    batch: int = 16
    length: int = 64

    def __post_init__(self) -> None:
        for name, value, known in (("kind", self.kind, tuple(KINDS)), ("action", self.action, ACTIONS)):
            if value not in known:
                raise ConfigError(f"mixture-speed: {name} is '{value}'; it is one of {', '.join(known)}")
        for field in fields(self):
            if field.type is int and field.name != "seed" and getattr(self, field.name) < 1:
                raise ConfigError(f"mixture-speed: {field.name} is {getattr(self, field.name)}; it is at least 1")


@dataclass(frozen=True, kw_only=True)
class Case(Form):
    """A form and its draw. Whoever builds something from a case builds the same again.

    Attributes:
        seed: Of weights and tokens.
        device: Where.
    """

    seed: int = 0
    device: str = "cpu"

    def model(self) -> nn.Module:
        """The frozen anchor.

        Raises:
            AnchorError: there is no such anchor.
        """
        if self.anchor not in IN_MEMORY:
            return resolve(self.anchor).model(device=self.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = self._random()
        return model.requires_grad_(False).to(self.device).eval()

    def _random(self) -> nn.Module:
        from transformers import LlamaConfig, LlamaForCausalLM, Olmo2Config, Olmo2ForCausalLM

        form: dict[str, Any] = {
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "max_position_embeddings": max(self.length, 16),
            "initializer_range": self.width**-0.5,
            "pad_token_id": None,
            "bos_token_id": None,
            "eos_token_id": None,
        }
        if self.anchor == "llama":
            return LlamaForCausalLM(LlamaConfig(**form))
        return Olmo2ForCausalLM(Olmo2Config(**form))

    def tokens(self, model: nn.Module) -> Tensor:
        """Random token ids [batch, length] of the model's vocabulary."""
        vocabulary = model.get_input_embeddings().num_embeddings  # type: ignore[operator]
        drawn = torch.randint(0, vocabulary, (self.batch, self.length), generator=self.generator("tokens"))
        return drawn.to(self.device)

    def generator(self, what: str) -> torch.Generator:
        """Randomness for one purpose."""
        return torch.Generator().manual_seed(hash_of(self.seed, what))


def hash_of(seed: int, what: str) -> int:
    """A seed for one purpose, the same in every process."""
    letters = sum(ord(letter) * int(31**place) for place, letter in enumerate(what))
    return seed * 1_000_003 + letters % 1_000_003


def layers_of(model: nn.Module) -> int:
    """How many decoder layers a causal LM of transformers has."""
    return int(model.config.num_hidden_layers)  # type: ignore[union-attr,arg-type]
