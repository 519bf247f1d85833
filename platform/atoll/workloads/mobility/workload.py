"""The workload ``mobility``: an owner's trajectories as batches of the mobility anchor."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from atoll.anchors.anchor import Anchor
from atoll.errors import ConfigError, DataError, PackageError
from atoll.mixture import Descriptor
from atoll.replay import followed
from atoll.workloads.data import DataConfig
from atoll.workloads.excluded import Excluded
from atoll.workloads.files import find_files
from atoll.workloads.mobility.batches import collate
from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.city_file import city_from_bytes, city_to_bytes
from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.generator import make_city
from atoll.workloads.mobility.generator_config import GeneratorConfig
from atoll.workloads.mobility.lines import read_trajectories
from atoll.workloads.mobility.public import PUBLIC_CITY, public_descriptor
from atoll.workloads.mobility.scores import next_location_loss, score
from atoll.workloads.mobility.sources import held_users, read_city, read_silo, user_contents
from atoll.workloads.mobility.split import split_indices
from atoll.workloads.mobility.table import read_positions, user_number
from atoll.workloads.mobility.trajectories import Trajectories
from atoll.workloads.order import batch_indices, evaluation_indices
from atoll.workloads.paths import absolute_path
from atoll.workloads.reading import ReadReport, Tally
from atoll.workloads.workload import SPLITS, Batch, Progress, Sources, Split, SplitCounts, Workload

_NUMBER = re.compile(r"-?\d{1,18}")


@final
class Mobility(Workload):
    """A city's trajectories, split by user; a sample is one of them."""

    name: ClassVar[str] = "mobility"
    Config: ClassVar[type[DataConfig]] = MobilityConfig
    unit: ClassVar[str] = "visit"
    score_names: ClassVar[tuple[str, ...]] = ("accuracy@1", "accuracy@3", "accuracy@5", "mrr")

    def __init__(self, config: MobilityConfig) -> None:
        """Check the values of the configuration; files are first looked at by :meth:`prepare`.

        Raises:
            ConfigError: a value that makes no sense.
        """
        config.check()
        self.config = config
        self._read: tuple[City, dict[Split, Trajectories]] | None = None
        self._excluded: Excluded | None = None
        self._report = ReadReport()

    @classmethod
    def open(cls, config: MobilityConfig, anchor: Anchor, cache: Path) -> "Mobility":
        """The trajectories; nothing is kept in the cache, for they are read faster than it would be."""
        return cls(config)

    @classmethod
    def public(cls, anchor: Anchor) -> "Mobility":
        """The generated city of the public descriptor, and its people."""
        return cls(MobilityConfig(format="generated", generator=PUBLIC_CITY))

    @classmethod
    def absolute(cls, config: MobilityConfig) -> MobilityConfig:
        """Paths from the root, with ``~`` written out."""
        locations = absolute_path(config.locations)
        paths = [absolute_path(path) for path in config.paths]
        places = absolute_path(config.table.locations)
        return replace(config, paths=paths, locations=locations, table=replace(config.table, locations=places))

    @classmethod
    def private_paths(cls, config: MobilityConfig) -> tuple[Path, ...]:
        """The files and folders with trajectories; locations are public."""
        return tuple(Path(path) for path in config.paths)

    @classmethod
    def frame(cls, anchor: Anchor, model: nn.Module, sites: Sequence[str], cache: Path) -> Descriptor:
        """From a generated city that everyone can generate."""
        return public_descriptor(anchor, model, sites, cache)

    @property
    def city(self) -> City:
        """Whose locations they are."""
        return self._open()[0]

    def trajectories(self, split: Split) -> Trajectories:
        """Those of one split.

        Raises:
            ConfigError: there is no such split.
        """
        if split not in SPLITS:
            raise ConfigError(f"mobility: there is no split '{split}': there are {', '.join(SPLITS)}")
        return self._open()[1][split]

    def prepare(self, progress: Progress | None = None) -> None:
        """Read and check everything.

        Raises:
            ConfigError: a path that cannot be used.
            DataError: a file that cannot be read, or a split without a trajectory of two visits.
        """
        tally = Tally(self.config.on_error)
        city, there = read_silo(self.config, self._excluded, tally)
        empty = int((there.lengths < 2).sum())
        there = there.select(np.flatnonzero(there.lengths >= 2))
        found = split_indices(there, self.config)
        shares = {"train": 1.0, "validation": self.config.validation, "test": self.config.test}
        for split in SPLITS:
            if shares[split] and not len(found[split]):
                users = len(np.unique(there.user))
                raise DataError(
                    f"mobility: the {split} split is empty: there are {len(there)} trajectories of {users} users; "
                    "give more users, or a larger share"
                )
        full = int((there.lengths >= self.config.sequence_length).sum())
        counted = tally.report(over_long=full, records=len(there), duplicates=_duplicates(there))
        self._report = replace(counted, empty=counted.empty + empty)
        self._read = city, {split: there.select(found[split]) for split in SPLITS}
        if progress is not None:
            progress(1, 1)

    @property
    def reading(self) -> ReadReport:
        """What reading found, in trajectories but for rows and lines that are skipped. One of a single visit is empty;
        one that fills a sample, and may have been cut, is longer than one.
        """
        self._open()
        return self._report

    def exclude(self, excluded: Excluded) -> None:
        """Users, with all that they have."""
        self._excluded, self._read = excluded, None

    def named_records(self, paths: Sequence[str], names: Sequence[str]) -> Iterator[bytes]:
        """All users of these files; and users by name, or in trajectory lines by number."""
        if self.config.format == "generated" and (paths or names):
            raise ConfigError("mobility: the people of a generated city are nobody, so none need be passed over")
        if paths:
            yield from user_contents(np.unique(self._users(list(paths))))
        if not names:
            return
        known = set(self._users(self.config.paths).tolist())
        for name in names:
            number = (
                user_number(name) if self.config.format == "table" else int(name) if _NUMBER.fullmatch(name) else -1
            )
            if number not in known:
                raise ConfigError(f"mobility: no user of that name is in the data ({len(names)} names were given)")
            yield str(number).encode()

    def holding(self, excluded: Excluded) -> Mapping[Split, Sequence[int]]:
        """Trajectories of users on the list."""
        there = {split: self.trajectories(split) for split in SPLITS}
        return {split: np.flatnonzero(held_users(each.user, excluded)).tolist() for split, each in there.items()}

    def _users(self, paths: list[str]) -> NDArray[np.int64]:
        files = find_files(paths, self.name)
        if self.config.format == "table":
            return read_positions(files, self.config.table, Tally(self.config.on_error)).user
        return read_trajectories(files, read_city(self.config), Tally(self.config.on_error)).user

    @property
    def key(self) -> str:
        """Hex digest of all trajectories, the locations and the splits."""
        city, splits = self._open()
        total = hashlib.sha256(json.dumps([self.name, city.name, city.n]).encode())
        total.update(city.features.tobytes())
        for split in SPLITS:
            for column in fields(Trajectories):
                total.update(getattr(splits[split], column.name).tobytes())
        return total.hexdigest()

    @property
    def counts(self) -> dict[Split, SplitCounts]:
        """Trajectories and visits by split."""
        return {
            split: SplitCounts(documents=len(there), tokens=there.visits, characters=0)
            for split, there in self._open()[1].items()
        }

    def batch_indices(self, step: int, size: int, seed: int) -> list[int]:
        """Every epoch takes each trajectory once, in an order of its own."""
        return batch_indices(step, size, seed, len(self.trajectories("train")))

    def evaluation_indices(self, split: Split, limit: int | None = None) -> list[int]:
        """All trajectories in order, or evenly spaced ones."""
        there = self.trajectories(split)
        if not len(there):
            raise DataError(f"mobility: the {split} split is empty, because it was given no share")
        return evaluation_indices(len(there), limit)

    def samples(self, split: Split, indices: Sequence[int]) -> Batch:
        """These trajectories side by side."""
        return mobility_batch(self.trajectories(split), indices, self.city)

    def persons(self, split: Split) -> NDArray[np.int64]:
        """The user of each trajectory."""
        return self.trajectories(split).user

    def sample_digest(self, split: Split, index: int) -> str:
        """Of where and when one trajectory's visits are."""
        there = self.trajectories(split).window(index)
        columns = (there.location, there.day, there.slot)
        return hashlib.sha256(b"\0".join(column.tobytes() for column in columns)).hexdigest()

    def sources(self, split: Split, indices: Sequence[int]) -> Sources:
        """The user of each trajectory, and how many of its visits are predicted."""
        there, chosen = self.trajectories(split), np.asarray(indices, dtype=np.int64)
        return Sources(np.arange(len(chosen)), there.user[chosen], (there.lengths[chosen] - 1).astype(np.float64))

    def described_sources(self, documents: int) -> Sources:
        """The users of the trajectories that :meth:`described` takes."""
        return self.sources("train", evaluation_indices(len(self.trajectories("train")), documents))

    def loss(self, logits: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
        """Of every next location."""
        return next_location_loss(logits, targets)

    def predicts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Positions that another visit follows."""
        return followed(targets["mask"])

    def scores(self, logits: Tensor, targets: Mapping[str, Tensor]) -> dict[str, float]:
        """Sums of ``accuracy@1``, ``accuracy@3``, ``accuracy@5`` and ``mrr``."""
        found = score(logits, targets)
        return {
            "accuracy@1": float(found.hits_1),
            "accuracy@3": float(found.hits_3),
            "accuracy@5": float(found.hits_5),
            "mrr": found.reciprocal,
        }

    def as_batch(self, inputs: Mapping[str, Tensor], mask: Tensor) -> Batch:
        """Trajectories of one city."""
        return _batch(inputs, mask)

    @property
    def has_public_inputs(self) -> bool:
        """Whether the locations are named by the owner or made by a generator, and not taken from positions."""
        return self.config.format != "table" or bool(self.config.table.locations)

    def public_context(self) -> bytes:
        """The city's table of locations: what is on the map.

        Where the map was made of people's positions, which places are on it and how popular they are is theirs: what
        is told is a made-up city instead, the same for every such owner.
        """
        return city_to_bytes(self.city if self.has_public_inputs else make_city(GeneratorConfig(), "unknown"))

    def replay_context(self, context: bytes | None) -> City:
        """The city of another owner."""
        if context is None:
            raise PackageError("a package without its city's table of locations has nothing to draw trajectories over")
        return city_from_bytes(context)

    def replay_templates(self, split: Split = "train") -> Trajectories:
        """When the owner's own people go somewhere."""
        return self.trajectories(split)

    def replay_private(self, split: Split = "train") -> Trajectories:
        """The trajectories."""
        return self.trajectories(split)

    def described(
        self, documents: int, size: int, length: int | None = None
    ) -> Iterator[tuple[Mapping[str, Tensor], Tensor]]:
        """Evenly spaced training trajectories."""
        there = self.trajectories("train")
        there = there if length is None else there.cut(length)
        chosen = evaluation_indices(len(there), documents)
        for start in range(0, len(chosen), size):
            batch = collate(there, chosen[start : start + size], self.city)
            yield batch, batch["mask"]

    def _open(self) -> tuple[City, dict[Split, Trajectories]]:
        if self._read is None:
            self.prepare()
            assert self._read is not None
        return self._read


def _duplicates(there: Trajectories) -> int:
    """How many trajectories of a user have the same visits at the same times as one before."""
    seen = set()
    for index in range(len(there)):
        one = there.window(index)
        columns = (one.location, one.day, one.slot)
        seen.add(
            (int(there.user[index]), *(hashlib.blake2b(each.tobytes(), digest_size=8).digest() for each in columns))
        )
    return len(there) - len(seen)


def mobility_batch(trajectories: Trajectories, indices: Sequence[int], city: City) -> Batch:
    """Trajectories of one city as a model takes them."""
    inputs = collate(trajectories, indices, city)
    return _batch(inputs, inputs["mask"])


def _batch(inputs: Mapping[str, Tensor], mask: Tensor) -> Batch:
    targets = {"location": inputs["location"], "mask": mask}
    return Batch(inputs, targets, int(mask.sum()), int(followed(mask).sum()))
