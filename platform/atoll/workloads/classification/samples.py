"""Samples by column, and which split each is in."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll.errors import ConfigError, DataError
from atoll.workloads.excluded import Excluded
from atoll.workloads.text.split import Splitting
from atoll.workloads.workload import SPLITS, Split


@dataclass(frozen=True, eq=False, slots=True)
class LabelledSamples:
    """N samples.

    Attributes:
        values: What each holds, [N, ...], in any type.
        label: Place of its class in the list, int64 [N].
        person: Whose it is, any numbers, int64 [N]; ``None`` where that is not known.
    """

    values: NDArray[np.generic]
    label: NDArray[np.int64]
    person: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.label)

    def select(self, indices: NDArray[np.int64]) -> "LabelledSamples":
        """Some of them, in this order."""
        person = None if self.person is None else self.person[indices]
        return LabelledSamples(self.values[indices], self.label[indices], person)

    def held(self, excluded: Excluded) -> NDArray[np.bool_]:
        """Which of them are on the list, bool [N]: by whose they are, or where that is not known, by what they hold."""
        names, place = np.unique(self._keys(), return_inverse=True)
        found = np.array([excluded.holds(name.encode()) for name in names.tolist()], dtype=np.bool_)
        return found[place] if len(found) else np.zeros(0, dtype=np.bool_)

    def contents(self) -> list[bytes]:
        """What identifies each, see :meth:`held`."""
        return [name.encode() for name in self._keys().tolist()]

    def splits(self, what: str, shares: "Shares") -> dict[Split, "LabelledSamples"]:
        """The samples of each split.

        A hash of the salt and of whose a sample is, or where that is not known of what it holds, decides: so all of a
        person, and all copies of a sample, are in one split, and adding data moves nothing.

        Args:
            what: Name of the workload, for messages.
            shares: How much each split gets.

        Raises:
            DataError: no sample in a split that was given a share.
        """
        keys = self._keys()
        names, place = np.unique(keys, return_inverse=True)
        splitting = shares.splitting(names.tolist())
        chosen = np.array([SPLITS.index(splitting.split_of(name)) for name in names.tolist()], dtype=np.int64)
        found = {split: np.flatnonzero(chosen[place] == number) for number, split in enumerate(SPLITS)}
        for split in SPLITS:
            if shares.of(split) and not len(found[split]):
                raise DataError(
                    f"{what}: the {split} split is empty: there are {len(self)} samples of {len(names)} "
                    f"{'persons' if self.person is not None else 'kinds'}; give more of them, or a larger share"
                )
        return {split: self.select(indices) for split, indices in found.items()}

    def _keys(self) -> NDArray[np.str_]:
        if self.person is not None:
            return self.person.astype(str)
        return self.keys_of_values()

    def keys_of_values(self) -> NDArray[np.str_]:
        """A digest of what each holds, [N], whoever it is of."""
        rows = np.ascontiguousarray(self.values)
        return np.array([hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in rows])


@dataclass(frozen=True, slots=True)
class Shares:
    """How samples are split.

    Attributes:
        validation: Share for validation, in [0, 1).
        test: Share for the test, in [0, 1).
        salt: Changes which samples fall in which split.
    """

    validation: float
    test: float
    salt: str

    def check(self, what: str) -> None:
        """Raise ConfigError for shares that leave nothing to train on."""
        for name, share in (("validation", self.validation), ("test", self.test)):
            if not 0 <= share < 1:
                raise ConfigError(f"{what}: {name}={share} is not a share in [0, 1)")
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"{what}: validation={self.validation} and test={self.test} leave nothing to train on; "
                "their sum must be less than 1"
            )

    def of(self, split: Split) -> float:
        """A split's share."""
        left = 1 - self.validation - self.test
        return {"train": left, "validation": self.validation, "test": self.test}[split]

    def splitting(self, keys: Iterable[str]) -> Splitting:
        """How what has these keys is split."""
        return Splitting.of(keys, validation=self.validation, test=self.test, salt=self.salt)


def numbered(names: NDArray[np.str_]) -> NDArray[np.int64]:
    """Names of persons as numbers, int64 [N], that are the same in every file and at every reading."""
    digests = (hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in names)
    return np.array([int.from_bytes(digest, "big") >> 1 for digest in digests], dtype=np.int64)
