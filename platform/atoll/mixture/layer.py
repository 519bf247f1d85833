"""The layers of a mixture: a gate where tokens are routed, and mixed modules where experts act."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from atoll.mixture.call import current_call
from atoll.mixture.kind import ExpertKind
from atoll.mixture.routing import Router, Routing, RoutingContext


class Gate(nn.Module):
    """The router of one site with its stacked state; runs before the site's module and records its choice in the
    call.
    """

    def __init__(self, site: str, router: Router, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.site = site
        self.router = router
        self._names = tuple(state)
        self.opened: dict[str, Callable[[], Tensor]] = {}
        for name, value in state.items():
            self.register_buffer(name, value)

    def state(self) -> dict[str, Tensor]:
        """The router's state, each tensor with a slot a row."""
        return {name: self.opened[name]() if name in self.opened else getattr(self, name) for name in self._names}

    def forward(self, x_BSD: Tensor) -> Routing:
        """Route what enters the site."""
        call = current_call()
        memory = None if call.memory is None else call.memory.setdefault(self.site, {})
        # Right-sized for cached generation, where a step brings one position and the mask all of them.
        mask = None if call.mask_BS is None else call.mask_BS[:, -x_BSD.shape[1] :]
        text = None if call.text_BS is None else call.text_BS[:, -x_BSD.shape[1] :]
        features = None if call.features_BSC is None else call.features_BSC[:, -x_BSD.shape[1] :]
        context = RoutingContext(self.site, call.allowed_N, mask, text, memory, features)
        routing = self.router.route(self.state(), x_BSD, context)
        call.record(self.site, routing)
        return routing

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the site's module."""
        hidden = args[0] if args else kwargs["hidden_states"]
        self(hidden)


class Mixed(nn.Module):
    """A target module of the anchor with the experts beside it: the outputs are mixed."""

    def __init__(self, anchor: nn.Module, site: str, kind: ExpertKind, stacked: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.anchor = anchor
        self.site = site
        self.kind = kind
        self._names = tuple(stacked)
        self.opened: dict[str, Callable[[], Tensor]] = {}
        self.slots: dict[str, Callable[[], Sequence[Tensor]]] = {}
        for name, value in stacked.items():
            self.register_buffer(name, value)

    def stacked(self) -> dict[str, Tensor]:
        """The experts' tensors; those that are in training as they are now."""
        return {name: self.opened[name]() if name in self.opened else getattr(self, name) for name in self._names}

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., O]."""
        flat = self._act(x.reshape(-1, x.shape[-1]))
        return flat.reshape(*x.shape[:-1], flat.shape[-1])

    def _act(self, x_TD: Tensor) -> Tensor:
        routing = current_call().routing[self.site]
        if not self.slots:
            return self.kind.mix(self.anchor, self.stacked(), x_TD, routing)
        slots = {name: self.slots[name]() if name in self.slots else getattr(self, name) for name in self._names}
        return self.kind.mix_opened(self.anchor, slots, x_TD, routing)


class Averaged(Mixed):
    """A target module whose weights are the average over the allowed experts; the anchor's own where there is none."""

    def _act(self, x_TD: Tensor) -> Tensor:
        shares = average_shares(current_call().allowed_N)
        return self.kind.average(self.anchor, self.stacked(), x_TD, shares)


def average_shares(allowed_N: Tensor) -> Tensor:
    """Equal shares over the allowed experts; all to the anchor where no expert is allowed."""
    experts = allowed_N.clone()
    experts[0] = not bool(allowed_N[1:].any())
    return experts.to(torch.float32) / experts.sum()
