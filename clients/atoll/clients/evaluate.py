"""Evaluating mixtures on a silo's own text; only losses and routing shares come out."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from atoll.clients.training.prefix import Prefix, tail
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage
from atoll.federation.units import EvaluateReply, EvaluateUnit, Variant
from atoll.mixture import Descriptor, Mixture, Router
from atoll.plugins import build
from atoll.workloads.text import Text
from atoll.workloads.text.loss import next_token_loss


class Evaluator:
    """Runs one unit's variants over the same windows, with the layers below the first expert computed once."""

    def __init__(
        self,
        model: nn.Module,
        frame: Descriptor,
        experts: Mapping[str, ExpertPackage],
        text: Text,
        unit: EvaluateUnit,
        cache: Path,
    ) -> None:
        """Prepare.

        Args:
            model: The unchanged anchor.
            frame: Its descriptor.
            experts: By owner, verified.
            text: The silo's text.
            unit: What to evaluate.
            cache: Where states below the first expert are kept.
        """
        self._model, self._frame, self._experts, self._unit = model, frame, experts, unit
        self._batches = list(text.evaluation_batches(unit.split, unit.batch, unit.windows or None))
        self._first = min((first_layer(e.card.targets) for e in experts.values()), default=0)
        self._states: list[Tensor] | None = None
        if self._first:
            chosen = torch.cat(self._batches)
            prefix = Prefix(model, self._first, cache, len(chosen), chosen.shape[1])
            rows = torch.stack([prefix.states(i, lambda index: chosen[index]) for i in range(len(chosen))])
            self._states = list(rows.split(unit.batch))

    def run(self, owner: str, report: Callable[[int, int, str], None]) -> EvaluateReply:
        """Every variant that concerns ``owner``."""
        loss: dict[str, float] = {}
        shares: dict[str, dict[str, float]] = {}
        variants = [v for v in self._unit.variants if not v.alone or owner in v.members]
        tokens = sum(ids.shape[0] * (ids.shape[1] - 1) for ids in self._batches)
        for done, variant in enumerate(variants):
            report(done, len(variants), variant.name)
            model, entitlement = self._build(variant, owner)
            loss[variant.name], slots = self._loss(model, entitlement)
            if slots:
                shares[variant.name] = slots
        report(len(variants), len(variants), "evaluated")
        return EvaluateReply(loss=loss, tokens=tokens, shares=shares)

    def _build(self, variant: Variant, owner: str) -> tuple[nn.Module, list[str] | None]:
        members = [owner] if variant.alone else variant.members
        experts = [self._experts[name] for name in members]
        if not variant.integrator.name or not experts:
            return self._model, []
        router: Router = build("atoll.routers", variant.router.name, variant.router.options)
        integrator: Integrator = build("atoll.integrators", variant.integrator.name, variant.integrator.options)
        if variant.alone and not experts[0].card.settings.get("coordinated"):
            # Trained in the anchor's place, so it stands in the anchor's place; a router would mix the anchor in.
            integrator = build("atoll.integrators", "soup", {})
        return integrator.integrate(self._model, self._frame, experts, router), variant.entitlement

    @torch.no_grad()
    def _loss(self, model: nn.Module, entitlement: list[str] | None) -> tuple[float, dict[str, float]]:
        runner = _from_layer(model, self._first)
        total, count = 0.0, 0
        if not isinstance(model, Mixture):
            for index, ids in enumerate(self._batches):
                part, predicted = next_token_loss(runner(**self._inputs(index), use_cache=False).logits, ids)
                total, count = total + float(part), count + predicted
            return total / count, {}
        with model.use(entitlement) as call:
            for index, ids in enumerate(self._batches):
                call.text_BS = ids
                part, predicted = next_token_loss(runner(**self._inputs(index), use_cache=False).logits, ids)
                total, count = total + float(part), count + predicted
            slots = dict(zip(model.slots, call.shares(), strict=True)) if call.mass_N is not None else {}
        return total / count, slots

    def _inputs(self, index: int) -> dict[str, Tensor]:
        if self._states is None:
            return {"input_ids": self._batches[index]}
        return {"inputs_embeds": self._states[index]}


def first_layer(targets: tuple[str, ...]) -> int:
    """The lowest layer among module paths such as ``model.layers.24.mlp``."""
    return min(int(path.split(".")[2]) for path in targets)


def _from_layer(model: nn.Module, first: int) -> nn.Module:
    if not first:
        return model
    if not isinstance(model, Mixture):
        return tail(model, first)
    runner = copy.copy(model)
    runner._modules = {**model._modules, "model": tail(model.model, first)}
    return runner
