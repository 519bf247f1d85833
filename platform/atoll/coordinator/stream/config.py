"""How owners arrive one after the other."""

import math
from dataclasses import dataclass, field

from atoll.continual.budget import Budget
from atoll.errors import ConfigError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.stop_config import RouterStop
from atoll.federation.units import Choice
from atoll.plugins import build, load, names
from atoll.privacy.audit_config import AuditConfig
from atoll.replay.distill import Distillation

REPLAY = "atoll.replay"


@dataclass(frozen=True, kw_only=True)
class RefitConfig:
    """The router is fitted anew after an arrival, at the coordinator, from synthetic samples alone.

    Attributes:
        steps: Optimizer steps; 0 leaves the rows as the owners' descriptors and trainings make them.
        learning_rate: Peak, with a cosine to a tenth of it.
        batch: Samples of a step, all of one domain; domains take turns.
        budget: Samples of replay in all, however many domains there are.
        divergence: What ties the new mixture to the teachers: ``forward-kl`` or ``reverse-kl``.
        temperature: Of it.
        stop: When a fitting ends before its steps are done; there is nothing in it but the router.
        fittings: How many fittings of a stream move everyone's rows. Later ones move the rows of those who came since,
            and leave the router as it was for everyone else; 0 for no such end.
    """

    steps: int = 100
    learning_rate: float = 1e-2
    batch: int = 16
    budget: int = 512
    divergence: str = "forward-kl"
    temperature: float = 2.0
    stop: RouterStop = field(default_factory=RouterStop)
    fittings: int = 0

    def distillation(self) -> Distillation:
        """The loss."""
        return Distillation(divergence=self.divergence, temperature=self.temperature)

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if self.steps < 0:
            raise ConfigError(f"stream.refit.steps is {self.steps}; give 0 for no fitting, or how many")
        for name in ("batch", "budget"):
            if getattr(self, name) < 1:
                raise ConfigError(f"stream.refit.{name} is {getattr(self, name)}; it must be at least 1")
        if self.fittings < 0:
            raise ConfigError(f"stream.refit.fittings is {self.fittings}; give 0 for no end, or how many")
        self.stop.check("stream.refit.stop")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"stream.refit.learning_rate is {self.learning_rate}; it must be positive")
        self.distillation()


def generator_for(workload: str, choice: Choice) -> Choice:
    """The generator of replay for a workload.

    Args:
        workload: Of the anchor.
        choice: What was chosen; with an empty name, the one that is registered for the workload.

    Raises:
        ConfigError: there is none for it, or one for another workload was chosen.
    """
    if choice.name:
        if workload not in load(REPLAY, choice.name).workloads:
            raise ConfigError(f"replay '{choice.name}' draws no samples of {workload}")
        return choice
    found = [name for name in names(REPLAY) if workload in load(REPLAY, name).workloads]
    if not found:
        raise ConfigError(f"no generator of replay is registered for workload {workload}")
    return Choice(name=found[0], options=choice.options)


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """Stages of arriving owners.

    Attributes:
        stages: Owners' names, stage by stage; several may arrive together. None at all for a run without stages.
        metric: What the matrix holds: ``loss``, or a score of the workload such as ``accuracy@1``.
        arrival: How a new expert is trained beside those that are there.
        replay: The generator; with an empty name, the one of the anchor's workload.
        refit: How the router is fitted after an arrival.
        baselines: What the stream is held against, run on this machine, which must then hold everyone's data: by name,
            with options.
        budget: What each baseline may spend.
        audit: What owners measure of the privacy of the last release, and of replay drawn from it.
        rebuild: Whether after a withdrawal the experts that were trained beside the one that went are trained anew
            without it.
    """

    stages: list[list[str]] = field(default_factory=list)
    metric: str = "loss"
    arrival: ArrivalConfig = field(default_factory=ArrivalConfig)
    replay: Choice = field(default_factory=lambda: Choice(name=""))
    refit: RefitConfig = field(default_factory=RefitConfig)
    baselines: list[Choice] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)
    audit: AuditConfig = field(default_factory=AuditConfig)
    rebuild: bool = False

    @property
    def on(self) -> bool:
        """Whether owners arrive in stages."""
        return bool(self.stages)

    @property
    def owners(self) -> list[str]:
        """All of them, in order of arrival."""
        return [owner for stage in self.stages for owner in stage]

    def check(self, silos: list[str]) -> None:
        """Raise ConfigError or PluginError for what cannot be.

        Args:
            silos: Names of the run's silos.
        """
        if not self.on:
            return
        if empty := [number for number, stage in enumerate(self.stages, 1) if not stage]:
            raise ConfigError(f"stream.stages: nobody arrives at stage {empty[0]}; leave it out")
        if unknown := sorted(set(self.owners) - set(silos)):
            raise ConfigError(f"stream.stages names '{unknown[0]}', who is no silo; there are {', '.join(silos)}")
        if lacking := sorted(set(silos) - set(self.owners)):
            raise ConfigError(f"stream.stages: silo '{lacking[0]}' never arrives; name it in a stage, or leave it out")
        if doubled := sorted({owner for owner in self.owners if self.owners.count(owner) > 1}):
            raise ConfigError(f"stream.stages: '{doubled[0]}' arrives twice; everyone arrives once")
        self.arrival.check()
        self.refit.check()
        self.audit.check()
        if self.replay.name:
            build(REPLAY, self.replay.name, self.replay.options)
        for baseline in self.baselines:
            build("atoll.baselines", baseline.name, baseline.options)
        if self.baselines:
            self.budget.check()
