"""Trajectories of one city as a batch of the mobility model, and which of them come when.

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
from atoll.workloads.text.order import shuffled

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


def batch_indices(step: int, size: int, seed: int, count: int) -> list[int]:
    """Which of ``count`` training trajectories make up the batch of one step.

    It depends on nothing but the arguments, so a run goes on after a kill with what would have come. Every epoch takes
    each trajectory once, in an order of its own; a batch may reach over the end of an epoch.

    Raises:
        ConfigError: a negative step, or a batch or data without anything in it.
    """
    _at_least(0, step=step)
    _at_least(1, size=size, count=count)
    places = (divmod(number, count) for number in range(step * size, (step + 1) * size))
    return [shuffled(place, count, seed, epoch) for epoch, place in places]


def evaluation_indices(count: int, limit: int | None = None) -> list[int]:
    """All of ``count`` trajectories in order, or ``limit`` evenly spaced ones.

    Raises:
        ConfigError: a limit of less than one.
    """
    _at_least(1, limit=1 if limit is None else limit)
    if limit is None or limit >= count:
        return list(range(count))
    return [number * count // limit for number in range(limit)]


def _padded(values: NDArray[np.generic], mask: NDArray[np.bool_], kind: type[np.generic]) -> Tensor:
    table = np.zeros(mask.shape, dtype=kind)
    # Rows of the mask are filled from the left, so that visits fall into it in their order.
    table[mask] = values
    return torch.from_numpy(table)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"mobility: {name}={value} must be at least {least}")
