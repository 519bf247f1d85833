"""The training loop under differential privacy: every step is one of DP-SGD (Abadi et al. 2016, arXiv 1607.00133)."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from atoll.clients.spending import DP_SGD, Spend
from atoll.clients.training.loop import Progress, train_by
from atoll.clients.training.privacy_plan import PrivacyPlan, draw, owner_secret, plan_privacy, step_generator
from atoll.clients.training.private import PrivateData, private_step
from atoll.clients.training.trainable import Trainable
from atoll.errors import ConfigError
from atoll.experts.card import Privacy
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.training import TrainingConfig
from atoll.workloads.workload import Workload


@dataclass(frozen=True, eq=False, slots=True)
class PrivateTraining:
    """What a private training keeps to, over one silo's data.

    Attributes:
        plan: Its noise and its random batches.
        persons: For unit ``user``, whose each sequence of the training split is, int64 [N].
        steps: Of the training.
        data: Digest of the data.
    """

    plan: PrivacyPlan
    persons: NDArray[np.int64] | None
    steps: int
    data: str

    def spent(self, steps: int) -> Privacy:
        """(ε, δ) of so many steps, as the accountant counts them.

        The number of steps is settled beforehand, as an accountant takes it to be: nothing ends a private training
        early.
        """
        return Privacy(epsilon=self.plan.epsilon(steps), delta=self.plan.delta)

    def spend(self) -> Spend:
        """What the whole training will spend."""
        plan, spent = self.plan, self.spent(self.steps)
        return Spend(
            what="weights of a private expert",
            mechanism=DP_SGD,
            unit=plan.unit,
            epsilon=spent.epsilon,
            delta=spent.delta,
            noise=plan.noise,
            rate=plan.rate,
            steps=self.steps,
        )

    def facts(self, progress: Progress) -> dict[str, int | float | str | bool]:
        """What an expert's card says of its training.

        Not how many tokens were seen: it tells how many units were drawn, which the accountant takes to be unknown.
        """
        told = {name: value for name, value in progress.facts().items() if name != "tokens_seen"}
        return {**told, "privacy_unit": self.plan.unit, "noise": self.plan.noise, "clip": self.plan.clip}


def settle_privacy(config: PrivacyConfig, training: TrainingConfig, workload: Workload) -> PrivateTraining:
    """Plan a private training on a workload's training split.

    Without a δ of its own, the configuration's is by units or documents, whichever are more, so that it is below one in
    the number of either.

    Raises:
        ConfigError: a unit that the workload cannot tell or that promises nothing, an ε that no noise reaches, or
            Opacus is not installed.
        DataError: too few units.
    """
    if not workload.has_public_inputs:
        raise ConfigError(
            f"privacy.epsilon is {config.epsilon}, but the locations of this city are taken from people's positions, "
            "and are part of everybody's samples; name a table of public places (data.table.locations in node.yaml)"
        )
    persons = workload.persons("train")
    if config.unit == "user" and persons is None:
        raise ConfigError(
            f"privacy.unit is 'user', but workload {workload.name} does not know whose a sample is; take "
            "privacy.unit=sequence, which is a promise about one sample"
        )
    count = len(workload.evaluation_indices("train"))
    if persons is not None:
        people = len(np.unique(persons))
        if config.unit == "sequence" and people < count:
            raise ConfigError(
                "privacy.unit is 'sequence', but somebody here has more than one, and a promise about one of them is "
                "none about the person; take privacy.unit=user"
            )
        count = people
    delta = config.delta or max(count, workload.counts["train"].documents) ** -1.1
    plan = plan_privacy(replace(config, delta=delta), units=count, batch=training.batch, steps=training.steps)
    return PrivateTraining(plan, persons if config.unit == "user" else None, training.steps, workload.key)


def train_privately(
    trainable: Trainable,
    data: PrivateData,
    private: PrivateTraining,
    config: TrainingConfig,
    folder: Path,
    report: Callable[[int, int, str], None],
) -> Progress:
    """Train in place, and leave the parameters of the last step in the trainable.

    No private data but what the noisy steps see has a part in which parameters these are: the validation split neither
    chooses among the steps nor ends the training, so ``config.patience`` has no part in it.

    ``config.clip`` and ``config.accumulation`` have no part in it; the plan's clip and chunk take their place. What a
    step does follows from the owner's secret and its number, so a training that was cut short comes to the same expert.

    Args:
        trainable: What is trained.
        data: The training split.
        private: What to keep to.
        config: The optimization.
        folder: Holds the checkpoint and the owner's secret of this training, and is this training's alone.
        report: Told the step, the number of steps and a note, as training goes; never the training loss.

    Raises:
        DataError: the loss or its gradient became NaN or infinite, or the secret is damaged.
    """
    plan = private.plan
    # One secret may serve a training that is begun anew, by another version of the code or of its libraries, or on
    # another data set that was put in the place of the first. What shapes a step is part of its seed, so that no two
    # different steps have the same noise.
    shape = [repr(plan), repr(config), private.data, *map(version, ("atoll", "torch", "numpy"))]
    secret = hashlib.blake2b(json.dumps(shape).encode(), key=owner_secret(folder / "secret"), digest_size=32).digest()

    def step(optimizer: torch.optim.Optimizer, number: int) -> tuple[str, int]:
        generator = step_generator(secret, number)
        drawn = draw(plan, generator, private.persons)
        private_step(trainable, optimizer, data, drawn, plan, generator, precision=config.precision)
        return f"noise {plan.noise:.2f}", 0

    return train_by(trainable, step, None, config, folder / "checkpoint.pt", report)
