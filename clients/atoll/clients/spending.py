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

DP_SGD, LAPLACE, MECHANISM, NO_PROMISE = "dp-sgd", "laplace", "mechanism", "no promise"
"""Steps of DP-SGD whose noise is known; tables with Laplace noise; what else has an (ε, δ); and what has none."""


@dataclass(frozen=True, kw_only=True)
class Spend(Unit):
    """One thing that leaves.

    Attributes:
        what: In words.
        mechanism: ``dp-sgd``, ``laplace``, ``mechanism`` (another, by its ε and δ alone) or ``no promise``.
        key: Digest of what leaves: the same again costs nothing.
        unit: Of privacy: ``sequence``, ``user``, ``document`` …
        epsilon: ε by itself; 0 without a promise.
        delta: δ by itself.
        noise: Of DP-SGD, the noise multiplier.
        rate: Of DP-SGD, the chance of a unit to be in a step.
        steps: Of DP-SGD.
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
    steps = [spend for spend in counted if spend.mechanism == DP_SGD]
    basic = Total(sum(s.epsilon for s in counted), sum(s.delta for s in counted), "basic composition")
    if len(steps) < 2:
        return basic
    tables = [spend for spend in counted if spend.mechanism != DP_SGD]
    delta = max(spend.delta for spend in steps)
    renyi = _renyi([(s.noise, s.rate, s.steps) for s in steps], delta) + sum(s.epsilon for s in tables)
    if renyi >= basic.epsilon:
        return basic
    return Total(renyi, delta + sum(s.delta for s in tables), "Rényi composition of DP-SGD (Opacus), the rest added")


def _renyi(history: list[tuple[float, float, int]], delta: float) -> float:
    try:
        accountant = importlib.import_module("opacus.accountants").RDPAccountant()
    except ModuleNotFoundError as error:
        raise ConfigError("the privacy account needs Opacus: pip install 'atoll[privacy]'") from error
    accountant.history = history
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the", category=UserWarning)
        return float(accountant.get_epsilon(delta=delta))
