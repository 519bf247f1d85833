"""Training kind ``ffn`` beside the anchor's frozen blocks (FlexOlmo, arXiv 2507.07024, section 3 and appendix D)."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from atoll.clients.training.trainable import Trainable, TrainedExpert
from atoll.errors import ConfigError
from atoll.experts.ffn import PROJECTIONS
from atoll.experts.training import ExpertConfig
from atoll.mixture import Descriptor, Router, RoutingContext

_SLACK = -3.0
"""Where every expert's bias starts: ``-softplus(-3)``, about -0.05."""


class CoordinatedBlock(nn.Module):
    """A two-expert mixture in one block: the anchor's feed-forward block, frozen, and a trainable copy.

    The anchor's block and its row of the router are frozen, so all owners train against one frame of reference. The
    expert's logit carries a bias ``-softplus(β)``: negative, so that the boundary that an owner learns against the
    anchor alone is tight enough to hold among many experts. (FlexOlmo uses ``min(b, 0)``, whose gradient dies once b
    is positive.)
    """

    def __init__(self, anchor: nn.Module, site: str, router: Router, domain: Descriptor, frame: Descriptor) -> None:
        super().__init__()
        self.anchor = anchor
        self.expert = copy.deepcopy(anchor).requires_grad_(True)
        self.site = site
        self.router = router
        place = next(anchor.parameters()).device
        self._fixed = {name: value.to(place) for name, value in router.row(site, frame, frame, {}).items()}
        start = {name: value.to(place) for name, value in router.row(site, domain, frame, {}).items()}
        if set(start) != {"row", "bias"}:
            raise ConfigError(
                f"expert.coordinated: router {router.name} has no row that training could move; coordinated experts "
                "train beside top-k (training_router.name=top-k), others take expert.coordinated=false"
            )
        self.row = nn.Parameter(start["row"].clone())
        self.slack = nn.Parameter(torch.tensor(_SLACK, device=place))
        self.losses: Mapping[str, Tensor] = {}

    def bias(self) -> Tensor:
        """The expert's bias, a scalar below zero."""
        return -functional.softplus(self.slack)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """Both blocks on every token, weighted by the router: [B, S, D] to [B, S, D]."""
        own = {"row": self.row, "bias": self.bias()}
        state = {name: torch.stack([self._fixed[name], own[name]]) for name in own}
        everyone = torch.ones(2, dtype=torch.bool, device=x_BSD.device)
        # The choice is made in float32, as it is when the mixture answers, whatever the blocks are trained in.
        with torch.autocast(x_BSD.device.type, enabled=False):
            routing = self.router.route(state, x_BSD, RoutingContext(self.site, everyone))
        self.losses = routing.losses
        weights = routing.dense(2).to(x_BSD.dtype).unflatten(0, x_BSD.shape[:2])
        mixed: Tensor = weights[..., :1] * self.anchor(x_BSD) + weights[..., 1:] * self.expert(x_BSD)
        return mixed


class FeedForwardTrainable(Trainable):
    """The anchor with a trainable feed-forward block in the chosen layers.

    It is trained beside the anchor's (coordinated), or in its place (the ablation).
    """

    def __init__(
        self,
        anchor: nn.Module,
        layers: Sequence[int],
        config: ExpertConfig,
        router: Router,
        domain: Descriptor,
        frame: Descriptor,
    ) -> None:
        """Replace blocks of the anchor, in place.

        Raises:
            ConfigError: blocks that the kind cannot hold, or a router that learns nothing from training.
        """
        self.model = anchor
        self._config = config
        self._blocks: dict[str, CoordinatedBlock | nn.Module] = {}
        for layer in layers:
            path = f"model.layers.{layer}.mlp"
            block = anchor.get_submodule(path)
            if any(name.endswith("bias") for name, _ in block.named_parameters()):
                raise ConfigError(
                    f"expert.kind: '{path}' of this anchor has biases, which kind ffn does not hold; take lora"
                )
            self._blocks[path] = (
                CoordinatedBlock(block, path, router, domain, frame)
                if config.coordinated
                else block.requires_grad_(True)
            )
            anchor.get_submodule(f"model.layers.{layer}").mlp = self._blocks[path]
        self.parameters = {name: p for name, p in anchor.named_parameters() if p.requires_grad}

    def auxiliary_loss(self) -> Tensor | None:
        """The router's z-loss, averaged over blocks; there is no balance loss, since one owner has one domain."""
        z = [
            block.losses["z"]
            for block in self._blocks.values()
            if isinstance(block, CoordinatedBlock) and "z" in block.losses
        ]
        return self._config.z_loss * torch.stack(z).mean() if z else None

    def export(self) -> TrainedExpert:
        """The three matrices of each block, and for coordinated experts what the router learned."""
        weights: dict[str, Tensor] = {}
        for path, block in self._blocks.items():
            expert = block.expert if isinstance(block, CoordinatedBlock) else block
            for projection in PROJECTIONS:
                weights[f"{path}.{projection}.weight"] = _leave(expert.get_submodule(projection).weight)
            if isinstance(block, CoordinatedBlock):
                weights[f"router.{path}.row"] = _leave(block.row)
                weights[f"router.{path}.bias"] = _leave(block.bias())
        return TrainedExpert("ffn", tuple(self._blocks), {"coordinated": self._config.coordinated}, weights)


def _leave(tensor: Tensor | nn.Module) -> Tensor:
    assert isinstance(tensor, Tensor)
    return tensor.detach().to("cpu", copy=True).contiguous()
