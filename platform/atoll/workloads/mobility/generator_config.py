"""What a generated city and its people are like."""

import math
from dataclasses import dataclass

from atoll.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Exploration and preferential return in a city, by day and night.

    Who moves when: a person leaves a place with a probability that follows the half-hour of the day, as in the
    circadian models of Pappalardo and Simini (2018, doi 10.1007/s10618-017-0548-4) and Jiang et al. (2016,
    doi 10.1073/pnas.1524261113); nights are spent at home, and workers commute.

    Where to: with probability ``exploration * S ** -slowing``, where S is how many places the person knows, to a new
    place, else back to a known one, in proportion to the visits it has had (Song, Koren, Wang and Barabási 2010,
    doi 10.1038/nphys1760, equations 3 and 4). A new place at a distance of r km is chosen by its attraction times a
    decay, a gravity model (Pappalardo et al. 2015, doi 10.1038/ncomms9166). The decay is the truncated power law of
    jump lengths ``(r + jump_offset_km) ** -jump_exponent * exp(-r / jump_cutoff_km)`` (González, Hidalgo and Barabási
    2008, doi 10.1038/nature06958, equation 1), divided by r, for there are as many more places at a distance as its
    circle is longer. A place attracts by its points of interest: each category as much as the city's tastes have it
    at that part of the day and week.

    Attributes:
        seed: Decides who lives there and what they do; with the name of the city, so that no two cities are alike.
        users: How many people.
        days: How many days, from a Monday.
        locations: How many locations a made city has; a table of locations has its own number.
        map_seed: Decides, with the name of the city, where the locations of a made city are and what is there.
        taste_seed: Decides, with the name of the city, its tastes and how late its days begin.
        exploration: rho, the probability of exploring while one place is known, in [0, 1].
        slowing: gamma, how it falls with the known places, at least 0.
        jump_exponent: beta of the jump lengths.
        jump_offset_km: Below about so many km all lengths are alike.
        jump_cutoff_km: Beyond about so many km there are hardly any.
        size: Exponent of a place's summed points of interest in its attraction, at least 0.
        popularity: Exponent of the popularity rank in its attraction: top ``x ** -popularity`` per cent, at least 0.
        tastes: Standard deviation of the logarithm of how much a category attracts, by the city's own tastes.
        common_tastes: The same by what all cities have in common.
        habit: Exponent of how much better than usual a known place fits the hour, when one returns; 0 is the plain law.
        trips: Mean number of times a weekday that a person moves on; going home at night comes on top.
        variety: Standard deviation of its logarithm among people.
        home: Share of moves by day that lead home, in [0, 1].
        workers: Share of people who have a place of work, in [0, 1].
        commute: Share of their moves from home on the morning of a weekday that lead there, in [0, 1].
        shift_hours: Standard deviation among cities of how much later than usual everything happens.
    """

    seed: int = 0
    users: int = 100
    days: int = 6
    locations: int = 800
    map_seed: int = 0
    taste_seed: int = 0
    exploration: float = 0.6
    slowing: float = 0.21
    jump_exponent: float = 1.75
    jump_offset_km: float = 1.5
    jump_cutoff_km: float = 80.0
    size: float = 0.5
    popularity: float = 0.3
    tastes: float = 1.5
    common_tastes: float = 0.5
    habit: float = 2.0
    trips: float = 4.0
    variety: float = 0.25
    home: float = 0.25
    workers: float = 0.6
    commute: float = 0.7
    shift_hours: float = 1.5

    def check(self) -> None:
        """Check the values by themselves.

        Raises:
            ConfigError: the first value that makes no sense.
        """
        for name, least, most in _WHOLE:
            if not least <= getattr(self, name) <= most:
                raise ConfigError(
                    f"mobility: generator: {name}={getattr(self, name)} must be a whole number from {least} to {most}"
                )
        for name in ("exploration", "home", "workers", "commute"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"mobility: generator: {name}={getattr(self, name)} is not a share in [0, 1]")
        for name in ("jump_offset_km", "jump_cutoff_km", "trips"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"mobility: generator: {name}={getattr(self, name)} must be a positive number")
        for name, greatest in _AT_MOST:
            if not 0 <= getattr(self, name) <= greatest:
                raise ConfigError(
                    f"mobility: generator: {name}={getattr(self, name)} must be a number from 0 to {greatest:g}"
                )


_WHOLE = (("users", 1, 100_000), ("days", 1, 3_660), ("locations", 2, 100_000))
_AT_MOST = (
    ("slowing", 10.0),
    ("jump_exponent", 10.0),
    ("size", 2.0),
    ("popularity", 3.0),
    ("tastes", 3.0),
    ("common_tastes", 3.0),
    ("habit", 5.0),
    ("variety", 3.0),
    ("shift_hours", 12.0),
)
"""Greatest values: beyond them powers overflow, or nothing changes any more."""
