"""Study ``unlearning``: exits from a mixture beside methods that make a model forget an owner."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, final

from filelock import FileLock

from atoll.anchors import cache_root
from atoll.benchmarks.suites.figure import Figures, higher, lower, neither
from atoll.benchmarks.suites.outcome import SECONDS, Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.benchmarks.unlearning.arrivals import co_adapted
from atoll.benchmarks.unlearning.comparison import compare, sides
from atoll.benchmarks.unlearning.methods import OBJECTIVES, UOE, Erasure, Sides, unlearn, unlearn_one_expert
from atoll.benchmarks.unlearning.models import Models
from atoll.benchmarks.unlearning.silos import LEAVES, write_small_silos
from atoll.errors import ConfigError
from atoll.privacy.scorecard import AFTER, BEFORE, NEVER_HAD
from atoll.privacy.unlearning_config import UnlearningConfig
from atoll.replay import Teacher
from atoll.workloads.scoring import document_losses

_METHODS = {
    "joint": "one model of all data, nothing unlearned",
    "gradient-ascent": "the joint model, its loss on the owner's documents raised",
    "gradient-difference": "the same, with the loss on everybody else's lowered",
    "npo": "the joint model, negative preference optimisation with the loss on everybody else's",
    "retrained": "the joint model trained anew without the owner",
    "mixture": "a mixture of experts trained apart, nothing unlearned",
    "uoe": "the mixture, the one expert that the documents are attributed to unlearned (SEUF)",
    "exit": "the mixture under an entitlement without the owner",
    "co-adapted": "the release after an exit from a stream in which others were trained beside the owner",
}


@final
@dataclass(frozen=True)
class Unlearning(Study):
    """Every method is held against its own retrained model: a joint one of the others' data, a mixture that never had
    the expert, or a stream done anew without the owner.

    Attributes:
        anchor: The anchor.
        size: Documents of a silo; about half of them are held out.
        steps: Optimizer steps for each owner's data.
        documents: Documents asked about on either side.
        gradient: Whether membership by gradient norm is measured: ``always`` or ``never``.
    """

    name: ClassVar[str] = "unlearning"
    anchor: str = "atoll-3m"
    size: int = 90
    steps: int = 24
    documents: int = 32
    gradient: str = "always"

    def methods(self) -> Mapping[str, str]:
        """All of them."""
        return _METHODS

    def figures(self) -> Figures:
        """How far a model is from the retrained one, and what it costs everybody else."""
        return Figures(
            metrics=(
                *lower("leakage_size", "loss_gap", "others_loss", "steps"),
                *higher("ks_p", "forget_quality", "attributed", "attribution"),
                # Of a membership attack, of leakage and of losses, neither side is better: the retrained model's is.
                *neither("forget_loss", "holdout_loss", "auc_*", "privacy_leakage", "before/*", "retrained/*"),
            )
        )

    def run(self, work: Work) -> Outcome:
        """Figures of one method; ``before/…`` and ``retrained/…`` beside."""
        config = UnlearningConfig(documents=self.documents, gradient=self.gradient)
        config.check()
        name, options = work.method.name, work.method.options
        if options and name not in (*OBJECTIVES, UOE):
            raise ConfigError(f"method '{name}' has no options")
        models = self._models(work)
        if name == "co-adapted":
            return Outcome(metrics=co_adapted(models, work.folder / "run", config))
        began = time.monotonic()
        compared, further = _compared(models, name, options, config)
        metrics = compare(models.nodes, compared, Teacher(models.anchor()), config)
        return Outcome(metrics={**metrics, **further}, costs={SECONDS: time.monotonic() - began})

    def _models(self, work: Work) -> Models:
        mark = hashlib.sha256(json.dumps([asdict(self), work.seed], sort_keys=True).encode()).hexdigest()[:12]
        folder: Path = cache_root() / "bench" / f"unlearning-{mark}"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            nodes = write_small_silos(folder, work.seed, size=self.size, anchor=self.anchor)
        return Models(folder, nodes, self.steps, work.seed)


def _compared(
    models: Models, name: str, options: Mapping[str, Any], config: UnlearningConfig
) -> tuple[dict[str, Teacher], dict[str, float]]:
    """The models of one method by their part in the scorecard, and what else there is to say of it."""
    everybody = list(models.nodes)
    if name in ("mixture", "exit", UOE):
        before, never = Teacher(models.mixture(everybody)), Teacher(models.mixture(models.others))
        if name == "exit":
            return _three(before, Teacher(before.model, models.others), never), {}
        if name == "mixture":
            return _three(before, before, never), {}
        unlearned = models.mixture(everybody)
        both = _sides(models, before, config)
        owner, share, steps = unlearn_one_expert(unlearned, both, _erasure(name, options))
        further = {"attributed": float(owner == LEAVES), "attribution": share, "steps": float(steps)}
        return _three(before, Teacher(unlearned), never), further
    before, never = Teacher(models.joint(everybody)), Teacher(models.joint(models.others))
    if name in ("joint", "retrained"):
        return _three(before, before if name == "joint" else never, never), {}
    model = models.joint(everybody)
    steps = unlearn(model, _sides(models, before, config), _erasure(name, options))
    return _three(before, Teacher(model), never), {"steps": float(steps)}


def _three(before: Teacher, after: Teacher, never: Teacher) -> dict[str, Teacher]:
    return {BEFORE: before, AFTER: after, NEVER_HAD: never}


def _sides(models: Models, before: Teacher, config: UnlearningConfig) -> Sides:
    """What is to be forgotten; what is to stay: everybody else's training documents."""
    forget, holdout = sides(models.nodes[LEAVES], config)
    retain = [sides(models.nodes[owner], config)[0] for owner in models.others]
    return Sides(forget=forget, retain=retain, enough=float(document_losses(before, holdout).mean()))


def _erasure(name: str, options: Mapping[str, Any]) -> Erasure:
    given = {"objective": "gradient-difference" if name == UOE else name, **options}
    try:
        return replace(Erasure(objective=str(given.pop("objective"))), **given)
    except TypeError as error:
        known = ", ".join(Erasure.__dataclass_fields__)
        raise ConfigError(f"method '{name}': {error}; its options are {known}") from error
