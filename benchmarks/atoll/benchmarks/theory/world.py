"""The setting of the theory: tasks in clusters, one of which comes in every round with a few samples.

Li, Lin, Duan, Liang and Shroff (ICLR 2025, arXiv 2406.16437), section 3.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll.errors import ConfigError

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
_WEAKEST, _STRONGEST = 0.5, 1.5
"""Between these the strength of a round's signal is uniform, times the setting's."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Sizes and scales; the defaults are those of the paper's figure.

    Attributes:
        rounds: T.
        tasks: N, at most ``dimension``.
        clusters: K, at most ``tasks``.
        dimension: d.
        samples: s, of a round; fewer than ``dimension``.
        gap: Distance of a task's truth from its cluster's centre, root mean square. Centres have length 1.
        signal: Mean length of a round's signal, in units of √d. With 0 there is none, and all samples are isotropic.
        noise: Standard deviation of the entries of the other samples.

    Raises:
        ConfigError: what cannot be.
    """

    rounds: int = 2000
    tasks: int = 6
    clusters: int = 3
    dimension: int = 10
    samples: int = 6
    gap: float = 0.05
    signal: float = 1.0
    noise: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.clusters <= self.tasks <= self.dimension:
            raise ConfigError(
                f"{self.clusters} clusters of {self.tasks} tasks in {self.dimension} dimensions: there are at least as "
                "many tasks as clusters, and no more than dimensions, for signals are orthogonal"
            )
        if not 1 <= self.samples < self.dimension:
            raise ConfigError(f"samples is {self.samples}; give 1 to {self.dimension - 1}, fewer than dimensions")
        if self.rounds < 2 or self.gap < 0 or self.signal < 0 or not self.noise > 0:
            raise ConfigError(
                f"rounds {self.rounds} must be at least 2, gap {self.gap} and signal {self.signal} zero or more, noise "
                f"{self.noise} positive"
            )


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class World:
    """The tasks of several independent streams.

    Attributes:
        truths_SND: w_n, whose linear function a task's answers are.
        signals_SND: v_n, orthogonal to each other, of length √d.
        cluster_N: Which cluster a task is of.
    """

    truths_SND: Floats
    signals_SND: Floats
    cluster_N: Integers

    @property
    def size(self) -> Floats:
        """Mean squared length of each stream's truths, W̄ [S]."""
        found: Floats = np.square(self.truths_SND).sum(-1).mean(-1)
        return found

    @property
    def spread(self) -> Floats:
        """Mean squared distance of two truths of each stream, drawn independently, D [S]."""
        apart = self.truths_SND[:, None] - self.truths_SND[:, :, None]
        found: Floats = np.square(apart).sum(-1).mean((-1, -2))
        return found


def draw_world(setting: Setting, streams: int, random: np.random.Generator) -> World:
    """Every stream has its own tasks."""
    d, n = setting.dimension, setting.tasks
    centres = random.normal(size=(streams, setting.clusters, d))
    centres /= np.linalg.norm(centres, axis=-1, keepdims=True)
    cluster_N = np.arange(n) % setting.clusters
    apart = setting.gap / np.sqrt(d) * random.normal(size=(streams, n, d))
    frames, _ = np.linalg.qr(random.normal(size=(streams, d, d)))
    signals = np.sqrt(d) * np.swapaxes(frames, 1, 2)[:, :n]
    return World(truths_SND=centres[:, cluster_N] + apart, signals_SND=signals, cluster_N=cluster_N)


@dataclass(frozen=True, eq=False, slots=True)
class Round:
    """What comes in one round.

    Attributes:
        task_S: n_t.
        samples_SDI: X_t: the task's signal β_t v_n in a column, Gaussian noise in the others.
    """

    task_S: Integers
    samples_SDI: Floats


def draw_round(setting: Setting, world: World, random: np.random.Generator) -> Round:
    """A uniformly drawn task for each stream, with its samples."""
    streams = np.arange(len(world.truths_SND))
    task_S = random.integers(0, setting.tasks, len(streams))
    shape = (len(streams), setting.dimension, setting.samples)
    samples_SDI = setting.noise * random.normal(size=shape)
    strength_S = setting.signal * random.uniform(_WEAKEST, _STRONGEST, len(streams))
    if setting.signal:
        samples_SDI[:, :, 0] = strength_S[:, None] * world.signals_SND[streams, task_S]
    return Round(task_S, samples_SDI)
