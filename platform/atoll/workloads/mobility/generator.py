"""Trajectories of people who never were: exploration and preferential return through days and nights.

See :class:`atoll.workloads.mobility.generator_config.GeneratorConfig` for the laws and where they are published.
Shapes: U users, K of them that move, n locations, V visits.
"""

import numpy as np
from numpy.typing import NDArray

from atoll.errors import ConfigError
from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.generator_config import GeneratorConfig
from atoll.workloads.mobility.generator_map import make_city
from atoll.workloads.mobility.generator_tastes import Doubles, generator, tastes_of
from atoll.workloads.mobility.measures import measured
from atoll.workloads.mobility.trajectories import DAYS, SLOTS, Trajectories

__all__ = ["generate", "make_city"]

WINDOW_DAYS = 3
"""Days of a trajectory, as in MoveGCL's published lines."""

_GOES_HOME = 0.4
"""Of those who are out at night, how many go home in a slot."""

_MOST = 0.95
"""The greatest probability to move in a slot."""

_NEAREST_KM = 0.25
"""Shorter distances are taken for this one: a circle of no length has no places."""

_LEAST = 1e-30
"""Density far beyond the cutoff, so that there is somewhere to go from everywhere."""

Ints = NDArray[np.int64]


def generate(config: GeneratorConfig, city: City) -> Trajectories:
    """What ``config.users`` people do in ``config.days`` days, in windows of three days.

    A window begins with where its user is at midnight; then there is a visit whenever the user moves, at most one a
    half-hour slot. The city's name and the configuration decide everything: another city changes nothing.

    Args:
        config: The people and the laws.
        city: Where they live; made by :func:`make_city`, or read from a table of locations.

    Returns:
        Trajectories, sorted by user and time, of at least two visits each, with quantities in km and nats.

    Raises:
        ConfigError: a value that makes no sense, or a city with a single location.
    """
    config.check()
    if city.n < 2:
        raise ConfigError(f"mobility: generator: city '{city.name}' has {city.n} location; nobody can go anywhere")
    crowd = _Crowd(config, city)
    users, times, places = [], [], []
    for slot in range(config.days * SLOTS):
        who = np.arange(config.users) if slot % (WINDOW_DAYS * SLOTS) == 0 else crowd.step(slot)
        users.append(who)
        times.append(np.full(len(who), slot))
        places.append(crowd.here[who])
    return _windows(np.concatenate(users), np.concatenate(times), np.concatenate(places), city)


def decay(kilometres: NDArray[np.float32], config: GeneratorConfig) -> NDArray[np.float32]:
    """How much a place attracts at this distance, relative to its attraction, float32.

    The density of jump lengths over the length of the circle: on a plane that is evenly filled, lengths have that
    density.
    """
    logarithm = -config.jump_exponent * np.log(kilometres + config.jump_offset_km) - kilometres / config.jump_cutoff_km
    found: NDArray[np.float32] = np.maximum(np.exp(logarithm), _LEAST) / np.maximum(kilometres, _NEAREST_KM)
    return found


class _Crowd:
    """The people of a city, and what each has done so far."""

    def __init__(self, config: GeneratorConfig, city: City) -> None:
        self._config, self._city, self._tastes = config, city, tastes_of(config, city)
        self._rng = generator(config.seed, "people", city.name)
        attraction = self._tastes.attraction
        self._fits = (attraction / attraction.mean(0)) ** config.habit
        self._rate = np.exp(config.variety * self._rng.standard_normal(config.users) - config.variety**2 / 2)
        self._home = self._homes()
        self._work = self._works()
        self.here = self._home.copy()
        self._visits = np.zeros(config.users, dtype=np.int64)
        self._past = np.zeros((config.users, config.days * SLOTS + 2), dtype=np.int64)
        self._seen = np.zeros((config.users, city.n), dtype=np.bool_)
        self._known = np.zeros(config.users, dtype=np.int64)
        everyone = np.arange(config.users)
        self._note(everyone, self._home)
        workers = everyone[self._work >= 0]
        self._note(workers, self._work[workers])

    def step(self, slot: int) -> Ints:
        """Let people move in the slot, counted from the first midnight; who did, sorted."""
        day, time = slot // SLOTS % DAYS, slot % SLOTS
        night = self._tastes.night[day, time]
        out = self.here != self._home
        chance = np.minimum(self._rate * self._tastes.moves[day, time], _MOST)
        if night:
            chance = np.where(out, _GOES_HOME, chance)
        who = np.flatnonzero(self._rng.random(len(chance)) < chance)
        chosen = self._rng.random((3, len(who)))
        homeward = out[who] & (chosen[0] < (1 if night else self._config.home))
        at_home = ~out[who] & (self._work[who] >= 0) & self._tastes.morning[day, time]
        to_work = at_home & (chosen[1] < self._config.commute)
        known = self._known[who]
        explores = chosen[2] < self._config.exploration * known**-self._config.slowing
        # Somebody who knows no other place has none to return to, and who knows all has none to explore.
        explores = (explores | (known == 1)) & (known < self._city.n)
        explores &= ~(homeward | to_work)
        back = ~(homeward | to_work | explores)
        target = np.where(homeward, self._home[who], self._work[who])
        part = int(self._tastes.part[day, time])
        target[explores] = self._explored(who[explores], part)
        target[back] = self._returned(who[back], part)
        self.here[who] = target
        self._note(who, target)
        return who

    def _explored(self, who: Ints, part: int) -> Ints:
        """A place that each has not seen yet, by attraction and distance, [K]."""
        weights = decay(self._city.distances(self.here[who]), self._config) * self._tastes.attraction[part]
        return _draw(np.where(self._seen[who], 0, weights), self._rng)

    def _returned(self, who: Ints, part: int) -> Ints:
        """Another place that each has seen, by visits and hour, [K]: a draw of one of the visits so far."""
        past = self._past[who, : int(self._visits[who].max(initial=1))]
        counts = np.arange(past.shape[1]) < self._visits[who][:, None]
        weights = np.where(counts & (past != self.here[who][:, None]), self._fits[part][past], 0)
        return past[np.arange(len(who)), _draw(weights, self._rng)]

    def _homes(self) -> Ints:
        """Where each lives, [U]: in proportion to the points of interest as elsewhere, whatever the tastes."""
        weights = (self._city.counts.sum(1, dtype=np.float64) + 1) ** self._config.size
        return _draw(np.broadcast_to(weights, (self._config.users, self._city.n)), self._rng)

    def _works(self) -> Ints:
        """Where each works, [U], away from home; −1 for those who do not."""
        attraction = self._tastes.attraction[self._tastes.part[0]].mean(0)
        works = np.full(self._config.users, -1)
        for user in np.flatnonzero(self._rng.random(self._config.users) < self._config.workers):
            weights = attraction * decay(self._city.distances(self._home[user]), self._config)
            weights[self._home[user]] = 0
            works[user] = _draw(weights[None], self._rng)[0]
        return works

    def _note(self, who: Ints, places: Ints) -> None:
        self._past[who, self._visits[who]] = places
        self._visits[who] += 1
        self._known[who] += ~self._seen[who, places]
        self._seen[who, places] = True


def _draw(weights: Doubles, rng: np.random.Generator) -> Ints:
    """A column of each row, in proportion to its weights, [K]."""
    if not len(weights):
        return np.zeros(0, dtype=np.int64)
    reached = weights.cumsum(1)
    wanted = rng.random((len(weights), 1)) * reached[:, -1:]
    drawn: Ints = np.minimum((reached <= wanted).sum(1), weights.shape[1] - 1)
    return drawn


def _windows(user: Ints, time: Ints, place: Ints, city: City) -> Trajectories:
    """Visits, [V], as trajectories of three days."""
    order = np.lexsort((time, user))
    user, time, place = user[order], time[order], place[order]
    window = time // (WINDOW_DAYS * SLOTS)
    begins = np.concatenate(([True], (np.diff(user) != 0) | (np.diff(window) != 0)))
    start = np.append(np.flatnonzero(begins), len(user))
    zeros = np.zeros(len(start) - 1, dtype=np.float32)
    found = Trajectories(
        user[start[:-1]],
        zeros,
        zeros,
        start,
        place.astype(np.int32),
        (time // SLOTS % DAYS).astype(np.int8),
        (time % SLOTS).astype(np.int8),
        np.where(begins, 0, np.diff(time, prepend=0)).astype(np.float32),
        np.zeros(len(user), dtype=np.float32),
    )
    return measured(found.select(found.lengths >= 2), city)
