"""What a training and its package must rest on before they may leave: section ``training`` of a node's policy."""

from dataclasses import dataclass

from atoll.clients.gate.refusal import Refusal
from atoll.clients.training.basis import TrainBasis
from atoll.clients.training.limits import TrainLimits
from atoll.errors import ConfigError
from atoll.experts.package import PackageFacts
from atoll.federation.units import TrainUnit


@dataclass(frozen=True, kw_only=True)
class TrainingPolicy:
    """Rules for one training, and for all trainings on one version of the data.

    Attributes:
        max_share: Largest share that one document may have in the updates of an expert that is not private; see
            :mod:`atoll.clients.training.basis`.
        min_clip: Least ``training.clip``. A gradient that is clipped to next to nothing passes the optimizer as it is,
            instead of by its signs.
        max_clip: Largest ``training.clip``, and 0 (no clipping) is above it.
        token_documents: Documents of the sample that must hold a token before its share is told.
        figure_digits: Decimals of the validation losses in an expert's card.
        trainings: Trainings on one version of the data, over all coordinators; renewed by
            `atoll node budget FOLDER --renew trainings`.
        max_samples: Samples that one training reads, steps times batch.
        total_epsilon: Largest ε of all that ever leaves with noise, with what was measured, over the life of the node,
            by its privacy account.
        total_delta: Largest δ of the same.
    """

    max_share: float = 0.1
    min_clip: float = 0.01
    max_clip: float = 10.0
    token_documents: int = 20
    figure_digits: int = 3
    trainings: int = 10
    max_samples: int = 5_000_000
    total_epsilon: float = 40.0
    total_delta: float = 0.05

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        for name in ("max_share", "total_delta"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"training.{name} is {getattr(self, name)}; it must be above 0, and at most 1")
        if not 0 <= self.min_clip <= self.max_clip < float("inf"):
            raise ConfigError(
                f"training.min_clip is {self.min_clip} and training.max_clip {self.max_clip}; they must be at least 0, "
                "finite, and in this order"
            )
        if self.token_documents < 1:
            raise ConfigError(f"training.token_documents is {self.token_documents}; it must be at least 1")
        if not 0 <= self.figure_digits <= 15:
            raise ConfigError(f"training.figure_digits is {self.figure_digits}; it must be from 0 to 15")
        if self.max_samples < 1:
            raise ConfigError(f"training.max_samples is {self.max_samples}; it must be at least 1")
        if self.trainings < 0:
            raise ConfigError(f"training.trainings is {self.trainings}; it must be at least 0")
        if not 0 <= self.total_epsilon < float("inf"):
            raise ConfigError(f"training.total_epsilon is {self.total_epsilon}; it must be at least 0, and finite")

    def limits(self, min_documents: int) -> TrainLimits:
        """What the process that trains must keep to."""
        return TrainLimits(
            min_documents=min_documents,
            token_documents=self.token_documents,
            digits=self.figure_digits,
            foreign_figures=False,
        )

    def allow_size(self, unit: TrainUnit) -> None:
        """Raise Refusal for a training that reads more than there may be, before anyone works out what it rests on."""
        samples = unit.training.steps * unit.training.batch
        if samples > self.max_samples:
            raise Refusal(
                f"{samples:,} samples are asked for (training.steps times training.batch), and the policy's "
                f"training.max_samples is {self.max_samples:,}"
            )

    def allow_package(self, unit: TrainUnit, basis: TrainBasis, package: PackageFacts, min_documents: int) -> None:
        """Raise Refusal for a package that is not what was planned: the last look, at what was made.

        Args:
            unit: The work that it comes from.
            basis: What that rests on.
            package: About to leave.
            min_documents: The policy's.
        """
        card, facts = package.card, package.card.training
        if unit.privacy.on != (card.privacy is not None):
            raise Refusal("the expert's card says something else of differential privacy than was asked for")
        if card.metrics and not basis.validation:
            raise Refusal("the expert's card holds figures, and no validation split of enough documents was planned")
        step, every = int(facts.get("best_step", -1)), unit.training.evaluate_every
        looked = step % every == 0 if basis.validation else step == facts.get("steps")
        if not looked and step not in (0, unit.training.steps):
            raise Refusal("the expert's weights are of a step that was not planned")
        if card.privacy is None and package.descriptor.samples < min_documents:
            raise Refusal(f"the descriptor rests on fewer documents than the policy's min_documents ({min_documents})")

    def allow_basis(self, unit: TrainUnit, basis: TrainBasis, min_documents: int, *, private: bool) -> None:
        """Raise Refusal for a training of which anything that leaves would rest on too little.

        Args:
            unit: The work.
            basis: What it rests on.
            min_documents: The policy's.
            private: Whether it is differentially private by the policy's own measure.
        """
        if not basis.declared:
            raise Refusal("this data does not declare which documents its samples are made of, so nothing of it leaves")
        least = _Least(min_documents)
        least.allow(basis.train_documents, "the training", "add data")
        if private:
            return
        if not self.min_clip <= unit.training.clip <= self.max_clip or unit.training.clip == 0:
            raise Refusal(
                f"training.clip is {unit.training.clip:g} (0 is none); the policy allows {self.min_clip:g} "
                f"(training.min_clip) to {self.max_clip:g} (training.max_clip)"
            )
        least.allow(
            basis.fewest,
            "an expert that may leave",
            "raise training.batch, training.steps or training.evaluate_every, or train privately (privacy.epsilon)",
        )
        if not basis.largest_share <= self.max_share:
            raise Refusal(
                "one document would have more of the updates of an expert that may leave than the policy's "
                f"training.max_share ({self.max_share:.1%}): ask for more steps before the first look "
                "(training.evaluate_every), or train privately (privacy.epsilon)"
            )
        least.allow(basis.descriptor, "the descriptor", "raise descriptor.documents")
        if unit.descriptor_counted:
            least.allow(basis.counted, "token shares", "raise descriptor.counted, or set it to 0")
        if basis.validation:
            least.allow(basis.validation, "validation losses", "raise training.validation_windows")
        if unit.past is not None and unit.past.members:
            least.allow(basis.start, "the new expert's start", "raise training.batch")


@dataclass(frozen=True, slots=True)
class _Least:
    """The rule ``min_documents``."""

    documents: int

    def allow(self, found: int, what: str, remedy: str) -> None:
        if found < self.documents:
            raise Refusal(
                f"{what} would rest on fewer documents than the policy's min_documents ({self.documents}): {remedy}"
            )
