"""Training a new owner's expert beside those that are there: real data and replay, mixed and weighted.

MoveGCL's mechanism (arXiv 2506.06694) on Atoll's terms. The student is the previous release with one expert more.
Everybody else's experts stay frozen, because they are their owners'; what is trained is the new expert, and the
router's rows, which are nobody's. Samples of the earlier domains come from the previous release, which is the teacher.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from atoll.clients.training.locality import Locality
from atoll.clients.training.loop import Loss
from atoll.clients.training.trainable import Trainable, TrainedExpert
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.router_watch import RouterWatch, first_choices
from atoll.experts.stop_config import ROUTER_STOPPED
from atoll.mixture import Member, Mixture
from atoll.mixture.adapt import Adapter
from atoll.mixture.call import current_call
from atoll.replay import mix_weights
from atoll.workloads.workload import Batch, Workload

_TEACHER, _ROUTER = "teacher", "router."
_FAIR, _REACH, _HALVINGS = 0.5, 64.0, 12
"""The share of the routing weight that a new expert starts with, within which bias, and how exactly."""
_STAGES = (0.3, 0.6)
"""Shares of the training after which the next layers have their turn, as MoveGCL publishes them."""


class ArrivalTrainable(Trainable):
    """The previous release with the new expert in it, open for training.

    Attributes:
        step: Number of the step that is taken, which says whose turn it is where layers take turns.
        probe: Batches on which it is looked whether the router's choice has settled.
    """

    def __init__(
        self,
        student: Mixture,
        owner: str,
        config: ArrivalConfig,
        steps: int,
        extra: Mapping[str, bytes] | None = None,
    ) -> None:
        """Open the new expert and the rows, in place.

        Args:
            student: The mixture; its member ``owner`` is the new one.
            owner: Who arrives.
            config: What is trained.
            steps: Of the training, for layers that take turns.
            extra: The kind's further files, as the package will have them.
        """
        self.model: Mixture = student
        self._extra = extra or {}
        self._owner, self._steps = owner, steps
        self._adapter = Adapter(student, experts=[owner], rows=student.slots if config.rows else [owner])
        self.parameters = self._adapter.parameters
        self.step = 0
        self.probe: Sequence[Batch] = ()
        self._watch, self._weight = RouterWatch(config.stop), config.locality
        self._router = [value for name, value in self.parameters.items() if name.startswith(_ROUTER)]
        moving = {name: value for name, value in self.parameters.items() if not name.startswith(_ROUTER)}
        self._locality = Locality(student, owner, moving) if config.locality else None
        if config.progressive:
            self._take_turns()

    def _take_turns(self) -> None:
        layers = sorted({_layer(name) for name in self.parameters})
        pairs = [{layers[i], layers[-1 - i]} for i in range((len(layers) + 1) // 2)]
        for name, parameter in self.parameters.items():
            (turn,) = [number for number, pair in enumerate(pairs) if _layer(name) in pair]
            turn = min(turn, len(_STAGES))

            def mask(gradient: Tensor, turn: int = turn) -> Tensor:
                return gradient if self._turn(len(pairs)) == turn else torch.zeros_like(gradient)

            parameter.register_hook(mask)

    def _turn(self, pairs: int) -> int:
        if pairs <= len(_STAGES):
            return min(pairs - 1, self.step * pairs // max(1, self._steps))
        return sum(self.step >= share * self._steps for share in _STAGES)

    def begin(self, step: int) -> None:
        """A step begins. From the one on in which the router's updates have ended, its rows have no gradient, and the
        optimizer leaves them alone; everything else goes on.

        Args:
            step: Its number, from 0; every step in turn.
        """
        self.step = step
        updates = self._watch.updates(step, self._choices)
        for row in self._router:
            row.requires_grad_(updates)
        if self._locality is not None:
            self._locality.step()

    @torch.no_grad()
    def _choices(self) -> Tensor:
        """First choices for the batches of :attr:`probe`, the same ones at every look."""
        found = []
        with self.model.use() as call:
            for batch in self.probe:
                moved = batch.to(next(self.model.parameters()).device)
                self.model(**moved.inputs, use_cache=False)
                found.append(first_choices(call))
        return torch.cat(found)

    def metrics(self) -> dict[str, float]:
        """When the router's updates ended, where that was asked for."""
        return {ROUTER_STOPPED: float(self._watch.stopped)} if self._watch.config.on else {}

    @torch.no_grad()
    def meet(self, batch: Batch) -> None:
        """Set the biases of the new rows so that the new expert has half of the routing weight on own samples.

        Rows of others have learned nothing about this domain and may claim all of it. Then the new expert is not among
        the ``k`` that answer, no gradient reaches it, and it stays as it is for good. From half of the weight training
        can go both ways: up on the owner's samples, and down on replay. Routers without a bias are left alone.

        Args:
            batch: Some of the owner's training samples, on the device.
        """
        owner = self._owner
        sites = [site for site, rows in self.rows().items() if "bias" in rows[owner]]
        found = {site: self.parameters[f"router.{site}.bias.{owner}"] for site in sites}
        starts = {site: float(bias) for site, bias in found.items()}
        low, high = dict.fromkeys(found, -_REACH), dict.fromkeys(found, _REACH)
        for _ in range(_HALVINGS if found else 0):
            for site, bias in found.items():
                bias.fill_(starts[site] + (low[site] + high[site]) / 2)
            for site, share in self._shares(batch).items():
                if site in found:
                    (low if share < _FAIR else high)[site] = (low[site] + high[site]) / 2

    def _shares(self, batch: Batch) -> dict[str, float]:
        """The new expert's share of the routing weight at every site."""
        slot = self.model.slots.index(self._owner)
        with self.model.use() as call:
            self.model(**batch.inputs, use_cache=False)
            mask = slice(None) if call.mask_BS is None else call.mask_BS.flatten()
            return {site: float(r.dense(len(self.model.slots))[mask, slot].mean()) for site, r in call.routing.items()}

    def auxiliary_loss(self) -> Tensor | None:
        """The locality loss where it has a weight. Otherwise none: replay already says where other domains' tokens
        go.
        """
        return None if self._locality is None else self._weight * self._locality.loss(current_call())

    def state(self) -> dict[str, Tensor]:
        """What was seen of the router, and where the expert was before the latest step."""
        return {**self._watch.state(), **(self._locality.state() if self._locality is not None else {})}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` gave."""
        self._watch.restore(state)
        if self._locality is not None:
            self._locality.restore(state)

    def rows(self) -> dict[str, dict[str, dict[str, Tensor]]]:
        """The router's rows as they are now."""
        return self._adapter.rows()

    def export(self) -> TrainedExpert:
        """The new expert with its own rows; everyone else's are the release's."""
        (member,) = [member for member in self._adapter.mixture.members if member.owner == self._owner]
        kind = self._adapter.mixture.kind
        weights: dict[str, Tensor] = {}
        for target, tensors in self._adapter.expert(self._owner).items():
            weights |= kind.pack(target, tensors)
        settings, learned = kind.pack_learned({site: rows[self._owner] for site, rows in self.rows().items()})
        left = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in (weights | learned).items()}
        return TrainedExpert(kind.name, member.targets, {**member.settings, **settings}, left, self._extra)


def _layer(name: str) -> int:
    """The layer in a name such as ``model.layers.3.mlp.up_proj.owner`` or ``router.model.layers.3.mlp.row.owner``."""
    parts = name.split(".")
    return int(parts[parts.index("layers") + 1])


def start_expert(config: ArrivalConfig, members: Sequence[Member], fresh: Member, most_used: str = "") -> Member:
    """The new expert before its training.

    Args:
        config: Says what it starts as.
        members: The experts that are there.
        fresh: The new one as a copy of the anchor.
        most_used: Whose expert the new data is sent to most, by :func:`most_used_expert`.
    """
    if config.start == "anchor" or not members:
        return fresh
    if config.start == "most-used":
        (used,) = [member for member in members if member.owner == most_used]
        return replace(fresh, weights={name: used.weights[name].clone() for name in fresh.weights})
    mean = {name: torch.stack([m.weights[name].float() for m in members]).mean(0) for name in fresh.weights}
    return replace(fresh, weights=mean)


def most_used_expert(mixture: Mixture, batches: Sequence[Batch]) -> str:
    """The owner whose expert a mixture sends most of these batches to."""
    with torch.no_grad(), mixture.use() as call:
        for batch in batches:
            mixture(**batch.inputs, use_cache=False)
        shares = call.shares()[1:]
    return mixture.slots[1 + shares.index(max(shares))]


class ReplayedParts:
    """The parts of a step: real samples and replayed ones, weighted 1/t to 1 − 1/t at stage t."""

    def __init__(
        self,
        real: Callable[[int], Sequence[Batch]],
        replayed: Sequence[Callable[[int], Batch]],
        teacher: Mixture | None,
        config: ArrivalConfig,
        stage: int,
    ) -> None:
        """Prepare.

        Args:
            real: Parts of the owner's own batch of a step.
            replayed: For each earlier domain, the replayed batch of a step.
            teacher: The frozen previous release; ``None`` without one.
            config: How they are mixed.
            stage: Counted from 1.
        """
        self._real, self._teacher, self._config = real, teacher, config
        self._replayed = replayed if config.replay and teacher is not None else ()
        self.weights = mix_weights(stage)

    def __call__(self, step: int) -> list[Batch]:
        """The parts of one step."""
        own = self.own(self._real(step))
        if not self._replayed:
            return own
        real_weight, replay_weight = self.weights
        predicted = sum(part.predicted for part in own)
        old = self._replayed[step % len(self._replayed)](step // len(self._replayed))
        return [
            *(replace(part, scale=real_weight / predicted) for part in own),
            replace(self.taught(old), scale=replay_weight / old.predicted),
        ]

    def own(self, batches: Sequence[Batch]) -> list[Batch]:
        """The owner's samples, with their labels or with what the teacher says instead."""
        return list(batches) if self._config.labels else [self.taught(batch) for batch in batches]

    @torch.no_grad()
    def taught(self, batch: Batch) -> Batch:
        """The batch with what the teacher says to it."""
        if self._config.distillation == "none":
            return batch
        assert self._teacher is not None
        inputs = batch.to(next(self._teacher.parameters()).device).inputs
        with self._teacher.use():
            logits = self._teacher(**inputs, use_cache=False).logits
        return replace(batch, targets={**batch.targets, _TEACHER: logits})


def arrival_loss(workload: Workload, config: ArrivalConfig) -> Loss:
    """The workload's own loss for real samples, distillation for those that a teacher has spoken to."""

    distillation = config.divergence()

    def loss(logits: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
        if distillation is None or _TEACHER not in targets:
            return workload.loss(logits, targets)
        kept = workload.predicts(targets)
        count = int(kept.sum())
        return count * distillation.loss(targets[_TEACHER], logits, kept), count

    return loss


@contextlib.contextmanager
def in_use(*mixtures: Mixture | None) -> Iterator[None]:
    """Everyone's experts may answer, as they do for a student in training."""
    with contextlib.ExitStack() as stack:
        for mixture in mixtures:
            if mixture is not None:
                stack.enter_context(mixture.use())
        yield
