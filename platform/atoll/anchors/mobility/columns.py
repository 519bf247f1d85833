"""A city's table of features, taken apart.

Shapes: n locations, P categories of points of interest, F = 2 P + 3 columns.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from atoll.anchors.mobility.architecture import MobilityArchitecture
from atoll.errors import DataError


class Columns(NamedTuple):
    """What is known of each location.

    Attributes:
        pois: [n, 2 P]: log(1 + counts) of points of interest, and their shares.
        coordinates: [n, 2], standardised over the city.
        rank: int64 [n], popularity rank; 0 where it is unknown.
    """

    pois: Tensor
    coordinates: Tensor
    rank: Tensor


class Parts(NamedTuple):
    """How much of a width D each of the columns gets: a quarter, an eighth, and the rest."""

    coordinates: int
    rank: int
    pois: int

    @classmethod
    def of(cls, width: int) -> "Parts":
        """Of a width that is a multiple of 8."""
        return cls(width // 4, width // 8, width - width // 4 - width // 8)


def take_apart(locations: Tensor, architecture: MobilityArchitecture, dtype: torch.dtype) -> Columns:
    """The columns of a table [n, F], numbers in ``dtype``.

    Raises:
        DataError: a table of another form than the anchor reads.
    """
    if locations.ndim != 2 or locations.shape[1] != architecture.columns:
        raise DataError(
            f"a table of locations of shape {tuple(locations.shape)}: this anchor reads [n, {architecture.columns}], "
            f"{architecture.pois} counts and shares of points of interest, two coordinates and a popularity rank"
        )
    pois = locations[:, : 2 * architecture.pois].clone()
    pois[:, : architecture.pois].clamp_(min=0).log1p_()
    rank = locations[:, -1].long().clamp(0, architecture.ranks - 1)
    return Columns(pois.to(dtype), locations[:, -3:-1].to(dtype), rank)
