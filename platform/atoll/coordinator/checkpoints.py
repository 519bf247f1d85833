"""A mixture's tensors as those of a standard transformers model: FlexOlmo, Mixtral, or the anchor's own class.

A model is a class, a configuration and a state dict under the class's names in memory; ``save_pretrained`` turns
them into the names that its checkpoints have on disk.
"""

from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from atoll.errors import MixtureError
from atoll.experts.ffn import PROJECTIONS
from atoll.mixture import ExpertKind, Mixture
from atoll.mixture.layer import Gate, Mixed

_REBUILD = "build the release with another router to export it: atoll mixture build --router top-k"
# What a plain model and its mixture-of-experts counterpart have in common, as transformers' configurations call it.
_SHARED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "tie_word_embeddings",
    "attention_dropout",
    "rope_parameters",
)


class _TopK(Protocol):
    """What is needed of the router ``top-k``, which the platform does not import."""

    k: int
    renormalise: bool


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """A model that is ready to be saved: transformers' class, its configuration and every tensor by name."""

    model_class: Any
    config: Any
    state: dict[str, Tensor]
    generation: Any

    def build(self) -> Any:
        """The model, around the tensors as they are."""
        with torch.device("meta"):  # no second set of weights in memory
            model = self.model_class(self.config)
        # Strict: a tensor too many or too few is a mistake here, not something to be filled with random numbers.
        model.load_state_dict(self.state, assign=True)
        model.tie_weights()
        model.generation_config = self.generation
        return model.eval()


def moe_checkpoint(mixture: Mixture) -> Checkpoint:
    """An ``ffn`` mixture under the router ``top-k``, over an Olmo2 anchor as FlexOlmo, over a Llama anchor as Mixtral.

    Slot 0 is the anchor's own block. In these classes, layers without experts are mixtures all the same: every slot of
    theirs is the anchor's block, with rows of zeros.

    Raises:
        MixtureError: the router or the anchor has something that the class cannot express.
    """
    plain = mixture.restrict(()).model
    slots = len(mixture.slots)
    k, renormalise = _top_k(mixture, slots)
    model_class, config = _moe_class(plain.config, slots, k, renormalise)
    state = dict(plain.state_dict())
    gates = {gate.site: gate for gate in mixture.gates if isinstance(gate, Gate)}
    for layer in range(config.num_hidden_layers):
        path = f"model.layers.{layer}.mlp"
        own = [state.pop(f"{path}.{projection}.weight") for projection in PROJECTIONS]
        block = mixture.model.get_submodule(path)
        if isinstance(block, Mixed):
            gate, up, down = (block.stacked()[projection] for projection in PROJECTIONS)
            rows = gates[path].state()["row"].to(gate)
        else:
            # Where weights do not sum to one, k alike slots of 1 / slots each: the scale makes them one again.
            scale = 1.0 if renormalise else slots / k
            gate, up, down = (tensor.expand(slots, *tensor.shape) for tensor in (own[0], own[1], own[2] * scale))
            rows = gate.new_zeros(slots, gate.shape[-1])
        state[f"{path}.gate.weight"] = rows
        state[f"{path}.experts.gate_up_proj"] = torch.cat([gate, up], 1)
        state[f"{path}.experts.down_proj"] = down.contiguous()
    return Checkpoint(model_class, config, state, plain.generation_config)


def dense_checkpoint(mixture: Mixture) -> Checkpoint:
    """A mixture whose experts meet in the weights, as a model of the anchor's own class."""
    plain = mixture.restrict(()).model
    return Checkpoint(type(plain), plain.config, dense_state(mixture), plain.generation_config)


def dense_state(mixture: Mixture) -> dict[str, Tensor]:
    """Every tensor of the anchor's own model, with the experts' averaged weights in the target modules."""
    state = dict(mixture.restrict(()).model.state_dict())
    shares = torch.ones(len(mixture.members)) / len(mixture.members)
    for site in mixture.sites:
        for target in site.targets:
            module = mixture.model.get_submodule(target)
            assert isinstance(module, Mixed)
            state |= _averaged(mixture.kind, target, state, module.stacked(), shares)
    return state


def _averaged(
    kind: ExpertKind, target: str, state: dict[str, Tensor], stacked: dict[str, Tensor], shares_E: Tensor
) -> dict[str, Tensor]:
    """The target's weights, averaged over the experts: what :meth:`ExpertKind.average` computes with."""
    if kind.name == "ffn":
        shares = shares_E.to(stacked[PROJECTIONS[0]])
        return {f"{target}.{p}.weight": torch.einsum("e,eoi->oi", shares, stacked[p][1:]) for p in PROJECTIONS}
    if kind.name == "lora":
        weights = shares_E.to(stacked["scale"]) * stacked["scale"]
        delta = torch.einsum("e,eor,eri->oi", weights, stacked["b"], stacked["a"])
        return {f"{target}.weight": state[f"{target}.weight"] + delta}
    raise MixtureError(f"experts of the kind '{kind.name}' have no weights that a plain checkpoint could hold")


def _top_k(mixture: Mixture, slots: int) -> tuple[int, bool]:
    """The slots kept for a token, and whether their weights sum to one."""
    if mixture.router.name != "top-k":
        raise MixtureError(
            f"FlexOlmo and Mixtral route by a row of weights an expert, not as '{mixture.router.name}' does; {_REBUILD}"
        )
    for gate in mixture.gates:
        assert isinstance(gate, Gate)
        if bool(gate.state()["bias"].any()):
            raise MixtureError(
                "the router keeps trained biases, which FlexOlmo and Mixtral do not have; "
                "build the release again without: atoll mixture build --router top-k --option bias=false"
            )
    router = cast(_TopK, mixture.router)
    k = min(router.k, slots)
    return k, router.renormalise or k == slots  # with every slot kept there is nothing to scale


def _moe_class(plain: Any, slots: int, k: int, renormalise: bool) -> tuple[Any, Any]:
    from transformers import FlexOlmoConfig, FlexOlmoForCausalLM, MixtralConfig, MixtralForCausalLM

    common = {name: getattr(plain, name) for name in _SHARED}
    common |= {"num_experts_per_tok": k, "use_cache": True, "dtype": plain.dtype}
    if getattr(plain, "head_dim", None) is not None:
        common["head_dim"] = plain.head_dim
    if plain.model_type == "olmo2":
        own = {"attention_bias": plain.attention_bias, "num_experts": slots, "norm_topk_prob": renormalise}
        return FlexOlmoForCausalLM, FlexOlmoConfig(**common, **own)
    if plain.attention_bias or plain.mlp_bias:
        raise MixtureError("the anchor's linear modules have biases, which Mixtral's have not: it cannot be exported")
    if not renormalise:
        raise MixtureError(
            "Mixtral always scales the kept weights to sum to one, and this release's router does not; "
            "build it again with: atoll mixture build --router top-k --option renormalise=true"
        )
    return MixtralForCausalLM, MixtralConfig(**common, num_local_experts=slots, sliding_window=None)
