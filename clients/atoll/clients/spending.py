"""What leaves under differential privacy, and what several such things spend together.

Composition is by Opacus' Rényi accountant for steps of DP-SGD (Mironov 2017, arXiv 1702.07476; all steps of all
trainings as one history), to which the ε of Laplace tables are added (basic composition, Dwork and Roth 2014, theorem
3.16). Where plain sums of all (ε, δ) are less, as for a single training, they are the total.

Neighbours differ in one unit. A unit of DP-SGD is added or taken away and one of a table replaced by another, which
bounds the former. Of units of different size (a window of text, a document, a person) the total is a promise to the
smallest.
"""

import importlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from atoll.errors import ConfigError
from atoll.federation.units import Unit

DP_SGD, GAUSSIAN, LAPLACE, MECHANISM, NO_PROMISE = "dp-sgd", "gaussian", "laplace", "mechanism", "no promise"
"""Steps of DP-SGD whose noise is known; figures with Gaussian noise, which are steps that everybody is in; tables with
Laplace noise; what else has an (ε, δ); and what has none.
"""
_STEPS = (DP_SGD, GAUSSIAN)


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
        ConfigError: there are steps of DP-SGD, and Opacus is not installed.
    """
    once = {spend.key or str(number): spend for number, spend in enumerate(spends) if spend.mechanism != NO_PROMISE}
    counted = list(once.values())
    steps = [spend for spend in counted if spend.mechanism in _STEPS]
    basic = Total(sum(s.epsilon for s in counted), sum(s.delta for s in counted), "basic composition")
    if len(steps) < 2:
        return basic
    tables = [spend for spend in counted if spend.mechanism not in _STEPS]
    delta = max(spend.delta for spend in steps)
    renyi = _renyi([(s.noise, s.rate, s.steps) for s in steps], delta) + sum(s.epsilon for s in tables)
    if renyi >= basic.epsilon:
        return basic
    return Total(
        renyi, delta + sum(s.delta for s in tables), "Rényi composition of Gaussian noise (Opacus), the rest added"
    )


def gaussian(what: str, key: str, unit: str, noise: float, figures: int, delta: float) -> Spend:
    """What figures with Gaussian noise spend.

    Args:
        what: In words.
        key: Digest of what leaves.
        unit: Of privacy.
        noise: Standard deviation over how much one unit changes a figure.
        figures: How many numbers, each with noise of its own.
        delta: δ.

    Raises:
        ConfigError: Opacus is not installed.
    """
    epsilon = _renyi([(noise, 1.0, figures)], delta)
    return Spend(
        what=what,
        mechanism=GAUSSIAN,
        key=key,
        unit=unit,
        epsilon=epsilon,
        delta=delta,
        noise=noise,
        rate=1.0,
        steps=figures,
    )


def _renyi(history: list[tuple[float, float, int]], delta: float) -> float:
    try:
        accountant = importlib.import_module("opacus.accountants").RDPAccountant()
    except ModuleNotFoundError as error:
        raise ConfigError("the privacy account needs Opacus: pip install 'atoll[privacy]'") from error
    accountant.history = history
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the", category=UserWarning)
        return float(accountant.get_epsilon(delta=delta))
