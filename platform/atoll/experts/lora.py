"""Kind ``lora``: a low-rank change of chosen linear modules (Hu et al. 2021, arXiv 2106.09685), as a PEFT adapter."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from atoll.errors import PackageError
from atoll.mixture.backends.choose import choose_lora
from atoll.mixture.backends.lora import lora_delta
from atoll.mixture.kind import ExpertKind, Settings, Site
from atoll.mixture.routing import Routing

_PREFIX = "base_model.model."


@final
class Lora(ExpertKind):
    """``f_e(x) = W x + (alpha / rank) B_e A_e x`` on linear modules; tokens are routed once for all linears of a block.

    The site of a linear module is its parent: what enters the attention or the feed-forward block is what the router
    sees. Settings on the card: ``rank``, ``alpha``.
    """

    name: ClassVar[str] = "lora"
    weights_file: ClassVar[str] = "adapter_model.safetensors"
    trainable: ClassVar[bool] = True

    def example(self, blocks: Sequence[str]) -> tuple[tuple[str, ...], Settings]:
        """The blocks' first and last linear modules, rank 2."""
        targets = [f"{block}.{name}" for block in blocks for name in ("gate_proj", "down_proj")]
        return tuple(targets), {"rank": 2, "alpha": 4.0}

    def sites(self, targets: Sequence[str]) -> tuple[Site, ...]:
        """The targets' parents, each once."""
        grouped: dict[str, list[str]] = {}
        for target in targets:
            grouped.setdefault(target.rpartition(".")[0], []).append(target)
        return tuple(Site(parent, tuple(children)) for parent, children in grouped.items())

    def expected_shapes(
        self, anchor: Mapping[str, tuple[int, ...]], targets: Sequence[str], settings: Settings
    ) -> dict[str, tuple[int, ...]]:
        """A [rank, in] and B [out, rank] for every target, under PEFT's names."""
        rank = settings.get("rank")
        if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= 4096:
            raise PackageError(f"package: a LoRA expert's card must give a rank between 1 and 4096, not {rank!r}")
        if not isinstance(settings.get("alpha"), int | float):
            raise PackageError(f"package: a LoRA expert's card must give alpha, not {settings.get('alpha')!r}")
        expected: dict[str, tuple[int, ...]] = {}
        for target in targets:
            shape = anchor.get(f"{target}.weight")
            if shape is None or len(shape) != 2:
                raise PackageError(f"package: '{target}' is no linear module of this anchor")
            expected[f"{_PREFIX}{target}.lora_A.weight"] = (rank, shape[1])
            expected[f"{_PREFIX}{target}.lora_B.weight"] = (shape[0], rank)
        return expected

    def unpack(self, target: str, weights: Mapping[str, Tensor], settings: Settings) -> dict[str, Tensor]:
        """A [R, D], B [O, R] and the scale alpha / rank as a scalar."""
        a = weights[f"{_PREFIX}{target}.lora_A.weight"]
        scale = float(settings["alpha"]) / float(settings["rank"])
        return {"a": a, "b": weights[f"{_PREFIX}{target}.lora_B.weight"], "scale": torch.tensor(scale)}

    def start(
        self, target: str, module: nn.Module, settings: Settings, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """A drawn as PEFT draws it, uniformly within 1 / sqrt(in); B zero, so that nothing is changed yet."""
        weight = module.weight
        assert isinstance(weight, Tensor)
        rank, bound = int(settings["rank"]), weight.shape[1] ** -0.5
        a = torch.empty(rank, weight.shape[1]).uniform_(-bound, bound, generator=generator)
        return self.pack(target, {"a": a, "b": torch.zeros(weight.shape[0], rank)})

    def pack(self, target: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A and B under PEFT's names; the scale is the settings' affair."""
        return {
            f"{_PREFIX}{target}.lora_A.weight": tensors["a"],
            f"{_PREFIX}{target}.lora_B.weight": tensors["b"],
        }

    def learned(self, site: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Nothing: a PEFT adapter has no row of a router."""
        return {}

    def stack(self, module: nn.Module, experts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """A [E, R, D], B [E, O, R] and scale [E]; lower ranks are padded with zeros, which changes nothing."""
        weight = module.weight
        assert isinstance(weight, Tensor)
        rank = max(expert["a"].shape[0] for expert in experts)
        a = [functional.pad(e["a"].to(weight), (0, 0, 0, rank - e["a"].shape[0])) for e in experts]
        b = [functional.pad(e["b"].to(weight), (0, rank - e["b"].shape[1])) for e in experts]
        return {
            "a": torch.stack(a),
            "b": torch.stack(b),
            "scale": torch.stack([e["scale"] for e in experts]).to(weight),
        }

    def mix(self, module: nn.Module, stacked: Mapping[str, Tensor], x_TD: Tensor, routing: Routing) -> Tensor:
        """The anchor's output plus the weighted changes; weights need not sum to one, since slot 0 changes nothing."""
        a = stacked["a"]
        backend = choose_lora(
            device=x_TD.device,
            dtype=x_TD.dtype,
            rank=a.shape[1],
            experts=a.shape[0],
            tokens=x_TD.shape[0],
            chosen=routing.slots_TK.shape[1],
        )
        anchor: Tensor = module(x_TD)
        return anchor + lora_delta(x_TD, a, stacked["b"], stacked["scale"], routing, backend)

    def average(self, module: nn.Module, stacked: Mapping[str, Tensor], x_TD: Tensor, shares_N: Tensor) -> Tensor:
        """The linear module with the average change ``Σ_e share_e scale_e B_e A_e`` (not the average of A and of B)."""
        anchor: Tensor = module(x_TD)
        weights = shares_N[1:].to(x_TD) * stacked["scale"]
        hidden = torch.einsum("td,erd->ter", x_TD, stacked["a"]) * weights[:, None]
        return anchor + torch.einsum("ter,eor->to", hidden, stacked["b"])
