"""Figures over sites: means and gaps, and the gap between groups of patients.

The gap of true-positive rates is that of equal opportunity (Hardt, Price and Srebro 2016, arXiv 1610.02413).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

BY_SITE = ("auroc", "accuracy", "brier", "ece", "tpr")


def over_sites(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """``FIGURE/mean`` and ``FIGURE/gap``, best less worst, of figures by site that every site has.

    Args:
        figures: By figure, then by site; NaN where a site's patients do not define it.
    """
    found: dict[str, float] = {}
    for name in BY_SITE:
        values = [value for value in figures.get(name, {}).values() if math.isfinite(value)]
        if values:
            found |= {f"{name}/mean": float(np.mean(values)), f"{name}/gap": max(values) - min(values)}
    return found


def between_groups(
    rates: Mapping[str, Mapping[str, float]], positives: Mapping[str, Mapping[str, int]], column: str
) -> dict[str, float]:
    """``tpr@GROUP/pooled`` over all sites, and ``tpr/COLUMN gap`` between the best and the worst group.

    Rates of few patients say nothing, so those of a group are pooled over sites: positives found over positives.

    Args:
        rates: True-positive rates by group, then by site.
        positives: How many positives of each group a site has, by group, then by site.
        column: Of the groups.
    """
    pooled = {}
    for group, by_site in rates.items():
        held = {site: count for site, count in positives[group].items() if count}
        if held and all(math.isfinite(by_site.get(site, math.nan)) for site in held):
            caught = sum(by_site[site] * count for site, count in held.items())
            pooled[group] = caught / sum(held.values())
    found = {f"tpr@{group}/pooled": rate for group, rate in pooled.items()}
    if len(pooled) > 1:
        found[f"tpr/{column} gap"] = max(pooled.values()) - min(pooled.values())
    return found


def positives_of(label: NDArray[np.int64], groups: Mapping[str, NDArray[np.bool_]]) -> dict[str, int]:
    """How many positives there are of each group."""
    return {name: int((label[rows] == 1).sum()) for name, rows in groups.items()}


def columns_of(matrix_silos: Sequence[str], last_row: Sequence[float]) -> dict[str, float]:
    """A stream's last row by silo."""
    return dict(zip(matrix_silos, map(float, last_row), strict=True))
