"""The candidate tower: every location of a city as something to be predicted.

A Deep & Cross network (Wang et al. 2017, arXiv 1708.05123) over the same features as the encoder's, with weights of its
own: two cross layers, x' = x0 (w·x) + b + x (its equation 3), beside a perceptron, and a linear map of both.
Shapes: n locations, D width, W width of the input to the crosses.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from atoll.anchors.mobility.architecture import MobilityArchitecture
from atoll.anchors.mobility.columns import Parts, take_apart

_CROSSES = 2


class CandidateTower(nn.Module):
    """Candidates of a city, from its table of features."""

    def __init__(self, architecture: MobilityArchitecture) -> None:
        super().__init__()
        width = architecture.hidden_size
        self._architecture = architecture
        parts = Parts.of(width)
        self.coordinates = nn.Linear(2, parts.coordinates)
        self.rank = nn.Embedding(architecture.ranks, parts.rank)
        self.pois = nn.Linear(2 * architecture.pois, parts.pois)
        self.crosses = nn.ModuleList(nn.Linear(width, 1, bias=False) for _ in range(_CROSSES))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(_CROSSES))
        self.deep = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.project = nn.Linear(2 * width, width)

    def forward(self, locations: Tensor) -> Tensor:
        """[n, F] to [n, D]."""
        known = take_apart(locations, self._architecture, self.coordinates.weight.dtype)
        parts = [self.coordinates(known.coordinates), self.rank(known.rank), self.pois(known.pois)]
        first = functional.layer_norm(torch.cat(parts, -1), (self._architecture.hidden_size,))
        crossed = first
        for weight, bias in zip(self.crosses, self.biases, strict=True):
            crossed = first * weight(crossed) + bias + crossed
        candidates: Tensor = self.project(torch.cat([crossed, self.deep(first)], -1))
        return candidates
