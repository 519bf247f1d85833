"""One linear module with LoRA experts beside it: PEFT's Arrow, a loop over modules, and Atoll's backends.

All hold the same adapters and route as Arrow does (Ostapenko et al. 2024, arXiv 2405.11157): the score of an expert is
the absolute product of the token with the first right singular vector of ``B A``; a softmax over the best few gives the
weights.
"""

import tempfile
from pathlib import Path
from typing import get_args

import torch
from peft import ArrowConfig, LoraConfig, create_arrow_model
from safetensors.torch import save_file
from torch import Tensor, nn

from atoll.benchmarks.speed.paired import CHOSEN, Contender
from atoll.mixture.backends.choose import choose_lora
from atoll.mixture.backends.lora import LoraBackend, lora_delta
from atoll.mixture.routing import Routing

ARROW = "PEFT Arrow"
_SCALE = 2


class _OneLinear(nn.Module):
    """The smallest model that PEFT can wrap."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return out


def lora_contenders(
    *, experts: int, tokens: int, width: int, rank: int, chosen: int, device: torch.device
) -> list[Contender]:
    """Arrow first, then the loop over modules, then Atoll's backends; the name of the one it would choose says so."""
    a_ERD = torch.randn(experts, rank, width) / width**0.5
    b_EOR = torch.randn(experts, width, rank) / rank**0.5
    arrow = _arrow_layer(a_ERD, b_EOR, chosen).to(device)
    base = arrow.get_submodule("base_layer")
    a, b = (tensor.to(device).requires_grad_() for tensor in (a_ERD, b_EOR))
    scale = torch.full((experts,), float(_SCALE), device=device)
    arrow_parameters = [p.requires_grad_() for name, p in arrow.named_parameters() if ".task_" in name]
    arrow(torch.zeros(1, width, device=device))  # Arrow makes its prototypes at its first call.
    prototypes = arrow.get_buffer("lora_arrow.arrow_router.prototypes")

    picked = choose_lora(device=device, dtype=a.dtype, rank=rank, experts=experts, tokens=tokens, chosen=chosen)

    def mixed(backend: LoraBackend) -> Contender:
        def forward(x_TD: Tensor) -> Tensor:
            routing = _arrow_routing(x_TD, prototypes, chosen)
            y_TO: Tensor = base(x_TD)
            return y_TO + lora_delta(x_TD, a, b, scale, routing, backend)

        return Contender(f"Atoll {backend}{CHOSEN if backend == picked else ''}", forward, [a, b])

    return [
        Contender(ARROW, arrow, arrow_parameters),
        _loop_over_modules(base, a_ERD, b_EOR, prototypes, chosen),
        *(mixed(backend) for backend in get_args(LoraBackend) if backend != "dense"),
    ]


def _arrow_layer(a_ERD: Tensor, b_EOR: Tensor, chosen: int) -> nn.Module:
    """PEFT's layer, by PEFT's own way: adapters in folders, then ``create_arrow_model``."""
    rank, width = a_ERD.shape[1:]
    prefix = "base_model.model.linear"
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, str(expert)) for expert in range(len(a_ERD))]
        for path, a, b in zip(paths, a_ERD, b_EOR, strict=True):
            path.mkdir()
            LoraConfig(r=rank, lora_alpha=_SCALE * rank, target_modules=["linear"]).save_pretrained(str(path))
            weights = {f"{prefix}.lora_A.weight": a.contiguous(), f"{prefix}.lora_B.weight": b.contiguous()}
            save_file(weights, path / "adapter_model.safetensors")
        config = ArrowConfig(top_k=chosen, rng_seed=0)
        # Annotated for transformers' models, made for any module.
        model = create_arrow_model(_OneLinear(width), [str(path) for path in paths], config)  # type: ignore[arg-type]
    layer: nn.Module = model.get_submodule(prefix)
    return layer


def _arrow_routing(x_TD: Tensor, prototypes_ED: Tensor, chosen: int) -> Routing:
    scores_TK, experts_TK = (x_TD @ prototypes_ED.T).abs().topk(chosen, dim=1)
    return Routing(experts_TK + 1, scores_TK.softmax(1))


def _loop_over_modules(base: nn.Module, a_ERD: Tensor, b_EOR: Tensor, prototypes_ED: Tensor, chosen: int) -> Contender:
    """What one writes first: a module an expert, the tokens of each found by comparison."""
    adapters = nn.ModuleList(_adapter(a, b) for a, b in zip(a_ERD, b_EOR, strict=True)).to(prototypes_ED.device)

    def forward(x_TD: Tensor) -> Tensor:
        routing = _arrow_routing(x_TD, prototypes_ED, chosen)
        y_TO: Tensor = base(x_TD)
        for slot, adapter in enumerate(adapters, start=1):
            token, choice = (routing.slots_TK == slot).nonzero(as_tuple=True)
            weight = _SCALE * routing.weights_TK[token, choice].unsqueeze(1)
            y_TO = y_TO.index_add(0, token, weight * adapter(x_TD[token]))
        return y_TO

    return Contender("loop over modules", forward, list(adapters.parameters()))


def _adapter(a_RD: Tensor, b_OR: Tensor) -> nn.Module:
    down = nn.Linear(a_RD.shape[1], a_RD.shape[0], bias=False)
    up = nn.Linear(b_OR.shape[1], b_OR.shape[0], bias=False)
    with torch.no_grad():
        down.weight.copy_(a_RD)
        up.weight.copy_(b_OR)
    return nn.Sequential(down, up)
