"""A paper's figures beside one's own: does the order of the methods agree?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any


@dataclass(frozen=True)
class PublishedConfig:
    """What a paper found.

    Attributes:
        source: Paper and table; empty where nothing was published.
        metric: What the paper calls its figure.
        figures: By the label of the method; or by the title of the case, and then by the label.
        higher_is_better: Of the figure.
        note: What is different here.
    """

    source: str = ""
    metric: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    higher_is_better: bool = True
    note: str = ""

    def of(self, case: str) -> dict[str, float]:
        """Figures by label, of one case; empty where the paper has none."""
        found = self.figures.get(case, self.figures)
        return {name: float(value) for name, value in found.items() if not isinstance(value, dict)}


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Whether two orders of methods agree, pair by pair.

    Attributes:
        pairs: Pairs that both tables hold and the paper does not call equal.
        agreeing: Those that come in the same order.
        clear: Those of ``pairs`` whose difference here is larger than its spread over seeds.
        against: Clear ones that come in the other order, as ``(better in the paper, better here)``.
    """

    pairs: int
    agreeing: int
    clear: int
    against: tuple[tuple[str, str], ...]


def agreement(
    theirs: Mapping[str, float],
    ours: Mapping[str, float],
    clear: Mapping[tuple[str, str], bool],
    *,
    theirs_higher: bool = True,
    ours_higher: bool = True,
) -> Agreement:
    """Compare the order of every pair of methods that both have.

    Args:
        theirs: Published figures by method.
        ours: Means over seeds by method.
        clear: Whether the seeds tell a pair apart, by names in either order.
        theirs_higher: Whether a higher published figure is better.
        ours_higher: The same of ours.
    """
    shared = [name for name in theirs if name in ours]
    pairs = [pair for pair in combinations(shared, 2) if theirs[pair[0]] != theirs[pair[1]]]
    ordered = [_ordered(pair, theirs, theirs_higher) for pair in pairs]
    same = [pair for pair in ordered if _ordered(pair, ours, ours_higher) == pair]
    sure = [pair for pair in ordered if clear.get(pair, clear.get(pair[::-1], False))]
    against = tuple(pair for pair in sure if pair not in same)
    return Agreement(pairs=len(pairs), agreeing=len(same), clear=len(sure), against=against)


def _ordered(pair: tuple[str, str], figures: Mapping[str, float], higher: bool) -> tuple[str, str]:
    first, second = pair
    better = figures[first] >= figures[second] if higher else figures[first] <= figures[second]
    return (first, second) if better else (second, first)
