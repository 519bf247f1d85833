"""Training kind ``ffn`` beside the anchor's frozen blocks (FlexOlmo, arXiv 2507.07024, section 3 and appendix D)."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from atoll.experts.training import ExpertConfig
from atoll.clients.training.trainable import Trainable, TrainedExpert
from atoll.experts.ffn import PROJECTIONS
from atoll.mixture import Descriptor, Router, RoutingContext


class CoordinatedBlock(nn.Module):
    """A two-expert mixture in one block: the anchor's feed-forward block, frozen, and a trainable copy.

    The anchor's block and its row of the router are frozen, so all owners train against one frame of reference. The expert's
    logit carries a bias ``-softplus(β)``: negative, so that the boundary that an owner learns against the anchor alone is
    tight enough to hold among many experts. (FlexOlmo uses ``min(b, 0)``, whose gradient dies once b is positive.)
    """

    def __init__(self, anchor: nn.Module, site: str, router: Router, domain: Descriptor, frame: Descriptor) -> None:
        super().__init__()
        self.anchor = anchor
        self.expert = copy.deepcopy(anchor).requires_grad_(True)
        self.site = site
        self.router = router
        self._fixed = {name: value for name, value in router.row(site, frame, frame, {}).items()}
        self._start = {name: value for name, value in router.row(site, domain, frame, {}).items()}
        self.row = nn.Parameter(self._start["row"].clone()) if "row" in self._start else None
        self.slack = nn.Parameter(torch.tensor(-3.0)) if "bias" in self._start else None
        self.losses: Mapping[str, Tensor] = {}

    def forward(self, x_BSD: Tensor) -> Tensor:
        """Both blocks on every token, weighted by the router: [B, S, D] to [B, S, D]."""
        own = dict(self._start)
        if self.row is not None:
            own["row"] = self.row
        if self.slack is not None:
            own["bias"] = -functional.softplus(self.slack)
        state = {name: torch.stack([self._fixed[name].to(x_BSD.device), own[name].to(x_BSD.device)]) for name in own}
        everyone = torch.ones(2, dtype=torch.bool, device=x_BSD.device)
        routing = self.router.route(state, x_BSD, RoutingContext(self.site, everyone))
        self.losses = routing.losses
        weights = routing.dense(2).to(x_BSD.dtype).unflatten(0, x_BSD.shape[:2])
        mixed: Tensor = weights[..., :1] * self.anchor(x_BSD) + weights[..., 1:] * self.expert(x_BSD)
        return mixed


class FeedForwardTrainable(Trainable):
    """The anchor with a trainable feed-forward block in the chosen layers; coordinated, or (the ablation) in the anchor's place."""

    def __init__(
        self,
        anchor: nn.Module,
        layers: Sequence[int],
        config: ExpertConfig,
        router: Router,
        domain: Descriptor,
        frame: Descriptor,
    ) -> None:
        """Replace blocks of the anchor, in place."""
        self.model = anchor
        self._config = config
        self._blocks: dict[str, CoordinatedBlock | nn.Module] = {}
        for layer in layers:
            path = f"model.layers.{layer}.mlp"
            parent = anchor.get_submodule(f"model.layers.{layer}")
            if config.coordinated:
                block: CoordinatedBlock | nn.Module = CoordinatedBlock(parent.mlp, path, router, domain, frame)  # type: ignore[arg-type]
            else:
                block = parent.mlp.requires_grad_(True)  # type: ignore[union-attr, assignment, operator]
            parent.mlp = block
            self._blocks[path] = block
        self.parameters = {name: p for name, p in anchor.named_parameters() if p.requires_grad}

    def auxiliary_loss(self) -> Tensor | None:
        """The router's z-loss, averaged over blocks; there is no balance loss, since one owner has one domain."""
        z = [block.losses["z"] for block in self._blocks.values() if isinstance(block, CoordinatedBlock) and "z" in block.losses]
        return self._config.z_loss * torch.stack(z).mean() if z else None

    def export(self) -> TrainedExpert:
        """The three matrices of each block, and for coordinated experts what the router learned."""
        weights: dict[str, Tensor] = {}
        coordinated = False
        for path, block in self._blocks.items():
            expert = block.expert if isinstance(block, CoordinatedBlock) else block
            for projection in PROJECTIONS:
                weights[f"{path}.{projection}.weight"] = _leave(expert.get_submodule(projection).weight)
            if isinstance(block, CoordinatedBlock) and block.row is not None and block.slack is not None:
                coordinated = True
                weights[f"router.{path}.row"] = _leave(block.row)
                weights[f"router.{path}.bias"] = _leave(-functional.softplus(block.slack))
        return TrainedExpert("ffn", tuple(self._blocks), {"coordinated": coordinated}, weights)


def _leave(tensor: Tensor | nn.Module) -> Tensor:
    assert isinstance(tensor, Tensor)
    return tensor.detach().to("cpu", copy=True).contiguous()
