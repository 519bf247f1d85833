"""What leaves under differential privacy, and what several such things spend together.

Figures with Gaussian noise compose exactly: their squared signals add up, and the ε of the sum is that of one Gaussian
mechanism (Dong, Roth and Su 2019, arXiv 1905.02383, corollaries 2.13 and 3.3). Steps of DP-SGD compose by Opacus'
Rényi accountant (Mironov 2017, arXiv 1702.07476; all steps of all trainings as one history, the figures as one step
more). The ε of Laplace tables are added (basic composition, Dwork and Roth 2014, theorem 3.16). Where plain sums of all
(ε, δ) are less, as for a single training, they are the total.

Neighbours differ in one unit. A unit of DP-SGD is added or taken away and one of a table replaced by another, which
bounds the former. Of units of different size (a window of text, a document, a person) the total is a promise to the
smallest.
"""

import importlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import log_ndtr

from atoll.errors import ConfigError
from atoll.federation.units import Unit

DP_SGD, GAUSSIAN, LAPLACE, MECHANISM, NO_PROMISE = "dp-sgd", "gaussian", "laplace", "mechanism", "no promise"
"""Steps of DP-SGD whose noise is known; figures with Gaussian noise, which everybody is in; tables with Laplace noise;
what else has an (ε, δ); and what has none.
"""
_STEPS = (DP_SGD, GAUSSIAN)
DELTA = 1e-5
"""δ at which the ε of figures is told."""


@dataclass(frozen=True, kw_only=True)
class Spend(Unit):
    """One thing that leaves.

    Attributes:
        what: In words.
        mechanism: ``dp-sgd``, ``gaussian``, ``laplace``, ``mechanism`` (another, by its ε and δ alone) or
            ``no promise``.
        key: Digest of what leaves: the same again costs nothing.
        unit: Of privacy: ``sequence``, ``user``, ``document`` …
        epsilon: ε by itself; 0 without a promise.
        delta: δ by itself.
        noise: Of DP-SGD and of Gaussian noise, its standard deviation over the sensitivity.
        rate: The chance of a unit to be in a step; 1 for Gaussian noise.
        steps: How many steps, or figures.
    """

    what: str
    mechanism: str = NO_PROMISE
    key: str = ""
    unit: str = ""
    epsilon: float = 0.0
    delta: float = 0.0
    noise: float = 0.0
    rate: float = 0.0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Total:
    """What several things spend together.

    Attributes:
        epsilon: ε.
        delta: δ.
        composition: How it was summed up.
    """

    epsilon: float
    delta: float
    composition: str


def total(spends: Sequence[Spend]) -> Total:
    """What things with a promise spend together, each counted once.

    Raises:
        ConfigError: there are steps of DP-SGD beside others, and Opacus is not installed.
    """
    once = {spend.key or str(number): spend for number, spend in enumerate(spends) if spend.mechanism != NO_PROMISE}
    told = [spend for spend in once.values() if spend.mechanism == GAUSSIAN]
    trainings = [spend for spend in once.values() if spend.mechanism == DP_SGD]
    tables = [spend for spend in once.values() if spend.mechanism not in _STEPS]
    figures = [_together(told)] if told else []
    counted = [*trainings, *tables, *figures]
    basic = Total(sum(s.epsilon for s in counted), sum(s.delta for s in counted), _named("basic composition", told))
    steps = [*trainings, *figures]
    if len(steps) < 2:
        return basic
    delta = max(spend.delta for spend in steps)
    renyi = _renyi([(s.noise, s.rate, s.steps) for s in steps], delta) + sum(s.epsilon for s in tables)
    if renyi >= basic.epsilon:
        return basic
    name = _named("Rényi composition of steps (Opacus), the rest added", told)
    return Total(renyi, delta + sum(s.delta for s in tables), name)


def gaussian(what: str, key: str, unit: str, noise: float, figures: int = 1) -> Spend:
    """What figures with Gaussian noise spend, at δ = :data:`DELTA`.

    Args:
        what: In words.
        key: Digest of what leaves.
        unit: Of privacy.
        noise: Standard deviation over how much one unit changes a figure.
        figures: How many numbers, each with noise of its own.
    """
    return Spend(
        what=what,
        mechanism=GAUSSIAN,
        key=key,
        unit=unit,
        epsilon=gaussian_epsilon(math.sqrt(figures) / noise),
        delta=DELTA,
        noise=noise,
        rate=1.0,
        steps=figures,
    )


def gaussian_epsilon(signal: float, delta: float = DELTA) -> float:
    """The ε of a Gaussian mechanism at δ, exactly (Dong et al. 2019, corollary 2.13; Balle and Wang 2018, theorem 8).

    Args:
        signal: μ, by how many standard deviations of the noise one unit moves what is told.
        delta: δ.
    """

    def excess(epsilon: float) -> float:
        """By how much the δ of an ε is above the wanted one."""
        near, far = log_ndtr(signal / 2 - epsilon / signal), log_ndtr(-signal / 2 - epsilon / signal)
        return float(math.exp(near) - math.exp(min(epsilon + far, 0.0))) - delta

    if excess(0.0) <= 0:
        return 0.0
    # The tail of a normal variable below δ is beyond z; ε = μ (z + μ / 2) is enough then.
    return float(brentq(excess, 0.0, signal * (math.sqrt(-2 * math.log(delta)) + signal / 2), xtol=1e-9))


def _together(figures: Sequence[Spend]) -> Spend:
    """Figures with Gaussian noise as the one of the same signal."""
    signal = math.sqrt(sum(each.steps / each.noise**2 for each in figures))
    return gaussian("figures", "", "", 1 / signal)


def _named(composition: str, figures: Sequence[Spend]) -> str:
    return f"{composition}; figures together as one Gaussian mechanism" if len(figures) > 1 else composition


def _renyi(history: list[tuple[float, float, int]], delta: float) -> float:
    try:
        accountant = importlib.import_module("opacus.accountants").RDPAccountant()
    except ModuleNotFoundError as error:
        raise ConfigError("the privacy account needs Opacus: pip install 'atoll[privacy]'") from error
    accountant.history = history
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the", category=UserWarning)
        return float(accountant.get_epsilon(delta=delta))
