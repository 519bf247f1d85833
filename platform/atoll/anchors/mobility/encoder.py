"""The shared encoder of locations: an embedding from what is known of a place, never from its number.

So a city that was never seen has embeddings, and cities that share no vocabulary share the encoder (MoveGCL,
arXiv 2506.06694). Shapes: n locations, D width.
"""

import torch
from torch import Tensor, nn

from atoll.anchors.mobility.architecture import MobilityArchitecture
from atoll.anchors.mobility.columns import take_apart


class LocationEncoder(nn.Module):
    """Coordinates to D/2, popularity rank to D/4, points of interest to D/4; then a projection of all three."""

    def __init__(self, architecture: MobilityArchitecture) -> None:
        super().__init__()
        width = architecture.hidden_size
        self._architecture = architecture
        self.coordinates = nn.Linear(2, width // 2)
        self.rank = nn.Embedding(architecture.ranks, width // 4)
        self.pois = nn.Sequential(
            nn.Linear(2 * architecture.pois, width // 2), nn.SiLU(), nn.Linear(width // 2, width // 4)
        )
        self.project = nn.Sequential(nn.SiLU(), nn.Linear(width, width))

    def forward(self, locations: Tensor) -> Tensor:
        """[n, F] to [n, D]."""
        known = take_apart(locations, self._architecture, self.coordinates.weight.dtype)
        parts = [self.coordinates(known.coordinates), self.rank(known.rank), self.pois(known.pois)]
        joined = torch.cat(parts, -1)
        mixed: Tensor = joined + self.project(joined)
        return mixed
