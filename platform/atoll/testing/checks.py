"""What every router, expert kind and integrator promises, as checks."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from atoll.anchors.mobility.context import WIDTH, routing_width
from atoll.errors import MixtureError
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage
from atoll.mixture import Descriptor, ExpertKind, Mixture, Router, Routing, RoutingContext
from atoll.mixture.dry_run import try_fitting
from atoll.mixture.routing import stack_rows
from atoll.plugins import load
from atoll.testing.anchors import toy_anchor
from atoll.testing.experts import toy_experts, toy_frame

_OWNERS = ("clinic", "court", "yard")
_TOLERANCE = 2e-5
_IDS = torch.tensor([[5, 17, 201, 17, 99, 3, 3, 64], [250, 1, 2, 120, 7, 7, 40, 41]])


def check_router(router: Router) -> None:
    """Exact masking, causality, padding, reading in pieces, weights that are weights, and what its class declares.

    All of it for experts that learned how to be routed to and for experts that did not. Where it declares rows that can
    be fitted, an optimizer moves them towards every slot, and they are written and read again.

    Raises:
        AssertionError: a promise that is broken.
    """
    with tempfile.TemporaryDirectory() as folder:
        anchor = toy_anchor(Path(folder))
        experts = toy_experts(anchor, _OWNERS, "ffn")
        frame = toy_frame(anchor, experts[0].card.sites)
    x = torch.randn(*_IDS.shape, anchor.hidden_size, generator=torch.Generator().manual_seed(1))
    for learned in (False, True):
        _check_masking(_Bench(router, frame, tuple(experts), x, learned))
        _check_reading(_Bench(router, frame, tuple(experts), x, learned))
        _check_apart(_Bench(router, frame, tuple(experts), x, learned))
    _check_declared(router)


@dataclass(frozen=True, eq=False)
class _Bench:
    """A router at the first site of the toy, and what it reads there."""

    router: Router
    frame: Descriptor
    experts: tuple[ExpertPackage, ...]
    x_BSD: Tensor
    learned: bool

    def route(
        self,
        allowed: Sequence[bool],
        positions: slice = slice(None),
        mask_BS: Tensor | None = None,
        memory: dict[str, Tensor] | None = None,
        without: int = 0,
        sequences: slice = slice(None),
    ) -> Tensor:
        """Weights [B, S, N] of the anchor and all experts but the first ``without``."""
        site = self.experts[0].card.sites[0]
        rows = [self.router.row(site, self.frame, self.frame, {})]
        for expert in self.experts[without:]:
            learned = _learned(site, expert) if self.learned else {}
            rows.append(self.router.row(site, expert.descriptor, self.frame, learned))
        x = self.x_BSD[sequences, positions]
        width = routing_width(self.x_BSD.shape[-1])
        features = torch.randn(*_IDS.shape, width, generator=torch.Generator().manual_seed(4))[sequences, positions]
        ids = _IDS[sequences, positions]
        context = RoutingContext(site, torch.tensor(allowed), mask_BS, ids, memory, features)
        found = self.router.route(stack_rows(rows), x, context)
        _check_routing(found, len(rows), x.shape[0] * x.shape[1])
        return found.dense(len(rows)).view(*x.shape[:2], -1)


def _check_masking(bench: _Bench) -> None:
    masked = bench.route([True, False, True, True])
    assert bool((masked[..., 1] == 0).all()), "a slot outside the entitlement got weight"
    assert torch.allclose(masked[..., [0, 2, 3]], bench.route([True] * 3, without=1), atol=_TOLERANCE), (
        "weights under an entitlement differ from those of a mixture that never had the others: "
        "mask before any normalisation, and let no row depend on another slot"
    )
    nobody = bench.route([True, False, False, False])
    assert bool((nobody[..., 1:] == 0).all()), "a slot outside the entitlement got weight"


def _check_reading(bench: _Bench) -> None:
    everyone = [True] * (len(bench.experts) + 1)
    whole = bench.route(everyone)
    if not bench.router.causal:
        return
    assert torch.allclose(bench.route(everyone, slice(5)), whole[:, :5], atol=_TOLERANCE), (
        "a later token changed how an earlier one is routed"
    )
    mask = torch.ones(_IDS.shape, dtype=torch.bool)
    mask[:, 5:] = False
    padded = bench.route(everyone, mask_BS=mask)
    assert torch.allclose(padded[:, :5], whole[:, :5], atol=_TOLERANCE), "padding on the right changed the routing"
    memory: dict[str, Tensor] = {}
    pieces = [bench.route(everyone, positions, memory=memory) for positions in (slice(5), slice(5, 6), slice(6, None))]
    assert torch.allclose(torch.cat(pieces, 1), whole, atol=_TOLERANCE), (
        "a text that is read in pieces is routed differently: keep what is needed of earlier positions in the memory"
    )


def _check_apart(bench: _Bench) -> None:
    """Neither chance nor company decides, and the weights sum to what is declared."""
    everyone = [True] * (len(bench.experts) + 1)
    whole = bench.route(everyone)
    assert torch.equal(bench.route(everyone), whole), "the same tokens are routed differently the second time"
    for at in range(len(whole)):
        alone = bench.route(everyone, sequences=slice(at, at + 1))
        assert torch.allclose(alone[0], whole[at], atol=_TOLERANCE), (
            "a sequence is routed differently alone than beside another in its batch"
        )
    sums = whole.sum(-1)
    if bench.router.sums_to_one:
        assert torch.allclose(sums, torch.ones_like(sums), atol=_TOLERANCE), (
            "the weights of a token do not sum to one: scale them, or say so with sums_to_one"
        )
    assert bool((sums <= 1 + _TOLERANCE).all()), "the weights of a token sum to more than one"


def _check_declared(router: Router) -> None:
    if router.trainable:
        try:
            try_fitting(router, steps=100, learning_rate=1e-2, shares=True, directions=True)
        except MixtureError as error:
            raise AssertionError(str(error)) from error


def _learned(site: str, expert: ExpertPackage) -> dict[str, Tensor]:
    made: ExpertKind = load("atoll.experts", expert.card.kind)()
    # What a router that looks at the workload's features would have learned beside it; others leave it alone.
    mean = expert.descriptor.mean[0]
    return {**made.learned(site, expert.weights), "context": torch.cat([mean[:WIDTH], mean])}


def _check_routing(routing: Routing, slots: int, tokens: int) -> None:
    weights, chosen = routing.weights_TK, routing.slots_TK
    assert weights.shape == chosen.shape, "slots and weights are not both [T, K]"
    assert weights.shape[0] == tokens, f"there are choices for {weights.shape[0]} tokens, not {tokens}"
    assert weights.dtype == torch.float32, f"weights are {weights.dtype}, not float32"
    assert bool(torch.isfinite(weights).all()), "a weight is not finite"
    assert bool((weights >= 0).all()), "a weight is negative"
    assert bool(((chosen >= 0) & (chosen < slots)).all()), "a slot is out of range"
    times = torch.zeros(tokens, slots).scatter_add(1, chosen, (weights > 0).float())
    assert bool((times <= 1).all()), "a token has one slot twice, each time with weight"


def check_kind(kind: ExpertKind) -> None:
    """Stacked experts act as each does alone; a weight of one is that expert, all to the anchor is the anchor.

    Raises:
        AssertionError: a promise that is broken.
    """
    with tempfile.TemporaryDirectory() as folder:
        anchor = toy_anchor(Path(folder))
        experts = toy_experts(anchor, _OWNERS, kind.name)
        model = anchor.model()
    targets, _ = kind.example(["model.layers.0.mlp"])
    for target in targets:
        module = model.get_submodule(target)
        unpacked = [kind.unpack(target, expert.weights, expert.card.settings) for expert in experts]
        for expert, tensors in zip(experts, unpacked, strict=True):
            for name, value in kind.pack(target, tensors).items():
                assert torch.equal(value, expert.weights[name]), "what is packed is not what was unpacked"
        generator = torch.Generator().manual_seed(2)
        width = anchor.intermediate_size if target.endswith("down_proj") else anchor.hidden_size
        x_TD = torch.randn(6, width, generator=generator)
        with torch.no_grad():
            _check_module(kind, module, unpacked, x_TD)


def _check_module(kind: ExpertKind, module: torch.nn.Module, unpacked: list[dict[str, Tensor]], x_TD: Tensor) -> None:
    stacked = kind.stack(module, unpacked)
    alone = [kind.mix(module, kind.stack(module, [one]), x_TD, _all_to(1, 2, len(x_TD))) for one in unpacked]
    anchor = module(x_TD)
    slots = len(unpacked) + 1
    assert torch.allclose(kind.mix(module, stacked, x_TD, _all_to(0, slots, len(x_TD))), anchor, atol=_TOLERANCE), (
        "all weight to slot 0 is not the anchor's own module"
    )
    for slot, own in enumerate(alone, 1):
        found = kind.mix(module, stacked, x_TD, _all_to(slot, slots, len(x_TD)))
        assert torch.allclose(found, own, atol=_TOLERANCE), "an expert acts differently among others than alone"
    weights = torch.rand(len(x_TD), slots, generator=torch.Generator().manual_seed(3)).softmax(-1)
    mixed = kind.mix(module, stacked, x_TD, Routing(torch.arange(slots).expand(len(x_TD), -1), weights))
    summed = sum(weights[:, slot, None] * own for slot, own in enumerate([anchor, *alone]))
    assert torch.allclose(mixed, summed, atol=_TOLERANCE), "the mixture is not the weighted sum of its experts"
    shares = torch.zeros(slots)
    shares[1] = 1.0
    assert torch.allclose(kind.average(module, stacked, x_TD, shares), alone[0], atol=_TOLERANCE), (
        "the average with all weight on one expert is not that expert"
    )


def _all_to(slot: int, slots: int, tokens: int) -> Routing:
    weights = torch.zeros(tokens, slots)
    weights[:, slot] = 1.0
    return Routing(torch.arange(slots).expand(tokens, -1), weights)


def check_integrator(integrator: Integrator, router: Router, kind: str = "lora") -> None:
    """Order does not matter, withdrawal is exact where it is said to be, with nobody allowed it is the anchor.

    The anchor's own module stays as it is.

    Raises:
        AssertionError: a promise that is broken.
    """
    with tempfile.TemporaryDirectory() as folder:
        anchor = toy_anchor(Path(folder))
        experts = toy_experts(anchor, _OWNERS, kind)
        frame = toy_frame(anchor, experts[0].card.sites)
        model = anchor.model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    if integrator.trainable:
        made = integrator.integrate(model, frame, experts, router)
        plainly = type(made) is Mixture and made.composition == "modules"
        assert plainly, (
            "it declares a mixture that can be trained (trainable = True), and makes none of the modules' outputs"
        )
    plain = _plain(model)
    whole = integrator.integrate(model, frame, experts, router)
    turned = integrator.integrate(model, frame, experts[::-1], router)
    assert torch.allclose(_logits(whole), _logits(turned), atol=_TOLERANCE), "the order of arrival changes the mixture"
    assert torch.allclose(_logits(whole, ()), plain, atol=_TOLERANCE), "with nobody allowed it is not the anchor"
    if integrator.guarantee == "exact":
        never = integrator.integrate(model, frame, experts[1:], router)
        kept = [expert.card.owner for expert in experts[1:]]
        assert torch.allclose(_logits(whole, kept), _logits(never), atol=_TOLERANCE), (
            "the guarantee is 'exact', but a mixture without an expert differs from one that never had it"
        )
        assert torch.allclose(_logits(whole.restrict(kept)), _logits(never), atol=_TOLERANCE), (
            "the guarantee is 'exact', but restricting differs from never having had the expert"
        )
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "integration changed the anchor"
    assert torch.equal(_plain(model), plain), "integration changed what the anchor computes"


@torch.no_grad()
def _plain(model: torch.nn.Module) -> Tensor:
    found: Tensor = model(input_ids=_IDS).logits.log_softmax(-1)
    return found


@torch.no_grad()
def _logits(mixture: Mixture, entitlement: Sequence[str] | None = None) -> Tensor:
    """Log-probabilities, since an ensemble gives those and a model logits."""
    with mixture.use(entitlement):
        found: Tensor = mixture(input_ids=_IDS).logits.log_softmax(-1)
    return found


__all__ = ["check_integrator", "check_kind", "check_router"]
