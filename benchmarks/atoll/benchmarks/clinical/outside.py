"""What a statistician would do without any of this: logistic regression and boosted trees on the encoded rows.

scikit-learn's own, with its own defaults; each on one site's patients, or on those of all sites together.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from atoll.continual import StreamMatrix
from atoll.errors import ConfigError
from atoll.workloads.classification.figures import class_figures, class_sums
from atoll.workloads.tabular import Tabular
from atoll.workloads.workload import Split

LOGISTIC = "logistic"
OUTSIDE: Mapping[str, str] = {
    "logistic-local": "logistic regression, one a site",
    "logistic-pooled": "logistic regression on all sites' patients together",
    "trees-local": "gradient-boosted trees, one ensemble a site",
    "trees-pooled": "gradient-boosted trees on all sites' patients together",
}
"""Methods by name, with a line about each."""


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Encoded rows [N, F] and their classes [N]."""

    columns: NDArray[np.float32]
    label: NDArray[np.int64]


_FIELDS = ("columns", "label")


def rows_of(workload: Tabular, split: Split) -> Rows:
    """A site's."""
    there = workload.split(split)
    return Rows(np.asarray(there.values, dtype=np.float32), there.label)


def fitted(kind: str, rows: Rows, seed: int) -> Any:
    """A classifier of scikit-learn; ``None`` where all rows are of one class.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ConfigError(f"clinical: {kind} is scikit-learn's ({error}); run: pip install scikit-learn") from error
    if len(np.unique(rows.label)) < 2:
        return None
    made = LogisticRegression(max_iter=2000) if kind == LOGISTIC else HistGradientBoostingClassifier(random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made.fit(rows.columns, rows.label)


def figures_of(model: Any, workload: Tabular, split: Split) -> dict[str, float]:
    """The workload's own figures of a classifier's probabilities; none where there is no classifier."""
    there = workload.split(split)
    if model is None:
        return {}
    probability = torch.from_numpy(model.predict_proba(np.asarray(there.values))).clamp(1e-12, 1)
    batch = workload.samples(split, workload.evaluation_indices(split))
    sums = class_sums(probability.log(), batch.targets["label"], workload.groups_of(batch.targets))
    return class_figures(sums, len(there), probability.shape[1], workload.group_names)


def run_outside(method: str, workloads: Mapping[str, Tabular], split: Split, seed: int) -> dict[str, StreamMatrix]:
    """Every site's figures, each as the last row of a matrix of one stage.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    kind, who = method.split("-")
    train = {site: rows_of(workload, "train") for site, workload in workloads.items()}
    if who == "pooled":
        columns, label = (np.concatenate([getattr(rows, name) for rows in train.values()]) for name in _FIELDS)
        models = dict.fromkeys(workloads, fitted(kind, Rows(columns, label), seed))
    else:
        models = {site: fitted(kind, rows, seed) for site, rows in train.items()}
    found = {site: figures_of(models[site], workload, split) for site, workload in workloads.items()}
    names = sorted({name for figures in found.values() for name in figures})
    stage = [list(workloads)]
    return {
        name: StreamMatrix.blank(name, stage, higher_is_better=name not in ("brier", "ece")).measured(
            1, {site: figures[name] for site, figures in found.items() if name in figures}
        )
        for name in names
    }


def cross_site(workloads: Mapping[str, Tabular], split: Split, seed: int) -> dict[tuple[str, str], float]:
    """Areas under the ROC curve of logistic regression by the site it is trained on and the site it is tested on."""
    models = {site: fitted(LOGISTIC, rows_of(workload, "train"), seed) for site, workload in workloads.items()}
    found = {}
    for one, model in models.items():
        for other, workload in workloads.items():
            figures = figures_of(model, workload, split)
            if "auroc" in figures:
                found[one, other] = figures["auroc"]
    return found
