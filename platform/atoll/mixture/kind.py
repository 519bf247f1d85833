"""Expert kinds: what an expert holds, and how several of them act on one module of the anchor."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from atoll.mixture.routing import Routing

Settings = Mapping[str, bool | int | float | str]
"""What an expert card records of a kind's choices, such as a LoRA's rank."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place where tokens are routed, and the modules there that experts change.

    Attributes:
        path: Path of the module whose input the router sees.
        targets: Paths of the modules that experts act on; the site's own path where the kind replaces it whole.
    """

    path: str
    targets: tuple[str, ...]


class ExpertKind(ABC):
    """How experts of one kind are stored, stacked and run. A kind is a value without tensors of its own."""

    name: ClassVar[str]
    weights_file: ClassVar[str]
    """Name of the safetensors file inside an expert package."""
    trainable: ClassVar[bool] = False
    """Whether nodes train experts of this kind; of others, packages come from elsewhere."""

    @abstractmethod
    def example(self, blocks: Sequence[str]) -> tuple[tuple[str, ...], Settings]:
        """Targets and settings of a small expert in these feed-forward blocks, for toys and contract checks."""

    @abstractmethod
    def sites(self, targets: Sequence[str]) -> tuple[Site, ...]:
        """Routing sites of the given target modules, in the order of the targets."""

    @abstractmethod
    def expected_shapes(
        self, anchor: Mapping[str, tuple[int, ...]], targets: Sequence[str], settings: Settings
    ) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors that a package must hold.

        Args:
            anchor: Shapes of the anchor's parameters by name.
            targets: Module paths that the card names.
            settings: What the card records of the kind's choices.

        Raises:
            PackageError: the targets are not modules of this anchor, or the settings are impossible.
        """

    @abstractmethod
    def unpack(self, target: str, weights: Mapping[str, Tensor], settings: Settings) -> dict[str, Tensor]:
        """One expert's tensors for one target, under names that are the same for every target."""

    @abstractmethod
    def start(
        self, target: str, module: nn.Module, settings: Settings, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """What a package holds of one target for an expert that still acts as the anchor's own ``module`` does."""

    @abstractmethod
    def pack(self, target: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a package holds of one target, from what :meth:`unpack` gives: without what training leaves as it is."""

    @abstractmethod
    def learned(self, site: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the expert's training learned about routing to it at a site; may be empty."""

    def pack_learned(self, rows: Mapping[str, Mapping[str, Tensor]]) -> tuple[Settings, dict[str, Tensor]]:
        """What a package holds of an expert's trained state of the router, so that :meth:`learned` finds it again.

        Args:
            rows: The state by site and name.

        Returns:
            Settings for the card, and tensors; nothing for kinds or routers for which a package has no place.
        """
        return {}, {}

    @abstractmethod
    def stack(self, module: nn.Module, experts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Stack what :meth:`unpack` gave for each expert, in slot order, for the anchor's ``module``."""

    @abstractmethod
    def mix(self, module: nn.Module, stacked: Mapping[str, Tensor], x_TD: Tensor, routing: Routing) -> Tensor:
        """Mixture of the outputs of the anchor's module and the experts', [T, O]."""

    def mix_opened(
        self, module: nn.Module, slots: Mapping[str, Sequence[Tensor] | Tensor], x_TD: Tensor, routing: Routing
    ) -> Tensor:
        """:meth:`mix` in training, where most slots are frozen.

        Args:
            module: The anchor's.
            slots: One tensor a slot, parameters among them; whole stacks of what is not opened.
            x_TD: Tokens.
            routing: As for :meth:`mix`. A kind whose tensors are large can do without the gradients of those that are
                frozen; this puts the stacks together, and computes all.
        """
        stacked = {name: each if isinstance(each, Tensor) else torch.stack(list(each)) for name, each in slots.items()}
        return self.mix(module, stacked, x_TD, routing)

    @abstractmethod
    def average(self, module: nn.Module, stacked: Mapping[str, Tensor], x_TD: Tensor, shares_N: Tensor) -> Tensor:
        """Output [T, O] of the one module whose weights are the average of the slots' by ``shares_N`` (sums to one)."""
