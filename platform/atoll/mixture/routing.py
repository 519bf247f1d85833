"""Routers: which experts, with what weight.

Shape suffixes: B sequences, S positions, T = B·S tokens, D dimension, N experts and the anchor (the anchor is slot
0), K slots chosen for a token, C features of a position.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from atoll.mixture.descriptor import Descriptor

ANCHOR = "anchor"
"""The name of slot 0 in every mixture."""

Rows = Mapping[str, Mapping[str, Mapping[str, Tensor]]]
"""A router's state by site, slot and name."""


@dataclass(frozen=True, eq=False, slots=True)
class Routing:
    """What a router chose for T tokens.

    Attributes:
        slots_TK: int64 in [0, N); 0 is the anchor. A slot appears at most once in a row, unless its weight is zero.
        weights_TK: float32, not negative; zero where the slot is not to be used.
        losses: auxiliary losses by name, each a scalar; empty where there is nothing to train.
    """

    slots_TK: Tensor
    weights_TK: Tensor
    losses: Mapping[str, Tensor] = field(default_factory=dict)

    def dense(self, slots: int) -> Tensor:
        """Weights as [T, N]; zero for what was not chosen."""
        empty = self.weights_TK.new_zeros(self.weights_TK.shape[0], slots)
        return empty.scatter_add(1, self.slots_TK, self.weights_TK)


@dataclass(frozen=True, eq=False, slots=True)
class RoutingContext:
    """What a router may look at besides the token itself.

    Attributes:
        site: Module path of the routing site.
        allowed_N: bool; slots outside the entitlement are False and must get weight zero, before any normalisation.
        mask_BS: bool, False at padding; ``None`` when every position is a token.
        text_BS: int64, the token ids that are read; ``None`` where the anchor reads no tokens.
        memory: What this site's router kept from the earlier positions of the same sequences, when a model reads
            them in pieces (generation with a cache); a router reads it and puts its new value in its place. ``None``
            at the start of a text and wherever the whole text is there at once.
        features_BSC: float32, what the workload says of each position besides the token, from this position and
            earlier ones: for mobility radius of gyration, location entropy, jumps and waits. ``None`` where the
            anchor's model has no ``routing_features``.
    """

    site: str
    allowed_N: Tensor
    mask_BS: Tensor | None = None
    text_BS: Tensor | None = None
    memory: dict[str, Tensor] | None = None
    features_BSC: Tensor | None = None


class Router(ABC):
    """Turns the tokens at a routing site into a choice of slots.

    A router is a value without tensors of its own. What it needs of each slot is a row of state, made by :meth:`row`
    from that slot's descriptor alone; a mixture stacks the rows. So leaving an expert out, by entitlement or for
    good, is leaving its row out, and cannot change another's.

    Attributes:
        name: As registered.
        everywhere: Whether one choice, made at the first site, holds for all sites: for routers that look at the
            text and not at the site's states.
        trainable: Whether its rows can be fitted: gradients reach every floating one through :meth:`route`, and rows
            that an optimizer moved are valid ones.
        causal: Whether later positions leave the choice at earlier ones as it is. What reads text piece by piece, or
            is measured on what comes next, needs that.
        reads_tokens: Whether it looks at the token ids, ``text_BS``, and so serves anchors only that read tokens.

    What a use needs is checked against these before anything is trained; :func:`atoll.testing.check_router` holds a
    router to them.
    """

    name: ClassVar[str]
    everywhere: ClassVar[bool] = False
    trainable: ClassVar[bool] = False
    causal: ClassVar[bool] = True
    reads_tokens: ClassVar[bool] = False

    @property
    def sums_to_one(self) -> bool:
        """Whether a token's weights sum to one; if not, to less."""
        return True

    @abstractmethod
    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """State of one slot at one site.

        Args:
            site: Module path of the routing site.
            descriptor: The slot's own; for slot 0 the anchor's.
            anchor: The anchor's, the common frame of reference for all.
            learned: What the expert's training learned about routing to it at this site; empty for the anchor and
                for kinds that learn nothing of the sort.

        Returns:
            Tensors by name, the same names and shapes for every slot of a mixture.
        """

    @abstractmethod
    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        """Choose slots for every token.

        Args:
            state: What :meth:`row` gave, stacked: each tensor has N as its first dimension.
            x_BSD: What enters the site.
            context: The entitlement, padding and memory.
        """


def largest(weights_TN: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest weights of each token, scaled to sum to one, and their slots; 0 for all, in the slots' order.

    Sorting all weights of a thousand slots would take several times as long as finding them.
    """
    slots = weights_TN.shape[-1]
    if k and k < slots:
        weights_TK, slots_TK = weights_TN.topk(k, dim=-1)
    else:
        weights_TK, slots_TK = weights_TN, torch.arange(slots, device=weights_TN.device).expand_as(weights_TN)
    return weights_TK / weights_TK.sum(-1, keepdim=True), slots_TK


def stack_rows(rows: list[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Stack the slots' rows along a new first dimension."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
