"""Cities and trajectories for tests."""

from dataclasses import fields

import numpy as np
from hypothesis import strategies as st

from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.features import location_features, popularity_ranks, standardised
from atoll.workloads.mobility.trajectories import Trajectories, starts

COLUMNS = tuple(field.name for field in fields(Trajectories))


def city(locations: int = 20, seed: int = 0, pois: int = 34) -> City:
    """Locations on a grid 10 wide, 1 km apart."""
    rng = np.random.default_rng(seed)
    cells = np.stack((np.arange(locations) % 10, np.arange(locations) // 10), axis=1)
    counts = rng.poisson(0.5, (locations, pois))
    features = location_features(counts, standardised(cells), popularity_ranks(rng.permutation(locations)))
    return City("toy", features, cells.astype(np.float32))


@st.composite
def trajectories(draw: st.DrawFn, locations: int = 20, least: int = 0, longest: int = 12) -> Trajectories:
    lengths = draw(st.lists(st.integers(1, longest), min_size=least, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reals = st.floats(0, float(np.finfo(np.float32).max), width=32)
    count, visits = len(lengths), sum(lengths)
    few = np.array(draw(st.lists(reals, min_size=4, max_size=4)), dtype=np.float32)
    return Trajectories(
        rng.integers(-(2**63), 2**63, count),
        rng.choice(few, count),
        rng.exponential(1, count).astype(np.float32),
        starts(lengths),
        rng.integers(0, locations, visits).astype(np.int32),
        rng.integers(0, 7, visits).astype(np.int8),
        rng.integers(0, 48, visits).astype(np.int8),
        rng.integers(0, 96, visits).astype(np.float32),
        rng.choice(few, visits),
    )


def same(one: Trajectories, other: Trajectories) -> bool:
    """Whether two values agree in every column, types included."""
    pairs = [(getattr(one, name), getattr(other, name)) for name in COLUMNS]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
