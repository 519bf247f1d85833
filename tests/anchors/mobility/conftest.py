"""A toy mobility anchor and batches of random trajectories in random cities."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from atoll.anchors import Anchor
from atoll.testing import toy_mobility_anchor

Batch = dict[str, Tensor]


def random_locations(count: int, pois: int = 34, seed: int = 0) -> Tensor:
    """A table of features, [n, 2 P + 3]."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, 50, (count, pois), generator=generator).float()
    rank = torch.randint(1, 9, (count, 1), generator=generator).float()
    places = torch.randn(count, 2, generator=generator)
    return torch.cat([counts, counts / counts.sum(1, keepdim=True).clamp_min(1), places, rank], 1)


def random_batch(lengths: list[int], count: int = 30, seed: int = 0, pois: int = 34) -> Batch:
    """Trajectories of these lengths in a city of ``count`` locations, padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    mask = torch.arange(shape[1]) < torch.tensor(lengths)[:, None]

    def whole(high: int) -> Tensor:
        return torch.randint(0, high, shape, generator=generator) * mask

    def real(high: float) -> Tensor:
        drawn = high * torch.rand(shape, generator=generator) * mask
        drawn[:, 0] = 0
        return drawn

    return {
        "location": whole(count),
        "day": whole(7),
        "slot": whole(48),
        "wait": real(20),
        "jump": real(10),
        "radius": 5 * torch.rand(len(lengths), generator=generator),
        "entropy": 2 * torch.rand(len(lengths), generator=generator),
        "mask": mask,
        "locations": random_locations(count, pois, seed),
    }


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    return toy_mobility_anchor(tmp_path_factory.mktemp("mobility"))


@pytest.fixture
def batch() -> Callable[..., Batch]:
    return random_batch
