"""What people of a city like, and when they move: the same for all of them, another in every city.

Shapes: R parts of the week, n locations, P categories of points of interest.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.features import BANDS
from atoll.workloads.mobility.generator_config import GeneratorConfig
from atoll.workloads.mobility.trajectories import DAYS, SLOTS

Doubles = NDArray[np.float64]

_PARTS = (6, 10, 14, 18, 22)
"""Hours at which a part of the day begins: morning, midday, afternoon, evening, night."""

_WEEKEND = 5
"""The first day of it."""

_PEAKS = {
    False: ((7.5, 1.0, 1.2), (12.5, 1.5, 0.9), (17.5, 1.7, 1.4), (20.5, 1.2, 0.5)),
    True: ((11.5, 2.2, 1.3), (16.5, 2.5, 1.2), (21.0, 1.5, 0.6)),
}
"""Hour, spread in hours and weight of what makes people move, on weekdays and at weekends."""

_QUIET = 0.01
"""The least of it, at night, relative to the weight of a peak of one hour."""


@dataclass(frozen=True, eq=False)
class Tastes:
    """What attracts, and when people move.

    Attributes:
        attraction: [R, n], of each location in each part of the week, at least 0.
        moves: [7, 48], mean of moves in a half-hour slot of a day; a weekday's sum to ``trips``.
        part: int64 [7, 48], which part of the week a slot is.
        morning: bool [7, 48], when people leave for work.
        night: bool [7, 48], when they are at home.
    """

    attraction: Doubles
    moves: Doubles
    part: NDArray[np.int64]
    morning: NDArray[np.bool_]
    night: NDArray[np.bool_]


def tastes_of(config: GeneratorConfig, city: City) -> Tastes:
    """Those of the city of this name, whatever its people."""
    rng = generator(config.taste_seed, "tastes", city.name)
    late = config.shift_hours * float(rng.standard_normal())
    hour = (np.arange(SLOTS) / 2 - late) % 24
    weekend = np.arange(DAYS) >= _WEEKEND
    of_day = (np.searchsorted(_PARTS, hour, side="right") - 1) % len(_PARTS)
    return Tastes(
        attraction=_attraction(config, city, rng),
        moves=config.trips * np.stack([_rhythm(hour, bool(free)) for free in weekend]),
        part=of_day + len(_PARTS) * weekend[:, None],
        morning=((hour >= 6) & (hour < 10)) & ~weekend[:, None],
        night=np.broadcast_to((hour >= 23) | (hour < 5), (DAYS, SLOTS)),
    )


def generator(seed: int, purpose: str, name: str) -> np.random.Generator:
    """Random numbers of their own for each purpose in each city."""
    digest = hashlib.sha256(f"{seed} {purpose} {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _attraction(config: GeneratorConfig, city: City, rng: np.random.Generator) -> Doubles:
    """How many points of interest there are, how much their categories attract on average, and popularity."""
    parts = 2 * len(_PARTS)
    common = _drawn(np.random.default_rng(0), parts, city.pois)
    own = _drawn(rng, parts, city.pois)
    weights = np.exp(config.common_tastes * common + config.tastes * own)
    # A place where nothing was counted has a little of everything, so that it can be visited.
    offered = city.counts.astype(np.float64) + _LITTLE / city.pois
    total = offered.sum(1)
    middles = (np.array((*BANDS, 100)) + np.array((0, *BANDS))) / 2
    # Where ranks are unknown all are taken to be in the middle.
    top = np.concatenate(([50.0], middles))[city.ranks]
    attraction: Doubles = total**config.size * (weights @ (offered.T / total)) * top**-config.popularity
    return attraction


_LITTLE = 0.5


def _drawn(rng: np.random.Generator, parts: int, pois: int) -> Doubles:
    """Standard normal, [R, P]: half of the variance is a category's for the whole week."""
    whole, part = rng.standard_normal(pois), rng.standard_normal((parts, pois))
    drawn: Doubles = (whole + part) / np.sqrt(2)
    return drawn


def _rhythm(hour: Doubles, weekend: bool) -> Doubles:
    """Share of a day's moves in each slot."""
    found = np.full(len(hour), _QUIET)
    for at, spread, weight in _PEAKS[weekend]:
        apart = (hour - at + 12) % 24 - 12
        found += weight * np.exp(-0.5 * (apart / spread) ** 2) / spread
    share: Doubles = found / found.sum()
    return share
