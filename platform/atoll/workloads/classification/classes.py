"""The public, ordered list of classes. A class's place in it is its direction in the anchor's fixed head."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import ConfigError, DataError, PackageError

_LIMIT = 1 << 20
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class ClassList:
    """Names of the classes that samples may be of, in order.

    Owners whose classes are the same things use one list, so that a class lies in the same direction for all of their
    experts. Owners of other things may use lists of their own; then the same place means another thing for each, and
    only routing tells them apart.

    Attributes:
        names: At least two, each once.

    Raises:
        ConfigError: an impossible list.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise ConfigError(f"classes: there are {len(self.names)}; name at least two")
        odd = [name for name in self.names if not name or len(name) > _LONGEST or not name.isprintable()]
        if odd:
            raise ConfigError(
                f"classes: {odd[0]!r:.80} is no name; take one line of text of at most {_LONGEST} letters"
            )
        if doubled := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise ConfigError(f"classes: '{doubled[0]}' is named twice")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def numbers(self) -> Tensor:
        """Directions of the head, int64 [K]."""
        return torch.arange(len(self.names))

    def places(self, labels: Sequence[object] | NDArray[np.generic], where: str) -> NDArray[np.int64]:
        """The place of each label in the list, int64 [N].

        Args:
            labels: Names, or whole numbers that are places already.
            where: What a message says of where they are from.

        Raises:
            DataError: a label outside of the list.
        """
        given = np.asarray(labels)
        if given.dtype.kind in "iu":
            outside = given[(given < 0) | (given >= len(self.names))]
            if len(outside):
                raise DataError(
                    f"{where}: there is a label {outside[0]}, but classes names {len(self.names)}: 0 is "
                    f"'{self.names[0]}' and {len(self.names) - 1} is '{self.names[-1]}'"
                )
            return given.astype(np.int64)
        place = {name: number for number, name in enumerate(self.names)}
        words = [str(label) for label in given.tolist()]
        if unknown := sorted(set(words) - set(place)):
            raise DataError(
                f"{where}: there is a sample of '{unknown[0]}', which is not among classes: {', '.join(self.names)}"
            )
        return np.array([place[word] for word in words], dtype=np.int64)

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps({"classes": self.names}, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "ClassList":
        """Read what :meth:`to_bytes` wrote.

        Raises:
            PackageError: something else.
        """
        try:
            if len(data) > _LIMIT:
                raise ValueError(f"{len(data)} bytes")
            given = json.loads(data)
            if set(given) != {"classes"} or not all(isinstance(name, str) for name in given["classes"]):
                raise ValueError("not a list of names")
            return cls(tuple(given["classes"]))
        except (ValueError, TypeError, RecursionError, ConfigError) as error:
            raise PackageError(f"a package's public context is no list of classes: {str(error)[:200]}") from error


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """The public context of generators that draw in the space of the stem's vectors.

    Attributes:
        classes: Of the domain.
        width: Of a vector, D.
    """

    classes: ClassList
    width: int
