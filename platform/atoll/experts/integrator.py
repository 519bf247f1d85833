"""Integrators: how expert packages become a mixture, with nobody's data and no gradient step."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from atoll.errors import MixtureError
from atoll.experts.package import ExpertPackage
from atoll.mixture import Descriptor, ExpertKind, Member, Mixture, Router
from atoll.plugins import load

EXACT = "exact"
"""The guarantee that a withdrawn expert leaves no trace: no parameter was fitted while it was present."""


class Integrator(ABC):
    """Makes a mixture of an anchor and expert packages.

    The mixture of some experts must be what the mixture of all becomes when the others withdraw; an integrator that
    fits anything with all of them present says so in :attr:`guarantee`.
    """

    name: ClassVar[str]
    guarantee: ClassVar[str] = EXACT
    """``exact``, or ``co-adapted: …`` with what was fitted with all experts present, and when."""
    trainable: ClassVar[bool] = False
    """Whether it makes a plain :class:`~atoll.mixture.Mixture` of the modules' outputs: the one mixture in which a
    router can be fitted, and beside which a later expert can be trained."""

    @abstractmethod
    def integrate(
        self, anchor: nn.Module, anchor_descriptor: Descriptor, experts: Sequence[ExpertPackage], router: Router
    ) -> Mixture:
        """Build the mixture; the experts come verified, and their order does not matter.

        Raises:
            MixtureError: experts that do not go together.
        """


def members(experts: Sequence[ExpertPackage]) -> tuple[ExpertKind, list[Member]]:
    """The experts' kind, and the experts by owner's name, so that the order of arrival changes nothing.

    Raises:
        MixtureError: no experts, kinds or anchors that differ.
    """
    if not experts:
        raise MixtureError("there is no expert to integrate")
    for what in ("kind", "anchor"):
        found = sorted({str(getattr(expert.card, what)) for expert in experts})
        if len(found) > 1:
            raise MixtureError(f"experts of one mixture need one {what}; here are {', '.join(found)}")
    kind: ExpertKind = load("atoll.experts", experts[0].card.kind)()
    ordered = sorted(experts, key=lambda expert: expert.card.owner)
    return kind, [
        Member(
            owner=expert.card.owner,
            targets=expert.card.targets,
            settings=expert.card.settings,
            weights=expert.weights,
            descriptor=expert.descriptor,
        )
        for expert in ordered
    ]
