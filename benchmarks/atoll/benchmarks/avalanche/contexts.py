"""A stream of labelled arrays as one plain value: contexts that come one after the other, under one of three scenarios.

Scenarios are those of van de Ven, Tuytelaars and Tolias 2022 ("Three types of incremental learning", doi
10.1038/s42256-022-00568-3): the same contexts, and more or less told of them when it comes to predicting.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import DataError

Scenario = Literal["task", "domain", "class"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, eq=False, slots=True)
class Samples:
    """Inputs and labels.

    Attributes:
        inputs: float32 [N, ...]: images, or vectors of features.
        labels: int64 [N], not negative.

    Raises:
        DataError: other shapes or types, or a value that is not finite.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.inputs.ndim < 2 or self.inputs.dtype != np.float32 or self.labels.dtype != np.int64:
            raise DataError(
                f"samples are float32 [N, ...] with int64 [N], not {self.inputs.dtype} {self.inputs.shape} with "
                f"{self.labels.dtype} {self.labels.shape}"
            )
        if self.labels.shape != self.inputs.shape[:1]:
            raise DataError(f"{len(self.inputs)} samples have labels of shape {self.labels.shape}")
        if not np.isfinite(self.inputs).all() or (self.labels < 0).any():
            raise DataError("samples hold a value that is not finite, or a negative label")

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, classes: Sequence[int]) -> "Samples":
        """Those of these classes, in order."""
        kept = np.isin(self.labels, classes)
        return Samples(self.inputs[kept], self.labels[kept])

    def tensors(self, device: str = "cpu") -> tuple[Tensor, Tensor]:
        """Inputs [N, ...] and labels [N]."""
        return torch.from_numpy(self.inputs).to(device), torch.from_numpy(self.labels).to(device)


@dataclass(frozen=True, eq=False, slots=True)
class Context:
    """What arrives at one stage of a stream.

    Attributes:
        name: Of the context.
        classes: Labels that can occur in it, sorted.
        train: To learn from.
        validation: To tune on.
        test: To report.

    Raises:
        DataError: a part is empty, or has another label.
    """

    name: str
    classes: tuple[int, ...]
    train: Samples
    validation: Samples
    test: Samples

    def __post_init__(self) -> None:
        for name in PARTS:
            found = set(np.unique(self.part(name).labels).tolist())
            if not found or found - set(self.classes):
                raise DataError(
                    f"context '{self.name}': {name} has labels {sorted(found)}, where {list(self.classes)} can occur"
                )

    def part(self, name: Part) -> Samples:
        """Training, validation or test data."""
        parts: dict[str, Samples] = {"train": self.train, "validation": self.validation, "test": self.test}
        return parts[name]


@dataclass(frozen=True, eq=False, slots=True)
class ContextStream:
    """Contexts in order of arrival.

    Attributes:
        scenario: ``task``: the context is told, and only its own classes are to be told apart; ``domain``: every
            context has the same classes, and is not told; ``class``: all classes are to be told apart, and the
            context is not told.
        contexts: At least one; names differ.
        classes: How many outputs a model has; labels are below.

    Raises:
        DataError: contexts that do not fit the scenario or one another.
    """

    scenario: Scenario
    contexts: tuple[Context, ...]
    classes: int

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIOS:
            raise DataError(f"a stream's scenario is '{self.scenario}'; there are {', '.join(SCENARIOS)}")
        if not self.contexts or len(set(self.names)) < len(self.contexts):
            raise DataError(f"a stream needs contexts of different names, not {list(self.names)}")
        if max(label for context in self.contexts for label in context.classes) >= self.classes:
            raise DataError(f"a stream of {self.classes} classes has labels beyond")
        if len({context.train.inputs.shape[1:] for context in self.contexts}) > 1:
            raise DataError("contexts of one stream have inputs of one shape")
        if self.scenario == "domain" and len({context.classes for context in self.contexts}) > 1:
            raise DataError("in a domain-incremental stream every context has the same classes")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the contexts, in order of arrival."""
        return tuple(context.name for context in self.contexts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return self.contexts[0].train.inputs.shape[1:]

    def allowed(self) -> Tensor:
        """The outputs that a model may choose among in each context, bool [contexts, classes]: all, or where the
        context is told its own.
        """
        if self.scenario != "task":
            return torch.ones(len(self.contexts), self.classes, dtype=torch.bool)
        return torch.stack([torch.isin(torch.arange(self.classes), torch.tensor(c.classes)) for c in self.contexts])


def split_classes(
    whole: Context, groups: Sequence[Sequence[int]], scenario: Scenario, classes: int | None = None
) -> ContextStream:
    """One data set as a stream, each context some of its classes: the Split protocol of Zenke, Poole and Ganguli 2017
    (arXiv 1703.04200).

    In a domain-incremental stream a label is the place of its class within the group: with pairs of digits in order,
    even or odd.

    Args:
        whole: All of the data.
        groups: The classes of each context.
        scenario: What a model is told.
        classes: How many outputs; as many as there are labels if not given.

    Raises:
        DataError: a class twice, or one that there is not; in a domain-incremental stream groups of different sizes.
    """
    flat = [label for group in groups for label in group]
    if len(set(flat)) < len(flat) or not flat:
        raise DataError(f"groups of classes {[list(group) for group in groups]}: each class belongs to one")
    if unknown := sorted(set(flat) - set(whole.classes)):
        raise DataError(f"groups name class {unknown[0]}; '{whole.name}' has {list(whole.classes)}")
    if scenario == "domain" and len({len(group) for group in groups}) > 1:
        raise DataError("in a domain-incremental stream every context has as many classes")
    contexts = tuple(_context(whole, group, scenario) for group in groups)
    labels = 1 + max(label for context in contexts for label in context.classes)
    return ContextStream(scenario, contexts, labels if classes is None else classes)


def _context(whole: Context, group: Sequence[int], scenario: Scenario) -> Context:
    made = Context(
        name="-".join(map(str, group)),
        classes=tuple(sorted(group)),
        train=whole.train.of(group),
        validation=whole.validation.of(group),
        test=whole.test.of(group),
    )
    if scenario != "domain":
        return made
    train, validation, test = (_placed(made.part(name), group) for name in PARTS)
    return replace(made, classes=tuple(range(len(group))), train=train, validation=validation, test=test)


def _placed(samples: Samples, group: Sequence[int]) -> Samples:
    labels = np.argmax(samples.labels[:, None] == np.asarray(group)[None], axis=1)
    return Samples(samples.inputs, labels.astype(np.int64))
