"""Training parts of a mixture in place: chosen experts, and the router's rows; everything else stays as it is.

What generative replay distillation trains after an arrival (MoveGCL, arXiv 2506.06694) is a mixture in which most is
frozen. A mixture keeps its experts stacked, so a trainable expert is a slice of a stack: the slice becomes a parameter,
and takes its place among the others in every forward pass.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from atoll.errors import MixtureError
from atoll.mixture.layer import Gate, Mixed
from atoll.mixture.model import Mixture


class _Open(nn.Module):
    """The slices of one stacked tensor [N, ...] that are trained, as parameters; the others as they were."""

    def __init__(self, whole: Tensor, trained: Collection[int]) -> None:
        super().__init__()
        self.register_buffer("frozen", whole)
        self.slices = nn.ParameterDict({str(place): whole[place].detach().clone() for place in sorted(trained)})

    def slots(self) -> list[Tensor]:
        frozen = self.frozen
        assert isinstance(frozen, Tensor)
        return [self.slices.get(str(i), part) for i, part in enumerate(frozen.unbind(0))]

    def stacked(self) -> Tensor:
        return torch.stack(self.slots())


class Adapter:
    """A mixture that is open for training. The mixture itself is changed, and is used as before.

    Attributes:
        mixture: The mixture.
        parameters: What is trained, by names that are the same in every process.
    """

    def __init__(self, mixture: Mixture, *, experts: Collection[str] = (), rows: Collection[str] = ()) -> None:
        """Open parts of a mixture.

        Args:
            mixture: Of the composition ``modules``.
            experts: Owners whose experts are trained.
            rows: Slots whose rows of the router are trained, the anchor's among them.

        Raises:
            MixtureError: somebody who is not in the mixture, or a mixture without a router.
        """
        if mixture.composition != "modules":
            raise MixtureError(f"a mixture of {mixture.composition} has nothing that could be trained in it")
        if unknown := sorted({*experts, *rows} - set(mixture.slots)):
            raise MixtureError(f"not in this mixture: {', '.join(unknown)}; it has {', '.join(mixture.slots)}")
        self.mixture = mixture
        self.parameters: dict[str, nn.Parameter] = {}
        self._layers = {path: module for path, module in mixture.model.named_modules() if isinstance(module, Mixed)}
        self._gates = [gate for gate in mixture.gates if isinstance(gate, Gate)]
        slots = {name: place for place, name in enumerate(mixture.slots)}
        for path, layer in self._layers.items():
            for name, whole in layer.stacked().items():
                if whole.ndim < 2 or not whole.is_floating_point():
                    continue  # a scale or the like, which is a choice and no weight
                shift = len(slots) - whole.shape[0]  # a kind without the anchor in its stacks
                self._open(layer, f"{path}.{name}", name, whole, {slots[owner] - shift: owner for owner in experts})
        for gate in self._gates:
            for name, whole in gate.state().items():
                if whole.is_floating_point():
                    self._open(gate, f"router.{gate.site}.{name}", name, whole, {slots[slot]: slot for slot in rows})

    def _open(self, module: Mixed | Gate, path: str, name: str, whole: Tensor, trained: Mapping[int, str]) -> None:
        if not trained:
            return
        opened = _Open(whole, trained)
        module.opened[name] = opened.stacked
        if isinstance(module, Mixed):
            module.slots[name] = opened.slots
        for place, owner in trained.items():
            parameter = opened.slices[str(place)]
            assert isinstance(parameter, nn.Parameter)
            parameter.requires_grad_(True)
            self.parameters[f"{path}.{owner}"] = parameter

    def expert(self, owner: str) -> dict[str, dict[str, Tensor]]:
        """An expert's tensors by target and name, as the kind's ``unpack`` gives them.

        Raises:
            MixtureError: the owner is not in the mixture.
        """
        if owner not in self.mixture.slots[1:]:
            raise MixtureError(f"'{owner}' has no expert in this mixture: it has {', '.join(self.mixture.slots[1:])}")
        place = self.mixture.slots.index(owner)
        found: dict[str, dict[str, Tensor]] = {}
        for path, layer in self._layers.items():
            stacked = layer.stacked()
            found[path] = {
                name: whole[place - (len(self.mixture.slots) - whole.shape[0])].detach().clone()
                for name, whole in stacked.items()
            }
        return found

    def rows(self) -> dict[str, dict[str, dict[str, Tensor]]]:
        """The router's state as it is now, by site, slot and name."""
        return rows_of(self.mixture)


def rows_of(mixture: Mixture) -> dict[str, dict[str, dict[str, Tensor]]]:
    """The router's state of a mixture, by site, slot and name."""
    return {
        gate.site: {
            slot: {name: whole[place].detach().clone() for name, whole in gate.state().items()}
            for place, slot in enumerate(mixture.slots)
        }
        for gate in mixture.gates
        if isinstance(gate, Gate)
    }
