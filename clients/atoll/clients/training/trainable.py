"""What the training loop needs of an expert in the making, whatever its kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from atoll.errors import DataError
from atoll.mixture import Settings


@dataclass(frozen=True, eq=False, slots=True)
class TrainedExpert:
    """What goes into the package.

    Attributes:
        kind: Name of the expert kind.
        targets: Module paths of the anchor that the expert changes.
        settings: The kind's choices, for the card.
        weights: Tensors by name, as the kind's package holds them.
        extra: Further files of the package by name.
    """

    kind: str
    targets: tuple[str, ...]
    settings: Settings
    weights: Mapping[str, Tensor]
    extra: Mapping[str, bytes] = field(default_factory=dict)


class Trainable(ABC):
    """An anchor with a trainable expert in it."""

    model: nn.Module
    """The causal language model to run, frozen but for :attr:`parameters`."""
    parameters: Mapping[str, nn.Parameter]
    """What is trained, by names that are the same in every process."""

    @abstractmethod
    def auxiliary_loss(self) -> Tensor | None:
        """Loss that the latest forward pass adds to the text's own, if any; a scalar."""

    def state(self) -> dict[str, Tensor]:
        """What a training that goes on must know beside the parameters and the number of the step."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            DataError: it is of another training.
        """
        if state:
            raise DataError(f"a checkpoint holds '{next(iter(state))}', which is of another training; remove it")

    @abstractmethod
    def export(self) -> TrainedExpert:
        """The expert as it is now."""
