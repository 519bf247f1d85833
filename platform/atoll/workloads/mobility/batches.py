"""Trajectories of one city as a batch of the mobility model.

Shapes: B sequences, S positions, n locations, F columns.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from atoll.errors import ConfigError
from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.trajectories import Trajectories

Batch = dict[str, Tensor]
"""Keyword arguments of the mobility model: ``location``, ``day``, ``slot`` int64 [B, S] (0 at padding), ``wait``,
``jump`` float32 [B, S] (0 at padding), ``radius``, ``entropy`` float32 [B], ``mask`` bool [B, S] (False at padding,
which is on the right) and ``locations`` float32 [n, F], the city's features."""

_KINDS: dict[str, type[np.generic]] = {
    "location": np.int64,
    "day": np.int64,
    "slot": np.int64,
    "wait": np.float32,
    "jump": np.float32,
}


def collate(trajectories: Trajectories, indices: Sequence[int] | ArrayLike, city: City) -> Batch:
    """These trajectories side by side, padded to the longest of them.

    ``locations`` shares memory with the city's features: nothing may be written into it.

    Raises:
        ConfigError: no indices.
        IndexError: no such trajectory, or a location that the city does not have.
    """
    chosen = trajectories.select(indices)
    if not len(chosen):
        raise ConfigError("mobility: a batch of no trajectories; name at least one")
    if chosen.location.max() >= city.n:
        raise IndexError(f"city '{city.name}' has locations 0 to {city.n - 1}, not {chosen.location.max()}")
    mask = np.arange(chosen.lengths.max()) < chosen.lengths[:, None]
    batch = {name: _padded(getattr(chosen, name), mask, kind) for name, kind in _KINDS.items()}
    return batch | {
        "radius": torch.from_numpy(chosen.radius),
        "entropy": torch.from_numpy(chosen.entropy),
        "mask": torch.from_numpy(mask),
        "locations": torch.from_numpy(city.features),
    }


def _padded(values: NDArray[np.generic], mask: NDArray[np.bool_], kind: type[np.generic]) -> Tensor:
    table = np.zeros(mask.shape, dtype=kind)
    # Rows of the mask are filled from the left, so that visits fall into it in their order.
    table[mask] = values
    return torch.from_numpy(table)
