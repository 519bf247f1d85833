"""Evaluating mixtures on a silo's own data; only figures and routing shares come out."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import nn

from atoll.clients.training.prefix import Prefix, tail
from atoll.errors import ConfigError, FederationError
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage
from atoll.federation.units import EvaluateReply, EvaluateUnit, Variant
from atoll.mixture import Call, Descriptor, Mixture, Router
from atoll.mixture.shared import Shared
from atoll.plugins import build
from atoll.workloads.workload import Batch, Split, Workload


class Evaluator:
    """Runs one unit's variants over the same samples, with the layers below the first expert computed once."""

    def __init__(
        self,
        model: nn.Module,
        frame: Descriptor,
        experts: Mapping[str, ExpertPackage],
        workload: Workload,
        unit: EvaluateUnit,
        cache: Path,
        shared: Shared | None = None,
    ) -> None:
        """Prepare.

        Args:
            model: The unchanged anchor, on the device to run on.
            frame: Its descriptor.
            experts: By owner, verified.
            workload: The silo's data.
            unit: What to evaluate.
            cache: Folder for the states below the first expert; one for each anchor.
            shared: The router's fitted rows, for variants that go by them.

        Raises:
            ConfigError: a batch of nothing, or a split that there is not.
            FederationError: a variant names an owner whose expert is not among ``experts``, or fitted rows that did not
                come.
        """
        self._model, self._frame, self._experts, self._unit = model, frame, experts, unit
        self._shared = shared
        self._device = next(model.parameters()).device
        if unit.batch < 1:
            raise ConfigError(f"evaluation.batch is {unit.batch}; it must be at least 1")
        for variant in unit.variants:
            if lacking := sorted(set(variant.members) - set(experts)):
                raise FederationError(
                    f"variant '{variant.name}' names {', '.join(lacking)}, who is no member of the unit"
                )
            if variant.fitted and shared is None:
                raise FederationError(f"variant '{variant.name}' goes by fitted rows, and the unit has none")
        self._workload, self._split = workload, cast(Split, unit.split)
        # Refuses a split that there is not, so from here on its name is safe in a path.
        self._indices = workload.evaluation_indices(self._split, unit.windows or None)
        lowest = min((first_layer(e.card.targets) for e in experts.values()), default=0)
        self._first = lowest if workload.cached_below else 0
        self._prefix: Prefix | None = None
        if self._first:
            self._prefix = Prefix(model, self._first, cache / f"{unit.split}-below-{self._first}.states")

    def run(self, owner: str, report: Callable[[int, int, str], None]) -> EvaluateReply:
        """Every variant that concerns ``owner``."""
        loss: dict[str, float] = {}
        scores: dict[str, dict[str, float]] = {}
        shares: dict[str, dict[str, float]] = {}
        variants = [v for v in self._unit.variants if not v.alone or owner in v.members]
        predicted = 0
        for done, variant in enumerate(variants):
            report(done, len(variants), variant.name)
            model, entitlement = self.build(variant, owner)
            found, slots = self._measure(model, entitlement)
            predicted = found.count
            loss[variant.name] = found.loss / found.count
            if found.scores:
                scores[variant.name] = dict(sorted(self._workload.finish(found.scores, found.count).items()))
            if slots:
                shares[variant.name] = slots
        report(len(variants), len(variants), "evaluated")
        return EvaluateReply(loss=loss, tokens=predicted, scores=scores, shares=shares).finite

    @property
    def anchor(self) -> nn.Module:
        """The unchanged anchor."""
        return self._model

    def build(self, variant: Variant, owner: str) -> tuple[nn.Module, list[str] | None]:
        """A variant's model on the device, as ``owner`` measures it, and who may answer in it."""
        members = [owner] if variant.alone else variant.members
        experts = [self._experts[name] for name in members]
        if not variant.integrator.name or not experts:
            return self._model, []
        router: Router = build("atoll.routers", variant.router.name, variant.router.options)
        integrator: Integrator = build("atoll.integrators", variant.integrator.name, variant.integrator.options)
        if variant.alone and not experts[0].card.settings.get("coordinated"):
            # Trained in the anchor's place, so it stands in the anchor's place; a router would mix the anchor in.
            integrator = build("atoll.integrators", "soup", {})
        made = integrator.integrate(self._model, self._frame, experts, router)
        if variant.fitted and self._shared is not None:
            made = made.with_rows(self._shared.rows)
        # The routers' state comes from descriptors, which are read on the CPU.
        return made.to(self._device), variant.entitlement

    @torch.no_grad()
    def _measure(self, model: nn.Module, entitlement: list[str] | None) -> tuple["_Sums", dict[str, float]]:
        """What was found, and each slot's share of the routing weight where there is a router."""
        runner = _from_layer(model, self._first)
        if not isinstance(model, Mixture):
            return self._sums(runner, None), {}
        with model.use(entitlement) as call:
            found = self._sums(runner, call)
            return found, dict(zip(model.slots, call.shares(), strict=True)) if call.mass_N is not None else {}

    def _sums(self, runner: nn.Module, call: Call | None) -> "_Sums":
        found = _Sums()
        for start in range(0, len(self._indices), self._unit.batch):
            batch = self._batch(self._indices[start : start + self._unit.batch])
            if call is not None and "inputs_embeds" in batch.inputs:
                call.text_BS = batch.targets["ids"]
            logits = runner(**batch.inputs, use_cache=False).logits
            part, predicted = self._workload.loss(logits, batch.targets)
            found.add(float(part), predicted, self._workload.scores(logits, batch.targets))
        return found

    def _batch(self, indices: Sequence[int]) -> Batch:
        """What the runner takes, on its device."""
        batch = self._workload.samples(self._split, indices)
        return (batch if self._prefix is None else self._prefix.below(batch, indices)).to(self._device)


@dataclass(slots=True)
class _Sums:
    """Running sums over the units that were predicted."""

    loss: float = 0.0
    count: int = 0
    scores: dict[str, float] = field(default_factory=dict)

    def add(self, loss: float, count: int, scores: Mapping[str, float]) -> None:
        self.loss += loss
        self.count += count
        for name, value in scores.items():
            self.scores[name] = self.scores.get(name, 0.0) + value


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
