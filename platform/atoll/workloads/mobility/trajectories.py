"""Trajectories by column: where, when, and how each visit follows the one before.

Shapes: M trajectories, V visits in all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atoll.errors import DataError

DAYS, SLOTS = 7, 48
"""Days of a week, from Monday, and half-hour slots of a day."""

LONGEST = 144
"""Half-hour slots of three days: the most visits of a trajectory."""

Ints = NDArray[np.int64]


class Window(NamedTuple):
    """One trajectory; the arrays, [visits], are views of :class:`Trajectories`' columns."""

    user: int
    radius: float
    entropy: float
    location: NDArray[np.int32]
    day: NDArray[np.int8]
    slot: NDArray[np.int8]
    wait: NDArray[np.float32]
    jump: NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Trajectories:
    """An owner's trajectories in one city, 14 bytes a visit. They never leave its machine.

    In MoveGCL's published lines radius, entropy and jump are numbers of classes (at most 29, 40 and 29), not kilometres
    or nats; they are kept as they are read. :func:`atoll.workloads.mobility.measures.measured` puts quantities there.

    Attributes:
        user: int64 [M], a local number of whose trajectory it is.
        radius: float32 [M], the user's radius of gyration, km.
        entropy: float32 [M], the user's location entropy, nats.
        start: int64 [M + 1], where each trajectory begins among the visits; each has at least one.
        location: int32 [V], a number of the city's.
        day: int8 [V], 0 (Monday) to 6.
        slot: int8 [V], half-hour of the day, 0 to 47.
        wait: float32 [V], half-hour slots since the visit before; 0 for the first.
        jump: float32 [V], km from the visit before; 0 for the first.

    Raises:
        DataError: columns that do not fit each other, or a value out of its range.
    """

    user: NDArray[np.int64]
    radius: NDArray[np.float32]
    entropy: NDArray[np.float32]
    start: NDArray[np.int64]
    location: NDArray[np.int32]
    day: NDArray[np.int8]
    slot: NDArray[np.int8]
    wait: NDArray[np.float32]
    jump: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, (kind, high) in _COLUMNS.items():
            object.__setattr__(self, name, _column(name, getattr(self, name), kind, high))
        start, visits = self.start, len(self.location)
        if not len(start) or start[0] != 0 or start[-1] != visits or (np.diff(start) < 1).any():
            raise DataError(f"trajectories: start must rise from 0 to the {visits} visits, by at least 1 each")
        for names, length in ((_OF_TRAJECTORY, len(start) - 1), (_OF_VISIT, visits)):
            for name in names:
                if len(getattr(self, name)) != length:
                    raise DataError(f"trajectories: {name} has {len(getattr(self, name))} values instead of {length}")

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def visits(self) -> int:
        """Visits in all, V."""
        return len(self.location)

    @property
    def lengths(self) -> Ints:
        """Visits of each trajectory, int64 [M]."""
        return np.diff(self.start)

    @property
    def first(self) -> NDArray[np.bool_]:
        """Whether a visit is the first of its trajectory, bool [V]."""
        found = np.zeros(self.visits, dtype=np.bool_)
        found[self.start[:-1]] = True
        return found

    def window(self, i: int) -> Window:
        """One trajectory, without copying it.

        Raises:
            IndexError: there is no such trajectory.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"there are trajectories 0 to {len(self) - 1}, not {i}")
        span = slice(int(self.start[i]), int(self.start[i + 1]))
        columns = (getattr(self, name)[span] for name in _OF_VISIT)
        return Window(int(self.user[i]), float(self.radius[i]), float(self.entropy[i]), *columns)

    def select(self, indices: ArrayLike) -> "Trajectories":
        """These trajectories in this order, copied; an index may come more than once.

        Args:
            indices: Whole numbers, or a bool [M].

        Raises:
            IndexError: there is no such trajectory.
        """
        chosen = np.asarray(indices)
        if chosen.dtype == np.bool_:
            if len(chosen) != len(self):
                raise IndexError(f"a mask over {len(chosen)} trajectories, where there are {len(self)}")
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"there are trajectories 0 to {len(self) - 1}, not {chosen.min()} to {chosen.max()}")
        return self._gather(chosen, self.start[chosen], self.lengths[chosen])

    def cut(self, length: int) -> "Trajectories":
        """The same visits in trajectories of at most ``length``: a longer one becomes several, one after the other.

        The first visit of a later piece keeps neither wait nor jump, since what they are counted from is not there.
        """
        if length < 1:
            raise DataError(f"trajectories: a length of {length} visits; it must be at least 1")
        if not len(self) or self.lengths.max() <= length:
            return self
        pieces = -(-self.lengths // length)
        owner = np.repeat(np.arange(len(self)), pieces)
        offset = (np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * length
        found = self._gather(owner, self.start[owner] + offset, np.minimum(length, self.lengths[owner] - offset))
        found.wait[found.start[:-1][offset > 0]] = 0
        found.jump[found.start[:-1][offset > 0]] = 0
        return found

    @staticmethod
    def concatenate(parts: Sequence["Trajectories"]) -> "Trajectories":
        """All trajectories of several columnar values of one city, in order. None at all give an empty value."""
        if not parts:
            return Trajectories(
                **{name: np.zeros(int(name == "start"), dtype=kind) for name, (kind, _) in _COLUMNS.items()}
            )
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS if name != "start"
        }
        return Trajectories(start=starts(np.concatenate([part.lengths for part in parts])), **columns)

    def _gather(self, owner: Ints, begin: Ints, lengths: Ints) -> "Trajectories":
        """For every i, ``lengths[i]`` visits from ``begin[i]``, as a trajectory of ``owner[i]``'s user."""
        start = starts(lengths)
        visits = np.repeat(begin - start[:-1], lengths) + np.arange(start[-1])
        columns = {name: getattr(self, name)[owner] for name in _OF_TRAJECTORY}
        columns |= {name: getattr(self, name)[visits] for name in _OF_VISIT}
        return Trajectories(start=start, **columns)


def starts(lengths: Iterable[int] | Ints) -> Ints:
    """Offsets [M + 1] of trajectories of so many visits [M]."""
    return np.concatenate(([0], np.cumsum(np.asarray(lengths, dtype=np.int64))))


_REAL = float(np.finfo(np.float32).max)
_COLUMNS: dict[str, tuple[type[np.generic], float]] = {
    "user": (np.int64, 2**63 - 1),
    "radius": (np.float32, _REAL),
    "entropy": (np.float32, _REAL),
    "start": (np.int64, 2**63 - 1),
    "location": (np.int32, 2**31 - 1),
    "day": (np.int8, DAYS - 1),
    "slot": (np.int8, SLOTS - 1),
    "wait": (np.float32, _REAL),
    "jump": (np.float32, _REAL),
}
"""Type of each column and its greatest value; the least is 0, but for the user."""

_OF_TRAJECTORY = ("user", "radius", "entropy")
_OF_VISIT = tuple(field.name for field in fields(Trajectories))[4:]


def _column(name: str, given: ArrayLike, kind: type[np.generic], high: float) -> NDArray[np.generic]:
    """A column in its type, once it is sure that nothing in it changes but for rounding to float32."""
    values = np.asarray(given)
    if values.ndim != 1:
        raise DataError(f"trajectories: {name} must be one-dimensional, not of shape {values.shape}")
    whole = np.issubdtype(kind, np.integer)
    if len(values) and (values.dtype.kind not in ("iu" if whole else "iuf")):
        raise DataError(f"trajectories: {name} holds {values.dtype}; it must hold {'whole ' if whole else ''}numbers")
    if len(values):
        # Written so that what is not a number is refused as well.
        good = (values <= high) & ((values >= 0) | (name == "user"))
        if not good.all():
            raise DataError(f"trajectories: {name} number {int((~good).argmax())} is out of its range")
    return np.ascontiguousarray(values, dtype=kind)
