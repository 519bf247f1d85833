"""A stream of arriving owners: stage by stage a training, a release and everyone's measurements."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from flwr.serverapp import Grid

from atoll.anchors import Anchor, resolve
from atoll.config import read_config
from atoll.coordinator.app import train_unit
from atoll.coordinator.audits import write_audits
from atoll.coordinator.config import RunConfig
from atoll.coordinator.crew import Crew
from atoll.coordinator.exit import release_exit
from atoll.coordinator.history import WITHDRAWS, History
from atoll.coordinator.results import ANCHOR, MIXTURE, OWN
from atoll.coordinator.stream.config import generator_for
from atoll.coordinator.stream.studio import Studio
from atoll.coordinator.variants import whole
from atoll.errors import FederationError
from atoll.experts.stop_config import ROUTER_STOPPED
from atoll.federation.units import (
    Announcement,
    Choice,
    EvaluateReply,
    EvaluateUnit,
    MemberRef,
    TrainUnit,
    Variant,
)
from atoll.releases.folder import numbered, release_folder, write_release
from atoll.releases.release import Release, co_adapted, make_release, past_of
from atoll.releases.trust import own_issuer

log = logging.getLogger("atoll.coordinator")
_NOTHING = Choice(name="")


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Stage:
    """What one stage came to.

    Attributes:
        number: Counted from 1.
        arrived: Owners whose experts came.
        release: The mixture after it.
        evaluated: What each silo measured, by owner.
        seconds: Wall time by phase.
        stopped: Optimizer steps in which the router was updated in a newcomer's training, by owner, where it was
            stopped before the end.
    """

    number: int
    arrived: tuple[str, ...]
    release: Release
    evaluated: Mapping[str, EvaluateReply]
    seconds: Mapping[str, float]
    stopped: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Course:
    """What a stream has found so far.

    Attributes:
        silos: What each silo said of itself, by owner.
        failures: Why a silo is left out, by owner.
        stages: In order.
        after: The stage without the owner that withdrew; ``None`` where nobody did.
        rebuilt: Stages that were done anew without it, where that was asked for.
        unlearning: Figures of the exit's scorecard, measured by the owner that withdrew; empty where there is none.
    """

    silos: dict[str, Announcement] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    after: Stage | None = None
    rebuilt: list[Stage] = field(default_factory=list)
    unlearning: dict[str, float] = field(default_factory=dict)

    def trained_beside(self, owner: str) -> dict[str, int]:
        """Stage of arrival of those whose experts were trained beside an owner's, by their names."""
        there = [stage.number for stage in self.stages if owner in stage.arrived]
        return {
            other: stage.number for stage in self.stages for other in stage.arrived if there and stage.number > there[0]
        }


class StreamCoordinator:
    """One stream. All state that matters is in the run folder, so that it goes on at any stage."""

    def __init__(self, grid: Grid, folder: Path, names: Mapping[int, str] | None = None) -> None:
        """Read the run folder.

        Args:
            grid: The engine; all silos are there from the beginning, and wait for their stage.
            folder: The run folder, with ``config.yaml``.
            names: What the engine calls its nodes.
        """
        self.folder = folder
        self.config = read_config(RunConfig, folder / "config.yaml", [])
        self.anchor: Anchor = resolve(self.config.anchor)
        self.replay = generator_for(self.anchor.workload, self.config.stream.replay)
        self.history = History(folder / "ledger.db")
        self.crew = Crew(grid, folder, self.anchor, self.history, names or {})
        self.found = Course(silos=self.crew.silos, failures=self.crew.failures)
        self.studio = Studio(
            self.anchor,
            self.crew.packages,
            self.replay,
            self.config.stream.refit,
            seed=self.config.seed,
            device=self.config.engine.device,
        )

    def run(self) -> Course:
        """All stages in order, and the withdrawal at the end.

        Raises:
            FederationError: nobody arrived at the first stage, or nobody could measure.
        """
        with closing(self.history):
            self.crew.announce(incomplete=self.config.incomplete)
            self._stages(self.config.stream.stages, self.found.stages)
            gone, last = self.config.withdraw, self.found.stages[-1].release
            if gone in last.owners and len(last.owners) > 1:
                self.history.withdraw(gone, self.crew.withdrawal(gone, WITHDRAWS))
                self.found.after = self._withdrawn(gone, last)
                if self.config.stream.rebuild:
                    kept = [[owner for owner in stage if owner != gone] for stage in self.config.stream.stages]
                    self._stages([stage for stage in kept if stage], self.found.rebuilt)
                self.found.unlearning = self._exit(gone, last, self.found.after.release)
        return self.found

    def _stages(self, stages: Sequence[Sequence[str]], done: list[Stage]) -> None:
        for number, owners in enumerate(stages, 1):
            log.info("stage %d of %d: %s", number, len(stages), ", ".join(owners))
            last = number == len(stages)
            done.append(self._stage(number, owners, done[-1].release if done else None, last=last))

    def _stage(self, number: int, owners: Sequence[str], before: Release | None, *, last: bool) -> Stage:
        clock = [time.monotonic()]
        there = [owner for owner in owners if owner in self.crew.owners]
        trained = self.crew.train(there, self._train_unit(number, before))
        clock.append(time.monotonic())
        new = [self.crew.member(owner, said) for owner, said in sorted(trained.items())]
        members = [*(before.members if before else []), *new]
        if not members:
            raise FederationError(f"nobody arrived at stage {number}: {self.crew.reasons()}")
        release = self._release(members, before, beside=before is not None)
        clock.append(time.monotonic())
        evaluated = self._evaluate(release, sorted(trained), anchor=before is None, audited=last)
        clock.append(time.monotonic())
        phases = zip(("train", "integrate", "evaluate"), clock, clock[1:], strict=False)
        return Stage(
            number=number,
            arrived=tuple(sorted(trained)),
            release=release,
            evaluated=evaluated,
            seconds=self._timed(release, {name: end - start for name, start, end in phases}),
            stopped={
                owner: int(steps)
                for owner, said in sorted(trained.items())
                if (steps := said.metrics.get(ROUTER_STOPPED, 0.0))
            },
        )

    def _timed(self, release: Release, seconds: dict[str, float]) -> dict[str, float]:
        """What a stage took when it was done: a run that goes on finds it done already, and that takes no time."""
        kept = self.crew.journal.find("timed", "", release.digest)
        if kept is not None:
            return {name: float(value) for name, value in kept.items()}
        self.crew.journal.write("timed", "", release.digest, seconds)
        return seconds

    def _train_unit(self, number: int, before: Release | None) -> TrainUnit:
        config = self.config
        past = past_of(
            before,
            integrator=config.integrator,
            router=config.router,
            stage=number,
            arrival=config.stream.arrival,
            replay=self.replay,
        )
        return replace(train_unit(config, self.anchor), past=past, replay=self.replay)

    def _withdrawn(self, gone: str, last: Release) -> Stage:
        """The next release: without the owner's expert, and with a router that has seen none of its samples."""
        began = time.monotonic()
        kept = [member for member in last.members if member.owner != gone]
        release = self._release(kept, None, beside=len(self.found.stages) > 1)
        at_release = time.monotonic()
        evaluated = self._evaluate(release, [], anchor=False, audited=True)
        seconds = {"integrate": at_release - began, "evaluate": time.monotonic() - at_release}
        number = len(self.found.stages) + 1
        return Stage(number=number, arrived=(), release=release, evaluated=evaluated, seconds=seconds)

    def _exit(self, gone: str, before: Release, after: Release) -> dict[str, float]:
        """The scorecard of an exit; against a stream that never had the owner, where that was done anew."""
        config = self.config
        if not config.unlearning.on:
            return {}
        never = self.found.rebuilt[-1].release if self.found.rebuilt else None
        unit = release_exit(before, after, never, config.unlearning, config.evaluation.batch)
        kept = self.crew.journal.find("exit", gone, unit.address)
        if kept is not None:
            return {name: float(value) for name, value in kept.items()}
        figures = self.crew.measure_exit(gone, unit)
        if figures:
            self.crew.journal.write("exit", gone, unit.address, figures)
        return figures

    def _release(self, members: Sequence[MemberRef], before: Release | None, *, beside: bool) -> Release:
        """Integrate, fit the router, and write both down under the next number.

        Args:
            members: The experts.
            before: What teaches the router about earlier owners' domains.
            beside: Whether some of the experts were trained beside others.
        """
        config, folder = self.config, self.folder / "releases"
        made = make_release(1, self.anchor, config.expert.kind, config.integrator, config.router, members)
        if config.stream.refit.steps:
            made = replace(made, shared=self._fitted(numbered(made, folder), before))
        made = co_adapted(made, beside=beside)
        release = numbered(made, folder)
        files = {member.owner: self.crew.packages.get(member.blob) for member in release.members}
        write_release(release, files, folder, self.studio.shared(release), own_issuer(self.history.head))
        self.history.release(release)
        log.info("release %d: %s, %s", release.number, ", ".join(release.owners), release.digest)
        return release

    def _fitted(self, release: Release, before: Release | None) -> str:
        """Digest of the fitted router of a release, which is kept: a run that goes on finds it."""
        address = self.studio.address(release, before)
        kept = self.crew.journal.find("fitted", "", address)
        if kept is not None and self.crew.packages.has(str(kept.get("shared"))):
            return str(kept["shared"])
        digest = self.crew.packages.put(self.studio.fit(release, before).to_bytes())
        self.crew.journal.write("fitted", "", address, {"shared": digest})
        return digest

    def _evaluate(
        self, release: Release, arrived: Sequence[str], *, anchor: bool, audited: bool
    ) -> dict[str, EvaluateReply]:
        """Everyone measures the mixture, those to come as well; who arrived, its own expert alone."""
        audit = self.config.stream.audit if audited and self.config.stream.audit.on else None
        unit = EvaluateUnit(
            anchor=self.anchor.digest,
            members=release.members,
            variants=self._variants(release, arrived, anchor=anchor),
            shared=release.shared,
            split=self.config.evaluation.split,
            windows=self.config.evaluation.windows,
            batch=self.config.evaluation.batch,
            audit=None if audit is None else replace(audit, release=MIXTURE, seed=self.config.seed),
            replay=None if audit is None else self.replay,
        )
        found = self.crew.evaluate(self.crew.owners, unit)
        if not found:
            raise FederationError(f"no silo could evaluate release {release.number}: {self.crew.reasons()}")
        folder = release_folder(self.folder / "releases", release.number)
        write_audits(folder, {owner: said.audit for owner, said in found.items() if said.audit})
        return found

    def _variants(self, release: Release, arrived: Sequence[str], *, anchor: bool) -> list[Variant]:
        models = [whole(release, MIXTURE)]
        if arrived:
            own = Variant(
                name=OWN,
                members=list(arrived),
                integrator=release.integrator,
                router=release.router,
                alone=True,
            )
            models.append(own)
        if anchor:
            models.append(Variant(name=ANCHOR, members=[], integrator=_NOTHING, router=_NOTHING))
        return models
