"""The locality loss: it is dear to send a token to an expert that is on the move.

Li et al. (ICLR 2025, arXiv 2406.16437), section 3: ``Σ_m π_m |w_t^(m) - w_{t-1}^(m)|`` with an expert's routing weight
π_m and its weights before and after a round. It makes rounds of a kind go where little has to change for them.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from atoll.mixture import Call, Mixture


class Locality:
    """Of one owner's expert, the only one that moves in an arrival; the others' terms are zero."""

    def __init__(self, mixture: Mixture, owner: str, parameters: Mapping[str, Tensor]) -> None:
        """Nothing has moved yet.

        Args:
            mixture: With the expert in it.
            owner: Whose.
            parameters: The expert's tensors in training, by names that begin with their target's path.
        """
        self._slot, self._sites = mixture.slots.index(owner), mixture.sites
        self._slots, self._parameters = len(mixture.slots), parameters
        self._before = self._copy()
        self._moved = {site.path: 0.0 for site in self._sites}

    @torch.no_grad()
    def step(self) -> None:
        """A step begins: note by how much the one before moved the expert at every site, L2."""
        for site in self._sites:
            moved = [
                (value - self._before[name]).square().sum()
                for name, value in self._parameters.items()
                if name.startswith(tuple(f"{target}." for target in site.targets))
            ]
            self._moved[site.path] = float(torch.stack(moved).sum().sqrt())
        self._before = self._copy()

    def loss(self, call: Call) -> Tensor:
        """Of the latest forward pass: over sites, the sum of mean routing weight and way of the latest step."""
        kept_T = None if call.mask_BS is None else call.mask_BS.flatten()
        (shared,) = call.routing.values() if len(call.routing) == 1 else (None,)
        terms = []
        for site in self._sites:
            routing = shared or call.routing[site.path]
            weight_T = routing.dense(self._slots)[:, self._slot]
            terms.append(self._moved[site.path] * (weight_T if kept_T is None else weight_T[kept_T]).mean())
        return torch.stack(terms).sum()

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {f"before.{name}": value for name, value in self._before.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` gave."""
        self._before = {name: state[f"before.{name}"].to(value.device) for name, value in self._parameters.items()}

    def _copy(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self._parameters.items()}
