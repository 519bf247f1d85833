"""A made city: where its locations are, and what is there.

Shapes: n locations, P categories of points of interest.
"""

import numpy as np
from numpy.typing import NDArray

from atoll.workloads.mobility.city import CELL_KM, City
from atoll.workloads.mobility.features import POIS, location_features, popularity_ranks, standardised
from atoll.workloads.mobility.generator_config import GeneratorConfig
from atoll.workloads.mobility.generator_tastes import generator

_USES = 9
"""Kinds of districts: each has points of interest of some categories."""


def make_city(config: GeneratorConfig, name: str) -> City:
    """A city with centres, districts and suburbs, on a grid of half a kilometre.

    The number of centres, how dense they are and what its districts offer differ from city to city. Towards a centre
    there are more points of interest, in number log-normal; popularity ranks follow them, with noise.

    Args:
        config: Its ``locations`` and ``map_seed``.
        name: What to call the city; part of what decides how it looks.

    Raises:
        ConfigError: a value that makes no sense.
    """
    config.check()
    rng = generator(config.map_seed, "map", name)
    cells, density = _built_up(config.locations, rng)
    total = np.ceil(np.exp(rng.normal(2.0, 1.0, len(cells))) * (density / np.median(density)) ** 0.7)
    counts = rng.multinomial(np.minimum(total, 2000).astype(np.int64), _districts(cells, rng))
    visits = total**0.7 * np.exp(rng.normal(0, 0.5, len(cells)))
    features = location_features(counts, standardised(cells), popularity_ranks(visits))
    return City(name, features, (cells * CELL_KM).astype(np.float32))


def _built_up(locations: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Column and row of each location, [n, 2], and how near the centres it is, [n]."""
    area = locations / rng.uniform(0.4, 0.8)
    aspect = rng.uniform(0.6, 1.6)
    columns, rows = int(np.ceil(np.sqrt(area * aspect))), int(np.ceil(np.sqrt(area / aspect)))
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    centres = rng.uniform(0.15, 0.85, (int(rng.integers(1, 6)), 2)) * (columns, rows)
    reach = rng.uniform(0.08, 0.25, len(centres)) * np.sqrt(area)
    apart = np.linalg.norm(grid[:, None] - centres, axis=2)
    density = (rng.uniform(0.3, 1.0, len(centres)) * np.exp(-apart / reach)).sum(1) + 0.01
    # The largest of log weight + Gumbel noise are a draw by weight without replacement.
    chosen = np.sort(np.argsort(-(np.log(density) + rng.gumbel(size=len(grid))), kind="stable")[:locations])
    return grid[chosen], density[chosen]


def _districts(cells: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Shares of the categories at each location, [n, P]: those of its district, and some of its own."""
    common = rng.dirichlet(np.full(POIS, 0.4))
    uses = rng.dirichlet(np.full(POIS, 0.03), _USES) + 0.05 * common
    seats = rng.uniform(cells.min(0), cells.max(0) + 1, (4 * _USES, 2))
    district = np.linalg.norm(cells[:, None] - seats, axis=2).argmin(1) % _USES
    mixed = 0.5 * np.eye(_USES)[district] + 0.5 * rng.dirichlet(np.full(_USES, 0.1), len(cells))
    shares = mixed @ uses
    normalised: NDArray[np.float64] = shares / shares.sum(1, keepdims=True)
    return normalised
