"""The shared encoder of locations: an embedding from what is known of a place, never from its number.

So a city that was never seen has embeddings, and cities that share no vocabulary share the encoder (MoveGCL,
arXiv 2506.06694). Shapes: n locations, D width.
"""

import torch
from torch import Tensor, nn

from atoll.anchors.mobility.architecture import MobilityArchitecture
from atoll.anchors.mobility.columns import Parts, take_apart


class LocationEncoder(nn.Module):
    """Coordinates to D/4, popularity rank to D/8, points of interest to the rest; then a projection of all three.

    MoveGCL gives half of the width to the two coordinates, which a linear map fills with copies; what a city's people
    like is told by the many categories of points of interest, and experts cannot learn what the frozen encoder drops.
    """

    def __init__(self, architecture: MobilityArchitecture) -> None:
        super().__init__()
        width = architecture.hidden_size
        self._architecture = architecture
        parts = Parts.of(width)
        self.coordinates = nn.Linear(2, parts.coordinates)
        self.rank = nn.Embedding(architecture.ranks, parts.rank)
        self.pois = nn.Sequential(nn.Linear(2 * architecture.pois, width), nn.SiLU(), nn.Linear(width, parts.pois))
        self.project = nn.Sequential(nn.SiLU(), nn.Linear(width, width))

    def forward(self, locations: Tensor) -> Tensor:
        """[n, F] to [n, D]."""
        known = take_apart(locations, self._architecture, self.coordinates.weight.dtype)
        parts = [self.coordinates(known.coordinates), self.rank(known.rank), self.pois(known.pois)]
        joined = torch.cat(parts, -1)
        mixed: Tensor = joined + self.project(joined)
        return mixed
