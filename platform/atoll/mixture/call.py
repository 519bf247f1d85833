"""What one use of a mixture carries to its layers: entitlement, padding, memory, and what the routers chose."""

from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor

from atoll.errors import MixtureError
from atoll.mixture.routing import Routing


@dataclass(eq=False, slots=True)
class Call:
    """One use of one mixture, under one entitlement.

    Attributes:
        allowed_N: bool, the slots of the entitlement.
        mask_BS: bool, False at padding, or ``None``; one that is given here holds for every forward pass, otherwise
            a model's own input is asked anew in each, see :mod:`.padding`.
        memory: by site, what routers keep of earlier positions; ``None`` where each forward pass reads whole texts.
        text_BS: the token ids that are read; a mixture takes them from its input, unless it is given states instead
            of ids.
        features_BSC: what the workload says of each position besides the token, or ``None``; a mixture takes it from
            the anchor's method ``routing_features``.
        routing: by site, the latest choice; layers read it from here.
        mass_N: float64, routing weight summed over tokens and sites so far.
    """

    allowed_N: Tensor
    mask_BS: Tensor | None = None
    memory: dict[str, dict[str, Tensor]] | None = None
    text_BS: Tensor | None = None
    features_BSC: Tensor | None = None
    routing: dict[str, Routing] = field(default_factory=dict)
    mass_N: Tensor | None = None
    _masked: bool = field(init=False)

    def __post_init__(self) -> None:
        self._masked = self.mask_BS is not None

    def note(self, *, text_BS: Tensor | None, mask_BS: Tensor | None, features_BSC: Tensor | None) -> None:
        """Take over what one forward pass reads.

        Args:
            text_BS: Token ids; ``None`` leaves those that are there, for a model that is given states instead.
            mask_BS: bool, False at padding; ignored where the call began with a mask.
            features_BSC: What the workload says of each position.
        """
        if text_BS is not None:
            self.text_BS = text_BS
        if not self._masked:
            self.mask_BS = mask_BS
        self.features_BSC = features_BSC

    def record(self, site: str, routing: Routing) -> None:
        """Keep the choice for the layers of the site, and add it to the shares."""
        self.routing[site] = routing
        weights = routing.dense(self.allowed_N.shape[0]).detach()
        if self.mask_BS is not None:
            weights = weights[self.mask_BS.reshape(-1)]
        total = weights.sum(0, dtype=torch.float64)
        self.mass_N = total if self.mass_N is None else self.mass_N + total

    def shares(self) -> list[float]:
        """Share of the routing weight that each slot got, over everything read in this call; sums to one."""
        if self.mass_N is None:
            raise MixtureError("no token has been routed in this call yet")
        return [float(share) for share in self.mass_N / self.mass_N.sum()]


# Scoped by `Mixture.use`, and separate for each thread and task: two answers at once never see each other's
# entitlement.
_CURRENT: ContextVar[Call | None] = ContextVar("atoll_mixture_call", default=None)


def current_call() -> Call:
    """The call in progress.

    Raises:
        MixtureError: a mixture's layers ran outside ``Mixture.use``.
    """
    call = _CURRENT.get()
    if call is None:
        raise MixtureError("a mixture's layer ran outside `with mixture.use(entitlement):`, so nobody was entitled")
    return call


def enter(call: Call) -> object:
    """Make ``call`` the current one; give the result to :func:`leave`."""
    return _CURRENT.set(call)


def leave(token: object) -> None:
    """End what :func:`enter` began."""
    _CURRENT.reset(token)  # type: ignore[arg-type]
