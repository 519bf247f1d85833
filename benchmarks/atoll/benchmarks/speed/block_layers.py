"""The experts of one feed-forward layer: transformers' kernels, a loop over modules, and Atoll's backends."""

from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralExperts

from atoll.benchmarks.speed.paired import CHOSEN, Contender
from atoll.mixture.backends.choose import choose_feed_forward
from atoll.mixture.backends.feed_forward import FeedForwardBackend, feed_forward
from atoll.mixture.routing import Routing

GROUPED = "transformers grouped_mm"
_KERNELS = ("grouped_mm", "eager", "batched_mm")
_GATHER_LIMIT = 2**30


class _Block(nn.Module):
    """One feed-forward block."""

    def __init__(self, gate_HD: Tensor, up_HD: Tensor, down_DH: Tensor) -> None:
        super().__init__()
        self.gate, self.up, self.down = (nn.Parameter(matrix.clone()) for matrix in (gate_HD, up_HD, down_DH))

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.silu(functional.linear(x, self.gate)) * functional.linear(x, self.up)
        return functional.linear(hidden, self.down)


def block_contenders(
    *, experts: int, tokens: int, width: int, hidden: int, chosen: int, device: torch.device
) -> tuple[list[Contender], list[str]]:
    """transformers' kernels first, then the loop over modules, then Atoll's backends, the one it would choose named so.

    All get the same routing, made beforehand: ``chosen`` experts a token, weights that sum to one.

    Returns:
        The contenders, and a sentence on each that was left out.
    """
    scores, slots_TK = torch.randn(tokens, experts, device=device).topk(chosen, dim=1)
    routing = Routing(slots_TK, scores.softmax(1))
    gate, up, down = (
        (torch.randn(experts, *shape, device=device) / shape[1] ** 0.5).requires_grad_()
        for shape in ((hidden, width), (hidden, width), (width, hidden))
    )

    picked = choose_feed_forward(device=device, dtype=gate.dtype, experts=experts, tokens=tokens, chosen=chosen)

    def mixed(backend: FeedForwardBackend) -> Contender:
        return Contender(
            f"Atoll {backend}{CHOSEN if backend == picked else ''}",
            lambda x_TD: feed_forward(x_TD, gate, up, down, routing, functional.silu, backend),
            [gate, up, down],
        )

    kernels, left_out = _kernels(gate, up, down, routing)
    backends = [mixed(backend) for backend in get_args(FeedForwardBackend) if backend != "dense"]
    return [*kernels, _loop_over_modules(gate, up, down, routing), *backends], left_out


def _kernels(gate: Tensor, up: Tensor, down: Tensor, routing: Routing) -> tuple[list[Contender], list[str]]:
    """transformers' implementations, as Mixtral and FlexOlmo models run them."""
    contenders, left_out = [], []
    for kernel in _KERNELS:
        # One copy of the three matrices for every choice of every token.
        gathered = routing.slots_TK.numel() * 3 * gate[0].numel() * gate.element_size()
        if kernel == "batched_mm" and gathered > _GATHER_LIMIT:
            left_out.append(f"transformers batched_mm with {len(gate)} experts: would copy {gathered / 2**30:.1f} GiB")
            continue
        module = _experts_module(gate, up, down, kernel)

        def forward(x_TD: Tensor, module: nn.Module = module) -> Tensor:
            y_TD: Tensor = module(x_TD, routing.slots_TK, routing.weights_TK)
            return y_TD

        contenders.append(Contender(f"transformers {kernel}", forward, list(module.parameters())))
    return contenders, left_out


def _experts_module(gate: Tensor, up: Tensor, down: Tensor, kernel: str) -> nn.Module:
    slots, hidden, width = gate.shape
    config = MixtralConfig(hidden_size=width, intermediate_size=hidden, num_local_experts=slots)
    config._experts_implementation = kernel  # What `set_experts_implementation` of a whole model sets.
    module: nn.Module = MixtralExperts(config).to(gate.device)
    with torch.no_grad():
        module.get_parameter("gate_up_proj").copy_(torch.cat([gate, up], dim=1))
        module.get_parameter("down_proj").copy_(down)
    return module


def _loop_over_modules(gate: Tensor, up: Tensor, down: Tensor, routing: Routing) -> Contender:
    """What one writes first: a module an expert, the tokens of each found by comparison."""
    blocks = nn.ModuleList(
        _Block(*(matrix.detach() for matrix in matrices)) for matrices in zip(gate, up, down, strict=True)
    )

    def forward(x_TD: Tensor) -> Tensor:
        y_TD = torch.zeros_like(x_TD)
        for slot, block in enumerate(blocks):
            token, choice = (routing.slots_TK == slot).nonzero(as_tuple=True)
            weight = routing.weights_TK[token, choice].unsqueeze(1)
            y_TD = y_TD.index_add(0, token, weight * block(x_TD[token]))
        return y_TD

    return Contender("loop over modules", forward, list(blocks.parameters()))
