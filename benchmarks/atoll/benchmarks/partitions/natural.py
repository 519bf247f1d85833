"""Partition ``natural``: a silo is where a sample comes from, such as a hospital or a data set."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from atoll.benchmarks.partitions.partition import Part, Partition, Pool
from atoll.errors import DataError


@final
@dataclass(frozen=True, slots=True)
class Natural(Partition):
    """Every source is a silo; nothing is random."""

    name: ClassVar[str] = "natural"

    def split(self, pool: Pool, seed: int) -> list[Part]:
        """In the order of the pool's sources."""
        parts = [
            Part(silo=source, indices=np.flatnonzero(pool.origins == place))
            for place, source in enumerate(pool.sources)
        ]
        if empty := [part.silo for part in parts if not len(part.indices)]:
            raise DataError(f"partition 'natural': no sample comes from '{empty[0]}'; leave it out")
        return parts
