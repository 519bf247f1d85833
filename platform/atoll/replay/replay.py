"""The extension point ``Replay``: how samples are drawn that stand in for data that is not there."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import ConfigError
from atoll.replay.disclosure import Disclosure
from atoll.replay.prior import Prior
from atoll.replay.teacher import Teacher

GROUP = "atoll.replay"
"""Entry points of generators."""

Sample = Mapping[str, Tensor]
"""One sample's tensors by name, without a batch dimension and without padding."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The public context of generators of token sequences.

    Attributes:
        size: Tokens that there are; a model's further columns are padding.
        end: The token that closes a document and stands before the next.
        longest: The most tokens of a sample, with the ends.

    Raises:
        ConfigError: an impossible value.
    """

    size: int
    end: int
    longest: int

    def __post_init__(self) -> None:
        if not 0 <= self.end < self.size or self.longest < 2:
            raise ConfigError(
                f"replay: a vocabulary of {self.size} tokens with end {self.end} and samples of {self.longest}: "
                "the end must be one of the tokens, and a sample must have room for two"
            )


class Replay(ABC):
    """A generator of replay for some kinds of data: a value, whose fields are its options.

    At the owner :meth:`remember` makes the prior, all that is kept of its data. Wherever the teacher runs,
    :meth:`generate` draws samples from it, from the prior and from what is public; or, where an owner refuses a prior,
    without it.

    Attributes:
        name: As registered.
        workloads: Names of the workloads whose samples it draws. They say what an owner's data, the public context and
            templates are: for ``text`` documents as sequences of token ids, a :class:`Vocabulary` and no templates;
            for ``mobility`` trajectories, the city, and trajectories whose times are taken; for ``images`` and
            ``tabular`` labelled features, a feature space and no templates.
        above: Module of the anchor whose outputs samples are, where they are none of its inputs; empty where they are.
            What draws from it must be left as the anchor has it, or samples no longer mean what they did.
    """

    name: ClassVar[str]
    workloads: ClassVar[tuple[str, ...]]
    above: ClassVar[str] = ""

    @abstractmethod
    def remember(self, private: Any, context: Any, disclosure: Disclosure) -> Prior:
        """What is kept of an owner's data, at the owner.

        It is deterministic but for the noise, whose seed is the owner's own (``disclosure.secret``).

        Raises:
            DataError: there is no data, or nothing that may be told of it.
        """

    @abstractmethod
    def generate(
        self,
        teacher: Teacher,
        prior: Prior | None,
        context: Any,
        *,
        budget: int,
        seed: int,
        templates: Any = None,
        batch: int = 64,
    ) -> list[Sample]:
        """Exactly ``budget`` samples.

        Sample i depends on the arguments but for ``batch``: up to a rounding of the model's scores, which batches of
        other sizes may differ by, it is the same for every size.

        Args:
            teacher: The frozen earlier model.
            prior: Of the owner whose data is stood in for; ``None`` where it was refused.
            context: What is public of that owner's domain.
            budget: How many.
            seed: Of all choices.
            templates: What the samples are aligned to, where the generator needs that.
            batch: How many are drawn at a time.

        Raises:
            ConfigError: no budget, or templates missing or in vain.
            PackageError: a prior of another generator or of other data.
        """

    @abstractmethod
    def tokens(self, sample: Sample) -> NDArray[np.int64]:
        """The whole numbers, [S], by which a sample is compared with others; never negative."""

    @abstractmethod
    def private_tokens(self, private: Any) -> list[NDArray[np.int64]]:
        """The same of an owner's data, for comparisons on its own machine."""

    @abstractmethod
    def batch(self, samples: Sequence[Sample], context: Any) -> tuple[dict[str, Tensor], Tensor]:
        """Samples side by side: keyword arguments of the model, and a bool mask [B, S] that is False at padding."""


def check_draw(name: str, budget: int, batch: int) -> None:
    """Raise ConfigError for a budget or a batch of nothing."""
    if budget < 1 or batch < 1:
        raise ConfigError(f"replay {name}: budget {budget} and batch {batch} must be at least 1")
