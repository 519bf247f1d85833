"""What is measured of a user's movements: jumps, radius of gyration, location entropy.

- Radius of gyration: root of the mean squared distance of a user's visits from their centre of mass (González, Hidalgo
  and Barabási, "Understanding individual human mobility patterns", Nature 453, 2008).
- Location entropy: Shannon's entropy, in nats, of the shares of a user's visits that its locations have (the
  temporal-uncorrelated entropy of Song, Qu, Blumm and Barabási, "Limits of Predictability in Human Mobility", Science
  327, 2010, there in bits).

Shapes: V visits, U users.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.trajectories import Trajectories

Doubles = NDArray[np.float64]


def measured(trajectories: Trajectories, city: City) -> Trajectories:
    """The same visits with jumps, radii and entropies measured on them, in km and nats.

    A user's radius and entropy are those of all its visits in ``trajectories``. Needed after anything that changes
    locations, and for published lines, whose quantities are numbers of classes.

    Raises:
        IndexError: a location that the city does not have.
    """
    if not len(trajectories):
        return trajectories
    codes = np.unique(trajectories.user, return_inverse=True)[1]
    of_visit = np.repeat(codes, trajectories.lengths)
    return replace(
        trajectories,
        jump=jumps(trajectories, city),
        radius=radius_of_gyration(city.places[trajectories.location], of_visit)[codes].astype(np.float32),
        entropy=location_entropy(trajectories.location, of_visit)[codes].astype(np.float32),
    )


def jumps(trajectories: Trajectories, city: City) -> NDArray[np.float32]:
    """Distances in km from the visit before, float32 [V]; 0 for the first of a trajectory.

    Raises:
        IndexError: a location that the city does not have.
    """
    location = trajectories.location
    found = np.zeros(len(location), dtype=np.float32)
    found[1:] = city.distances(location[:-1], location[1:])
    found[trajectories.first] = 0
    return found


def radius_of_gyration(places: ArrayLike, user: ArrayLike) -> Doubles:
    """Radius of gyration of each user, [U], in the unit of the places.

    Args:
        places: Where each visit was, [V, 2].
        user: Whose it was, [V]: every whole number from 0 to U - 1, each at least once.
    """
    where, who = np.asarray(places, dtype=np.float64), np.asarray(user)
    visits = np.bincount(who)
    centre = np.stack([np.bincount(who, axis) for axis in where.T], axis=1) / visits[:, None]
    squares = np.square(where - centre[who]).sum(1)
    radius: Doubles = np.sqrt(np.bincount(who, squares) / visits)
    return radius


def location_entropy(location: ArrayLike, user: ArrayLike) -> Doubles:
    """Location entropy of each user in nats, [U].

    Args:
        location: Where each visit was, [V], whole numbers from 0.
        user: Whose it was, [V]: every whole number from 0 to U - 1, each at least once.
    """
    where, who = np.asarray(location, dtype=np.int64), np.asarray(user, dtype=np.int64)
    if not len(where):
        return np.zeros(0)
    locations = int(where.max()) + 1
    pairs, counts = np.unique(who * locations + where, return_counts=True)
    owner = pairs // locations
    shares = counts / np.bincount(who)[owner]
    # A single location gives -1 log 1, which is -0.
    entropy: Doubles = np.abs(np.bincount(owner, shares * np.log(shares)))
    return entropy
