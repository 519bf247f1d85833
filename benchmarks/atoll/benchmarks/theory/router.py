"""Who chooses the expert of a round: the linear router of the theory, or a rule that is given.

Li et al. (ICLR 2025, arXiv 2406.16437), section 3: the router, its losses, and algorithm 1 with its early termination.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.theory.world import Floats, Integers, Round
from atoll.errors import ConfigError

STOPS = ("never", "rounds", "converged")


class Chooser(ABC):
    """Chooses an expert for each stream's round, and learns how far that expert had to move."""

    experts: int
    """M."""

    @abstractmethod
    def choose(self, drawn: Round) -> Integers:
        """Numbers of experts [S]."""

    @abstractmethod
    def learn(self, number: int, moved_S: Floats) -> None:
        """Learn from the round that was just chosen for.

        Args:
            number: Of the round, from 1.
            moved_S: By how much the chosen expert's weights changed, L2.
        """

    @abstractmethod
    def stopped(self) -> Integers:
        """The round [S] of the last update where a router was stopped, 0 where it was not; empty without a router."""


@dataclass(frozen=True)
class ByTask(Chooser):
    """The expert of a task is given: all of one expert, or of its cluster's.

    Attributes:
        expert_N: The expert of each task.
        experts: M.
    """

    expert_N: Integers
    experts: int = 1

    def choose(self, drawn: Round) -> Integers:
        """By the task alone."""
        return self.expert_N[drawn.task_S]

    def learn(self, number: int, moved_S: Floats) -> None:
        """Nothing."""

    def stopped(self) -> Integers:
        """Of nothing."""
        return np.zeros(0, dtype=np.intp)


@dataclass(frozen=True, kw_only=True)
class RouterConfig:
    """The router of a mixture; the defaults are those of the paper's figure.

    Attributes:
        experts: M.
        stop: When the router's updates end: ``never``; after the ``rounds`` of exploration; or ``converged``: after
            them, when every expert was once chosen with a gate that exceeds the lowest one by ``threshold``.
        explorations: Rounds of exploration, in units of ``experts / rate``, which is the paper's T_1.
        locality: Whether there is a locality loss, ``Σ_m π_m |w_t^(m) - w_{t-1}^(m)|``: it is dear to send a round to
            an expert that has to move far.
        balance: α of the balance loss ``α M Σ_m f_m P_m``, with the share f_m of rounds that an expert had so far, and
            P_m the mean over rounds of its probability in those.
        rate: η, of the router's gradient descent.
        noise: λ; gates are compared after noise from U[0, λ] was added to each.
        threshold: Γ.

    Raises:
        ConfigError: what cannot be.
    """

    experts: int = 5
    stop: str = "never"
    explorations: float = 1.0
    locality: bool = True
    balance: float = 0.5
    rate: float = 0.5
    noise: float = 0.3
    threshold: float = 0.3

    def __post_init__(self) -> None:
        if self.stop not in STOPS:
            raise ConfigError(f"moe: stop is '{self.stop}'; it is one of {', '.join(STOPS)}")
        if self.experts < 2 or not self.rate > 0 or not self.explorations > 0:
            raise ConfigError(
                f"moe: experts {self.experts} must be at least 2, rate {self.rate} and explorations "
                f"{self.explorations} positive"
            )
        if min(self.balance, self.noise, self.threshold) < 0:
            raise ConfigError("moe: balance, noise and threshold are zero or more")

    @property
    def exploration(self) -> int:
        """Rounds in which the router is updated in any case."""
        return math.ceil(self.explorations * self.experts / self.rate)


class Router(Chooser):
    """Top-1 over ``h_m = θ_m · Σ_i X_i`` with noise; θ starts at zero.

    The mean squared error of the round's samples is zero once the expert has moved, so that the router learns from its
    auxiliary losses alone.
    """

    def __init__(self, config: RouterConfig, streams: int, dimension: int, random: np.random.Generator) -> None:
        """At zero.

        Args:
            config: Its settings.
            streams: S.
            dimension: D.
            random: For the noise.
        """
        self.config, self.experts, self._random = config, config.experts, random
        self.theta_SMD: Floats = np.zeros((streams, config.experts, dimension))
        self._every = np.arange(streams)
        self._used_SM = np.zeros((streams, config.experts))
        self._converged_SM = np.zeros((streams, config.experts), dtype=bool)
        self._stopped_S: Integers = np.zeros(streams, dtype=np.intp)

    def choose(self, drawn: Round) -> Integers:
        """The expert with the highest gate after noise."""
        self._summed_SD = drawn.samples_SDI.sum(-1)
        self._gates_SM = np.einsum("smd,sd->sm", self.theta_SMD, self._summed_SD)
        noise_SM = self.config.noise * self._random.random(self._gates_SM.shape)
        chosen_S: Integers = np.argmax(self._gates_SM + noise_SM, axis=1)
        self._chosen_S = chosen_S
        return chosen_S

    def learn(self, number: int, moved_S: Floats) -> None:
        """One step of gradient descent on ``θ`` for the streams in which the router is still updated."""
        self._used_SM[self._every, self._chosen_S] += 1
        self._end(number)
        config = self.config
        share_S = self._used_SM[self._every, self._chosen_S] / number
        # Only the chosen expert has moved, and only its probability of this round is new in P.
        slope_S = config.balance * config.experts * share_S / number
        if config.locality:
            slope_S = slope_S + moved_S
        slope_S = np.where(self._stopped_S > 0, 0.0, slope_S)
        probability_SM = _softmax(self._gates_SM)
        chosen_SM = np.eye(config.experts)[self._chosen_S]
        chance_S = probability_SM[self._every, self._chosen_S]
        gradient_SM = (slope_S * chance_S)[:, None] * (chosen_SM - probability_SM)
        self.theta_SMD -= config.rate * gradient_SM[:, :, None] * self._summed_SD[:, None]

    def _end(self, number: int) -> None:
        """Note where the router has got its last update, which was in the round before."""
        config = self.config
        if config.stop == "never" or number <= config.exploration:
            return
        ends_S: NDArray[np.bool_] = np.ones(len(self._every), dtype=bool)
        if config.stop == "converged":
            lead_S = self._gates_SM[self._every, self._chosen_S] - self._gates_SM.min(1)
            self._converged_SM[self._every, self._chosen_S] |= lead_S > config.threshold
            ends_S = np.all(self._converged_SM, axis=1)
        self._stopped_S = np.where((self._stopped_S == 0) & ends_S, number - 1, self._stopped_S)

    def stopped(self) -> Integers:
        """By stream."""
        return self._stopped_S


def _softmax(gates_SM: Floats) -> Floats:
    raised = np.exp(gates_SM - gates_SM.max(1, keepdims=True))
    found: Floats = raised / raised.sum(1, keepdims=True)
    return found
