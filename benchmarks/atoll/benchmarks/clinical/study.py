"""Study ``clinical``: patients of several institutions, with discrimination, calibration and fairness by site."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, cast, final

from atoll.anchors import Anchor
from atoll.benchmarks.arrivals.cell import known_methods, run_cell
from atoll.benchmarks.clinical.config import clinical_run, read_set
from atoll.benchmarks.clinical.fairness import BY_SITE, between_groups, columns_of, over_sites, positives_of
from atoll.benchmarks.clinical.outside import OUTSIDE, cross_site, run_outside
from atoll.benchmarks.datasets.clinical_set import ClinicalSet
from atoll.benchmarks.suites.figure import Figures, higher, lower, with_metrics, workload_streams
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.continual import StreamMatrix
from atoll.coordinator.config import RunConfig
from atoll.errors import ConfigError
from atoll.workloads.tabular import Tabular, TabularConfig
from atoll.workloads.workload import Split

CROSS = "cross-site"
EACH, TOGETHER = ARRIVALS = ("each", "together")


@final
@dataclass(frozen=True)
class Clinical(Study):
    """Sites as silos; the seed says which patients are trained on, and which are tested on.

    Attributes:
        data: ``heart`` or ``thyroid``.
        arrivals: Whether sites arrive one by one (``each``) or all ``together``.
        unknown: A site that comes last, after all others together: before it comes, its patients are of an unknown
            source, and how they fare then is ``unknown/FIGURE``. Empty for none; ``arrivals`` is then what it says.
        steps: Optimizer steps of an arrival, for every method.
        split: What is measured, ``test`` or ``validation``.

    Raises:
        ConfigError: other arrivals.
    """

    name: ClassVar[str] = "clinical"
    data: str = "heart"
    arrivals: str = EACH
    unknown: str = ""
    steps: int = 60
    split: str = "test"

    def __post_init__(self) -> None:
        if self.arrivals not in ARRIVALS:
            raise ConfigError(f"study 'clinical': arrivals is '{self.arrivals}'; it is {' or '.join(ARRIVALS)}")

    def methods(self) -> Mapping[str, str]:
        """Atoll, all baselines, and what is known outside of federated learning."""
        crossed = {CROSS: "logistic regression of every site on every other's patients, as auroc/ONE to OTHER"}
        return {**known_methods(), **OUTSIDE, **crossed}

    def figures(self) -> Figures:
        """Figures of every site, over sites, between groups, and of a site whose source is unknown."""
        return with_metrics(
            workload_streams(["tabular"]),
            higher("auroc/mean", "accuracy/mean", "tpr/mean", "auroc/* to *", "tpr@*/pooled"),
            lower("brier/mean", "ece/mean", *(f"{name}/gap" for name in BY_SITE), "tpr/* gap"),
            lower("unknown/loss", "unknown/brier*", "unknown/ece*"),
            higher("unknown/accuracy*", "unknown/auroc*", "unknown/tpr*"),
        )

    def run(self, work: Work) -> Outcome:
        """One method; figures of every site, and over sites."""
        found = read_set(self.data)
        config = clinical_run(
            found, work.folder, work.seed, stages=self._stages(found), steps=self.steps, split=self.split
        )
        split = cast(Split, self.split)
        if work.method.name == CROSS:
            crossed = cross_site(_open(config), split, work.seed)
            return Outcome(metrics={f"auroc/{one} to {other}": area for (one, other), area in crossed.items()})
        if work.method.name in OUTSIDE:
            outcome = Outcome(streams=run_outside(work.method.name, _open(config), split, work.seed))
        else:
            outcome = run_cell(config, work)
        return replace(outcome, metrics={**outcome.metrics, **self._over_sites(outcome.streams, _open(config), found)})

    def _stages(self, found: ClinicalSet) -> list[list[str]]:
        sites = list(found.sites)
        if not self.unknown:
            return [sites] if self.arrivals == TOGETHER else [[site] for site in sites]
        if self.unknown not in sites:
            raise ConfigError(f"study 'clinical': unknown is '{self.unknown}', no site: there are {', '.join(sites)}")
        return [[site for site in sites if site != self.unknown], [self.unknown]]

    def _over_sites(
        self, streams: Mapping[str, StreamMatrix], workloads: Mapping[str, Tabular], found: ClinicalSet
    ) -> dict[str, float]:
        last = {name: columns_of(matrix.silos, matrix.values[-1]) for name, matrix in streams.items()}
        figures = over_sites(last)
        for column in found.schema.groups:
            groups = [name for name in next(iter(workloads.values())).group_names if name.startswith(f"{column}=")]
            held = {site: _positives(workload, cast(Split, self.split)) for site, workload in workloads.items()}
            rates = {name: last[f"tpr@{name}"] for name in groups if f"tpr@{name}" in last}
            counts = {name: {site: held[site][name] for site in workloads} for name in rates}
            figures |= between_groups(rates, counts, column)
        if self.unknown:
            figures |= _before(self.unknown, streams)
        return figures


def _before(site: str, streams: Mapping[str, StreamMatrix]) -> dict[str, float]:
    """How a site's patients fared when its source was unknown: after the first of two stages."""
    staged = {name: matrix for name, matrix in streams.items() if len(matrix.stages) > 1}
    found = {name: float(matrix.values[1, matrix.silos.index(site)]) for name, matrix in staged.items()}
    return {f"unknown/{name}": value for name, value in found.items() if math.isfinite(value)}


def _open(config: RunConfig) -> dict[str, Tabular]:
    """Every site's data."""
    anchor = Anchor.open(Path(config.anchor))
    return {silo.name: Tabular(cast(TabularConfig, silo.data), anchor) for silo in config.silos}


def _positives(workload: Tabular, split: Split) -> dict[str, int]:
    batch = workload.samples(split, workload.evaluation_indices(split))
    groups = {name: rows.numpy() for name, rows in workload.groups_of(batch.targets).items()}
    return positives_of(batch.targets["label"].numpy(), groups)
