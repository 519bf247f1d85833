"""Which split a user's trajectories belong to."""

import numpy as np
from numpy.typing import NDArray

from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.trajectories import Trajectories
from atoll.workloads.text.split import Splitting
from atoll.workloads.workload import SPLITS, Split


def split_indices(trajectories: Trajectories, config: MobilityConfig) -> dict[Split, NDArray[np.int64]]:
    """Which trajectories are in each split.

    A hash of the salt and the user decides, so that all that a user did is in one split, wherever else data is added,
    and a change of the share of validation does not change what is tested on.
    """
    users, place = np.unique(trajectories.user, return_inverse=True)
    names = [str(user) for user in users.tolist()]
    splitting = Splitting.of(names, validation=config.validation, test=config.test, salt=config.salt)
    chosen = [SPLITS.index(splitting.split_of(name)) for name in names]
    of_trajectory = np.array(chosen, dtype=np.int64)[place]
    return {split: np.flatnonzero(of_trajectory == number) for number, split in enumerate(SPLITS)}
