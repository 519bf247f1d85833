"""Kind ``ffn``: a copy of the anchor's gated feed-forward block (FlexOlmo, arXiv 2507.07024; Llama, Olmo2 anchors)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from atoll.errors import PackageError
from atoll.mixture.backends.choose import choose_feed_forward
from atoll.mixture.backends.feed_forward import feed_forward
from atoll.mixture.kind import ExpertKind, Settings, Site
from atoll.mixture.routing import Routing

PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


@final
class FeedForward(ExpertKind):
    """``f_e(x) = W_down (act(W_gate x) * W_up x)`` with matrices of the expert's own; the site is the block itself.

    A package holds ``<block>.<projection>.weight`` for the three projections of every target block, and for coordinated
    experts ``router.<block>.<name>`` for what the router learned: a row over the token [D], a bias [], and where the
    setting ``context`` says how wide it is, a row over the context.
    """

    name: ClassVar[str] = "ffn"
    weights_file: ClassVar[str] = "expert.safetensors"
    trainable: ClassVar[bool] = True

    def example(self, blocks: Sequence[str]) -> tuple[tuple[str, ...], Settings]:
        """The whole blocks, coordinated."""
        return tuple(blocks), {"coordinated": True}

    def sites(self, targets: Sequence[str]) -> tuple[Site, ...]:
        """Each target is its own site."""
        return tuple(Site(target, (target,)) for target in targets)

    def expected_shapes(
        self, anchor: Mapping[str, tuple[int, ...]], targets: Sequence[str], settings: Settings
    ) -> dict[str, tuple[int, ...]]:
        """The anchor's own shapes; for coordinated experts a row and a bias a site as well."""
        expected: dict[str, tuple[int, ...]] = {}
        for target in targets:
            for projection in PROJECTIONS:
                name = f"{target}.{projection}.weight"
                if name not in anchor:
                    raise PackageError(
                        f"package: '{target}' is no gated feed-forward block of this anchor ('{name}' is not there)"
                    )
                expected[name] = anchor[name]
            if settings.get("coordinated"):
                expected[f"router.{target}.row"] = (anchor[f"{target}.gate_proj.weight"][1],)
                expected[f"router.{target}.bias"] = ()
                if "context" in settings:
                    expected[f"router.{target}.context"] = (int(settings["context"]),)
        return expected

    def unpack(self, target: str, weights: Mapping[str, Tensor], settings: Settings) -> dict[str, Tensor]:
        """The three matrices of one block."""
        return {projection: weights[f"{target}.{projection}.weight"] for projection in PROJECTIONS}

    def start(
        self, target: str, module: nn.Module, settings: Settings, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Copies of the anchor's three matrices."""
        own = {projection: module.get_submodule(projection).weight for projection in PROJECTIONS}
        return self.pack(
            target, {name: value.detach().cpu().clone() for name, value in own.items() if isinstance(value, Tensor)}
        )

    def pack(self, target: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The three matrices under the package's names."""
        return {f"{target}.{projection}.weight": tensors[projection] for projection in PROJECTIONS}

    def learned(self, site: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The trained rows and bias; nothing for an expert that was trained without coordination."""
        prefix = f"router.{site}."
        return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}

    def pack_learned(self, rows: Mapping[str, Mapping[str, Tensor]]) -> tuple[Settings, dict[str, Tensor]]:
        """Rows over token and context, and a bias; nothing where the router's state is something else."""
        some = next(iter(rows.values()), {})
        if not {"row", "bias"} <= set(some) <= {"row", "bias", "context"}:
            return {}, {}
        settings: dict[str, bool | int | float | str] = {"coordinated": True}
        if "context" in some:
            settings["context"] = some["context"].numel()
        return settings, {f"router.{site}.{name}": value for site, row in rows.items() for name, value in row.items()}

    def stack(self, module: nn.Module, experts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Matrices with the anchor's in slot 0: gate and up [N, H, D], down [N, D, H]."""
        stacked = {}
        for projection in PROJECTIONS:
            own = module.get_submodule(projection).weight
            assert isinstance(own, Tensor)
            stacked[projection] = torch.stack([own.detach(), *(e[projection].to(own) for e in experts)])
        return stacked

    def mix(self, module: nn.Module, stacked: Mapping[str, Tensor], x_TD: Tensor, routing: Routing) -> Tensor:
        """Weighted sum of the blocks' outputs, [T, D]."""
        gate, up, down = (stacked[projection] for projection in PROJECTIONS)
        backend = choose_feed_forward(
            device=x_TD.device,
            dtype=x_TD.dtype,
            experts=gate.shape[0],
            tokens=x_TD.shape[0],
            chosen=routing.slots_TK.shape[1],
        )
        return feed_forward(x_TD, gate, up, down, routing, activation(module), backend)

    def mix_opened(
        self, module: nn.Module, slots: Mapping[str, Sequence[Tensor] | Tensor], x_TD: Tensor, routing: Routing
    ) -> Tensor:
        """On CPU one block after the other: so no gradient of a frozen block is computed, and no stack is copied."""
        if x_TD.device.type != "cpu":  # there a loop waits for the counts, and one kernel for all is worth the copy
            return super().mix_opened(module, slots, x_TD, routing)
        gate, up, down = (slots[projection] for projection in PROJECTIONS)
        return feed_forward(x_TD, gate, up, down, routing, activation(module), "loop")

    def average(self, module: nn.Module, stacked: Mapping[str, Tensor], x_TD: Tensor, shares_N: Tensor) -> Tensor:
        """The block whose three matrices are averaged."""
        gate, up, down = (torch.einsum("n,noi->oi", shares_N.to(x_TD), stacked[p]) for p in PROJECTIONS)
        hidden = activation(module)(x_TD @ gate.T) * (x_TD @ up.T)
        made: Tensor = hidden @ down.T
        return made


def activation(module: nn.Module) -> nn.Module:
    """The block's activation function."""
    act = module.act_fn
    assert isinstance(act, nn.Module)
    return act
