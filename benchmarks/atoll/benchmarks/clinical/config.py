"""Patients of several institutions as a run of arriving silos."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from atoll.anchors.classifier import make_tabular_anchor
from atoll.benchmarks.datasets import heart_disease, thyroid
from atoll.benchmarks.datasets.clinical_set import ClinicalSet
from atoll.continual.budget import Budget
from atoll.coordinator.config import DescriptorConfig, EvaluationConfig, RunConfig, SiloConfig
from atoll.coordinator.stream.config import StreamConfig
from atoll.errors import ConfigError
from atoll.experts.training import TrainingConfig
from atoll.federation.node_config import ReplayTerms
from atoll.federation.units import Choice
from atoll.privacy.audit_config import AuditConfig
from atoll.workloads.tabular import TabularConfig

SETS: Mapping[str, Callable[[], ClinicalSet]] = {"heart": heart_disease.read, "thyroid": thyroid.read}
"""By name."""
VALIDATION, TEST = 0.15, 0.35
"""Shares of the patients: sites are small, and figures of them need patients."""
_TEMPERATURE, _ANCHOR = 4.0, -20.0
"""Of the router: its default temperature is made for texts, and a row is one position; the anchor, which knows nothing
of the classes, has no say."""


def read_set(name: str) -> ClinicalSet:
    """The data set of that name.

    Raises:
        ConfigError: there is none.
        DataError: its package is not installed.
    """
    if name not in SETS:
        raise ConfigError(f"clinical: there is no data set '{name}': there are {', '.join(SETS)}")
    return SETS[name]()


def tables(found: ClinicalSet, folder: Path, seed: int) -> dict[str, TabularConfig]:
    """Every site's rows as a file below a folder, and how they are read: the seed says who is tested on."""
    paths = found.write(folder)
    return {
        site: TabularConfig(
            paths=[str(path.absolute())], invalid="missing", validation=VALIDATION, test=TEST, salt=str(seed)
        )
        for site, path in paths.items()
    }


def clinical_run(
    found: ClinicalSet, folder: Path, seed: int, *, stages: Sequence[Sequence[str]], steps: int, split: str
) -> RunConfig:
    """The run in which the sites arrive.

    Args:
        found: The patients.
        folder: For the tables and the anchor, which is made of the schema alone.
        seed: Of the splits and of training.
        stages: Sites in order of arrival.
        steps: Optimizer steps of an arrival, for Atoll and for every baseline.
        split: What is measured.
    """
    anchor = folder / "anchor"
    make_tabular_anchor(found.schema, anchor)
    silos = [
        SiloConfig(name=site, domain=f"{found.name}: {site}", data=data, replay=ReplayTerms(tell="counts"))
        for site, data in tables(found, folder / "tables", seed).items()
    ]
    budget = Budget(steps=steps, batch=32, learning_rate=1e-3)
    return RunConfig(
        title=f"Clinical: {found.name}",
        anchor=str(anchor.absolute()),
        seed=seed,
        silos=silos,
        training=TrainingConfig(
            steps=steps, batch=32, learning_rate=1e-3, evaluate_every=20, validation_windows=0, patience=0
        ),
        descriptor=DescriptorConfig(documents=2000, counted=0),
        router=Choice(name="domain", options={"temperature": _TEMPERATURE, "anchor": _ANCHOR}),
        evaluation=EvaluationConfig(split=split, windows=0, batch=256, baselines={}),
        stream=StreamConfig(
            stages=[list(stage) for stage in stages], metric="auroc", budget=budget, audit=AuditConfig(samples=0)
        ),
    )
