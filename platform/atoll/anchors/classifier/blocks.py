"""Residual gated feed-forward blocks, whose modules have the names that experts of every kind target.

Shapes: B samples, S positions (one here), D width, H width of a block.
"""

import torch
from torch import Tensor, nn


class GatedBlock(nn.Module):
    """``W_down (silu(W_gate x) * W_up x)``, without biases (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x_BSD: Tensor) -> Tensor:
        """[B, S, D] to [B, S, D]."""
        mixed: Tensor = self.down_proj(self.act_fn(self.gate_proj(x_BSD)) * self.up_proj(x_BSD))
        return mixed


class Layer(nn.Module):
    """A block with a norm before it and a residual around it."""

    def __init__(self, width: int, inner: int, epsilon: float) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=epsilon)
        self.mlp = GatedBlock(width, inner)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """[B, S, D] to [B, S, D]."""
        after: Tensor = x_BSD + self.mlp(self.norm(x_BSD))
        return after


class Trunk(nn.Module):
    """Layers one after the other."""

    def __init__(self, width: int, inner: int, layers: int, epsilon: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, inner, epsilon) for _ in range(layers))
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=width**-0.5)
        with torch.no_grad():  # so that the stream begins as what the stem says
            for layer in self.layers:
                assert isinstance(layer, Layer)
                layer.mlp.down_proj.weight.mul_(0.5 * (width / inner) ** 0.5)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """[B, S, D] to [B, S, D]."""
        for layer in self.layers:
            x_BSD = layer(x_BSD)
        return x_BSD
