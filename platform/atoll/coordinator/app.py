"""The Flower ``ServerApp``: announce, train, integrate, evaluate, withdraw. It is the same on every engine."""

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from atoll.anchors import Anchor, resolve
from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.coordinator.crew import Crew
from atoll.coordinator.exit import withdrawal_exit
from atoll.coordinator.history import WITHDRAWS, History
from atoll.coordinator.variants import variants, withdrawal_variants
from atoll.errors import FederationError
from atoll.federation.units import Announcement, EvaluateReply, EvaluateUnit, TrainReply, TrainUnit
from atoll.releases.folder import numbered, write_release
from atoll.releases.release import Release, make_release
from atoll.releases.trust import own_issuer

log = logging.getLogger("atoll.coordinator")
app = ServerApp()


@dataclass(slots=True)
class Findings:
    """What a run has found so far.

    Attributes:
        silos: What each silo said of itself, by owner.
        failures: Why a silo is left out, by owner.
        trained: What training found, by owner.
        release: The mixture.
        evaluated: What each silo measured.
        reduced: The release after the withdrawal, if there was one.
        unlearning: Figures of the exit's scorecard, measured by the owner that withdrew; empty where there is none.
        seconds: Wall time by phase.
    """

    silos: dict[str, Announcement] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    trained: dict[str, TrainReply] = field(default_factory=dict)
    release: Release | None = None
    evaluated: dict[str, EvaluateReply] = field(default_factory=dict)
    reduced: Release | None = None
    unlearning: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Entry point for Flower; the run folder is in the run's configuration."""
    coordinate(grid, Path(str(context.run_config["folder"])))


def coordinate(grid: Grid, folder: Path) -> Findings:
    """Run to the end over whoever is there.

    Args:
        grid: The engine.
        folder: The run folder, with ``config.yaml``; what arrives is kept in it, and is not asked for again.

    Returns:
        What was found; silos that failed are in it too.

    Raises:
        FederationError: nobody is left.
    """
    return Coordinator(grid, folder).run()


class Coordinator:
    """One run. All state that matters is in the run folder."""

    def __init__(self, grid: Grid, folder: Path, names: Mapping[int, str] | None = None) -> None:
        """Read the run folder.

        Args:
            grid: The engine.
            folder: The run folder.
            names: What the engine calls its nodes, for nodes that fail before they say who they are.
        """
        self.folder = folder
        self.config = read_config(RunConfig, folder / "config.yaml", [])
        self.anchor: Anchor = resolve(self.config.anchor)
        self.history = History(folder / "ledger.db")
        self.crew = Crew(grid, folder, self.anchor, self.history, names or {})
        self.found = Findings(silos=self.crew.silos, failures=self.crew.failures)

    def run(self) -> Findings:
        """All phases in order."""
        with closing(self.history):
            for phase in (self.announce, self.train, self.integrate, self.evaluate):
                began = time.monotonic()
                log.info("phase: %s", phase.__name__)
                phase()
                self.found.seconds[phase.__name__] = time.monotonic() - began
        return self.found

    def announce(self) -> None:
        """Who is there, with what; a silo whose data cannot be used is known now, before any training."""
        self.crew.announce(incomplete=self.config.incomplete)

    def train(self) -> None:
        """An expert from everyone; those that have arrived before are not asked for again."""
        self.found.trained = self.crew.train(self.crew.owners, train_unit(self.config, self.anchor))
        self.crew.keep_only(self.found.trained)
        self.crew.need_somebody()

    def integrate(self) -> None:
        """The release: no data, no gradient step."""
        config, packages = self.config, self.crew.packages
        members = [self.crew.member(owner, said) for owner, said in sorted(self.found.trained.items())]
        made = make_release(1, self.anchor, config.expert.kind, config.integrator, config.router, members)
        # A run that goes on with more silos than before makes a further release; releases are immutable.
        release = numbered(made, self.folder / "releases")
        self.found.release = release
        files = {member.owner: packages.get(member.blob) for member in members}
        write_release(release, files, self.folder / "releases", issuer=own_issuer(self.history.head))
        self.history.release(release)
        log.info(
            "release %d: %s of %s, %s",
            release.number,
            release.integrator.name,
            ", ".join(release.owners),
            release.digest,
        )
        if config.withdraw in release.owners and len(release.owners) > 1:
            self.found.reduced = numbered(release.without(config.withdraw), self.folder / "releases")
            write_release(self.found.reduced, files, self.folder / "releases", issuer=own_issuer(self.history.head))
            self.history.withdraw(config.withdraw, self.crew.withdrawal(config.withdraw, WITHDRAWS))
            self.history.release(self.found.reduced)

    def evaluate(self) -> None:
        """Every silo measures the models on its own held-out text."""
        release, evaluation = self.found.release, self.config.evaluation
        assert release is not None
        models = variants(release, self.config)
        if self.found.reduced is not None:
            models += withdrawal_variants(release, self.config.withdraw)
        unit = EvaluateUnit(
            anchor=self.anchor.digest,
            members=release.members,
            variants=models,
            split=evaluation.split,
            windows=evaluation.windows,
            batch=evaluation.batch,
        )
        self.found.evaluated = self.crew.evaluate(self.crew.owners, unit)
        if not self.found.evaluated:
            raise FederationError(f"no silo could evaluate the mixture: {self.crew.reasons()}")
        if self.found.reduced is not None and self.config.unlearning.on:
            gone = self.config.withdraw
            asked = withdrawal_exit(release, gone, self.config.unlearning, evaluation.batch)
            self.found.unlearning = self.crew.measure_exit(gone, asked)


def train_unit(config: RunConfig, anchor: Anchor) -> TrainUnit:
    """What every silo is asked to train."""
    return TrainUnit(
        anchor=anchor.digest,
        expert=config.expert,
        training=config.training,
        router=config.training_router,
        embedder=config.descriptor.embedder,
        descriptor_documents=config.descriptor.documents,
        descriptor_counted=config.descriptor.counted,
        descriptor_directions=config.descriptor.directions,
        seed=config.seed,
        privacy=config.privacy,
    )


__all__ = ["Coordinator", "Findings", "app", "coordinate", "main", "train_unit"]
