"""Methods against each other over paired seeds: differences, intervals, and whether a claimed winner is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from atoll.benchmarks.suites.record import Done
from atoll.benchmarks.suites.suite import Suite, case_title
from atoll.continual import Spread, paired_probability, spread_of
from atoll.errors import FederationError

LEVEL = 0.05
"""Of significance, over all claims of a suite together (Holm 1979)."""

Figures = Mapping[str, Mapping[int, float]]
"""By label of the method and seed."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One method minus another over the seeds that both have.

    Attributes:
        case: Title of the case.
        metric: The figure.
        better: Label of the method that is to be better.
        than: The other's.
        spread: Of the differences, turned so that positive means better.
        probability: Of the paired t-test, two-sided; ``None`` for fewer than three seeds.
        holds: Whether it is positive, and significant together with the others that are tested with it.
    """

    case: str
    metric: str
    better: str
    than: str
    spread: Spread
    probability: float | None
    holds: bool

    @property
    def verdict(self) -> str:
        """``yes``; ``not shown`` where it is better and the seeds do not bear it out; ``no`` where it is not."""
        return "yes" if self.holds else "no" if self.spread.mean <= 0 else "not shown"


def figures(done: Sequence[Done], case: str, metric: str) -> dict[str, dict[int, float]]:
    """A figure of one case by method and seed; methods without it are left out."""
    found: dict[str, dict[int, float]] = {}
    for one in done:
        if one.cell.title == case and metric in one.figures:
            found.setdefault(one.cell.method.title, {})[one.cell.seed] = one.figures[metric]
    return found


def check_reported(suite: Suite, done: Sequence[Done]) -> None:
    """That a cell reported the suite's metric: what a study that declares no figures shows only when it has run.

    Raises:
        FederationError: none did; the message lists what there is.
    """
    if done and not any(suite.config.metric in one.figures for one in done):
        known = ", ".join(sorted({name for one in done for name in one.figures}))
        raise FederationError(f"no cell reported the metric '{suite.config.metric}'; there are {known}")


def claims(suite: Suite, done: Sequence[Done]) -> list[Difference]:
    """What the suite claims, in every case, tested together."""
    tested = []
    for case in map(case_title, suite.cases):
        for claim in suite.config.claims:
            metric, higher = suite.claimed(claim)
            made = difference(figures(done, case, metric), claim.better, claim.than, case, metric, higher)
            tested += [made] if made is not None else []
    return holm(tested)


def against(suite: Suite, done: Sequence[Done], case: str, other: str, metric: str, higher: bool) -> list[Difference]:
    """Every method of a case against one, tested together."""
    found = figures(done, case, metric)
    names = [method.title for method in suite.methods if method.title != other]
    made = [difference(found, name, other, case, metric, higher) for name in names]
    return holm([one for one in made if one is not None])


def difference(found: Figures, better: str, than: str, case: str, metric: str, higher: bool) -> Difference | None:
    """Paired over seeds; ``None`` where the two share none."""
    first, second = found.get(better, {}), found.get(than, {})
    sign = 1.0 if higher else -1.0
    pairs = [sign * (first[seed] - second[seed]) for seed in sorted(first.keys() & second.keys())]
    spread = spread_of(pairs) if pairs else None
    if spread is None:
        return None
    return Difference(
        case=case,
        metric=metric,
        better=better,
        than=than,
        spread=spread,
        probability=paired_probability(pairs),
        holds=False,
    )


def holm(tested: Sequence[Difference]) -> list[Difference]:
    """Which differences hold, with the chance of one false finding among all of them bounded by :data:`LEVEL`.

    Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979): the smallest p-value is held against
    LEVEL / n, the next against LEVEL / (n - 1), and so on until one fails.
    """
    order = sorted(range(len(tested)), key=lambda place: _or_one(tested[place].probability))
    held: set[int] = set()
    for done, place in enumerate(order):
        if _or_one(tested[place].probability) > LEVEL / (len(tested) - done):
            break
        held.add(place)
    return [replace(one, holds=place in held and one.spread.mean > 0) for place, one in enumerate(tested)]


def says(one: Difference) -> str:
    """A difference as a sentence."""
    spread = one.spread
    where = f"{one.case}: " if one.case else ""
    interval = "" if spread.low is None else f", 95 % interval {spread.low:+.4f} to {spread.high:+.4f}"
    chance = "fewer than three seeds" if one.probability is None else f"p = {one.probability:.3g}"
    return (
        f"{one.verdict}: {where}{one.better} against {one.than} in {one.metric}: {spread.mean:+.4f} better{interval} "
        f"({chance}, {spread.seeds} seeds)"
    )


def _or_one(probability: float | None) -> float:
    return 1.0 if probability is None else probability
