"""The audit of a release by one owner whose expert is in it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll.clients.audit.given_back import given_back
from atoll.clients.audit.losses import sample_losses
from atoll.clients.audit.published import (
    Source,
    distances,
    held_back,
    publish,
    records,
    replayed_traces,
    traces,
)
from atoll.clients.node import Node
from atoll.clients.prior import owners_seed
from atoll.errors import DataError
from atoll.federation.units import Choice
from atoll.plugins import build
from atoll.privacy.attacks import Floats, calibrated_scores, loss_scores, nearest_scores
from atoll.privacy.audit_config import AuditConfig
from atoll.privacy.membership import membership_report, per_person
from atoll.privacy.uniqueness import uniqueness
from atoll.replay import Replay, ReplaySet, Teacher
from atoll.workloads.mobility import Mobility
from atoll.workloads.workload import Split

log = logging.getLogger(__name__)

Figures = Mapping[str, float]
Report = Callable[[int, int, str], None]
_SIDES: tuple[Split, Split] = ("train", "test")


def audit_release(
    node: Node,
    source: Source,
    anchor: Teacher,
    config: AuditConfig,
    generator: Choice | None,
    *,
    batch: int,
    report: Report,
) -> Figures:
    """Measure what a release, and replay drawn from it, tell of the owner's training data.

    Members are of the training split, the others of the test split. What the data is too small for is left out, and the
    node's log says why. All choices follow from the configuration, the data and the owner's key.

    Args:
        node: The owner's.
        source: The release, and the owner's part in it.
        anchor: The unchanged anchor, which has seen none of the data.
        config: What is measured, on how much.
        generator: Of published replay; ``None`` leaves that out.
        batch: Samples in one forward pass.
        report: Told what is going on.

    Returns:
        Figures by name, as :mod:`atoll.privacy` names them.

    Raises:
        ConfigError: an impossible configuration, or a generator for other data.
    """
    config.check()
    audit = _Audit(node, source, config, batch)
    steps: dict[str, Callable[[], Figures]] = {"membership": lambda: audit.by_loss(anchor)}
    if node.workload.name == "text":
        steps["extraction"] = audit.by_prefix
    if generator is not None:
        replay: Replay = build("atoll.replay", generator.name, generator.options)
        steps["replay"] = lambda: audit.by_replay(replay)
    found: dict[str, float] = {}
    for done, (name, measure) in enumerate(steps.items()):
        report(done, len(steps), f"audit: {name}")
        try:
            found |= measure()
        except DataError as error:
            log.warning("audit: %s is left out: %s", name, error)
    report(len(steps), len(steps), "audited")
    return found


@dataclass(frozen=True, eq=False, slots=True)
class _Audit:
    node: Node
    source: Source
    config: AuditConfig
    batch: int

    def by_loss(self, anchor: Teacher) -> Figures:
        """Membership by the loss, and by the loss less the anchor's."""
        workload = self.node.workload
        chosen = {split: self._choose(split, len(workload.evaluation_indices(split))) for split in _SIDES}
        losses = [
            [sample_losses(model, workload, split, chosen[split].tolist(), self.batch) for split in _SIDES]
            for model in (self.source.teacher, anchor)
        ]
        own, public = losses
        return {
            **self._membership("loss", chosen, [loss_scores(side) for side in own]),
            **self._membership("calibrated", chosen, list(map(calibrated_scores, own, public))),
        }

    def by_prefix(self) -> Figures:
        """Training documents given back to their beginnings; and test documents, which can only be guessed."""
        workload = self.node.workload
        context = workload.replay_context(workload.public_context())
        found: dict[str, float] = {}
        for split, name in zip(_SIDES, ("extraction", "extraction_held_out"), strict=True):
            documents = workload.replay_private(split)
            seed = self._seed("extraction", split)
            found |= given_back(self.source.teacher, documents, context, self.config.extraction, seed).figures(name)
        return found

    def by_replay(self, replay: Replay) -> Figures:
        """Membership by nearness to published replay, how much of it was held back, and whose trajectories it shows."""
        workload, config = self.node.workload, self.config
        published = publish(replay, self.source, workload, config.replayed, self._seed("replay"))
        found: dict[str, float] = held_back(published)
        chosen = {split: self._choose(split, records(workload, split)) for split in _SIDES}
        near = [distances(workload, replay, split, chosen[split], published.samples) for split in _SIDES]
        found |= self._membership("replay", chosen, [nearest_scores(side, config.neighbours) for side in near])
        if isinstance(workload, Mobility):
            found |= self._uniqueness(workload, published)
        return found

    def _uniqueness(self, workload: Mobility, published: ReplaySet) -> Figures:
        held_out, train = (traces(workload.trajectories(split)) for split in ("test", "train"))
        seed = self._seed("points") % 2**32
        generated = replayed_traces(published.samples)
        return uniqueness(generated, held_out, train, seed, points=self.config.points).figures()

    def _membership(self, attack: str, chosen: Mapping[Split, NDArray[np.int64]], scores: list[Floats]) -> Figures:
        """Of persons where they are known, since samples of one are no independent draws."""
        sides = []
        for split, side in zip(_SIDES, scores, strict=True):
            persons = self.node.workload.persons(split)
            sides.append(side if persons is None else per_person(side, persons[chosen[split]]))
        return membership_report(attack, *sides).figures()

    def _choose(self, split: Split, count: int) -> NDArray[np.int64]:
        rng = np.random.default_rng(self._seed("samples", split))
        return np.sort(rng.permutation(count)[: self.config.samples])

    def _seed(self, *what: str) -> int:
        """Of 63 bits: the coordinator's choice alone would let it draw the same and see what is missing."""
        asked = (str(self.config.seed), self.node.workload.key, *what)
        return owners_seed(self.node.key, "audit", *asked) % 2**63
