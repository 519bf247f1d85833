"""What can be said of the next location without a model.

Shapes: B trajectories, S positions, n locations of the city.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from atoll.workloads.mobility.trajectories import Trajectories

_SHARE = 0.5
"""How much of :func:`most_visited` is the trajectory's own."""


def popularity(train: Trajectories, locations: int) -> Tensor:
    """Logarithm of the share of a city's training visits that each location has, [n]; one visit is added to each."""
    visits = torch.bincount(torch.from_numpy(train.location).long(), minlength=locations).float() + 1
    return (visits / visits.sum()).log()


def most_popular(popular: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """The same for everybody, whatever was done so far: scores, [B, S, n]."""
    return popular.expand(*batch["location"].shape, -1)


def most_visited(popular: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Places in proportion to the trajectory's visits so far, half and half with popularity: scores, [B, S, n].

    Where one is does not count, since nobody moves there; this is preferential return without its exploration.
    """
    here = one_hot(batch["location"], len(popular)) * batch["mask"].unsqueeze(-1)
    visits = here.cumsum(1).masked_fill(here > 0, 0).float()
    total = visits.sum(-1, keepdim=True)
    own = _SHARE * (total > 0) * visits / total.clamp_min(1)
    return (own + (1 - own.sum(-1, keepdim=True)) * popular.exp()).log()
