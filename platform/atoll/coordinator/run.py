"""A whole run on this machine: silos' folders, engine, coordinator, results, tracking, report."""

import contextlib
import logging
import os
import platform
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from atoll.config import to_yaml
from atoll.config.folder_lock import sole_owner
from atoll.coordinator.app import Coordinator, Findings
from atoll.coordinator.config import SIMULATION, EngineConfig, RunConfig, SiloConfig
from atoll.coordinator.erasure.inventory import TRACKED, record_copy
from atoll.coordinator.journal import Journal
from atoll.coordinator.memory import MemoryWatch
from atoll.coordinator.report.figures import draw
from atoll.coordinator.report.page import write_report
from atoll.coordinator.results import RunResults
from atoll.coordinator.run_basis import RunBasis, check_basis, set_aside
from atoll.coordinator.summary import summarize
from atoll.coordinator.tracking import Tracker
from atoll.coordinator.traffic import TrafficLog
from atoll.errors import ConfigError
from atoll.federation.embedded import EmbeddedGrid, SiloProcess
from atoll.federation.node_config import NodeConfig
from atoll.federation.progress import Progress
from atoll.ledger import Ledger
from atoll.releases.folder import release_folder
from atoll.workloads.workload import workload_class

if TYPE_CHECKING:
    from atoll.federation.simulation import SimulationGrid

    Engine = EmbeddedGrid | SimulationGrid

CLIENT_APP = "atoll.clients.app:app"
_PACKAGES = ("atoll", "torch", "flwr", "transformers", "peft", "safetensors")

OnProgress = Callable[[str, int, int, str], None]
"""Told a silo's name, how much is done, of how much, and a note."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves.

    Attributes:
        results: What it found.
        folder: The run folder.
        report: The report, one HTML page.
        release: Folder of the release.
    """

    results: RunResults
    folder: Path
    report: Path
    release: Path


def execute(
    config: RunConfig, *, command: str, on_progress: OnProgress | None = None, retrain: Collection[str] = ()
) -> Outcome:
    """Run to the end, or go on where an earlier run in the same folder was cut short.

    Args:
        config: The run.
        command: What the user typed, for the report.
        on_progress: Listener for the silos' work; hears nothing in simulation.
        retrain: Owners whose experts are trained anew, for what they rest on has changed.

    Raises:
        ConfigError: the folder's run rests on something else.
        LedgerError: another process works in the folder.
        AtollError: the run cannot be made; what had arrived is kept.
    """
    with run_folder(config) as folder:
        return _execute(config, folder, command, on_progress, retrain)


def _execute(
    config: RunConfig, folder: Path, command: str, on_progress: OnProgress | None, retrain: Collection[str]
) -> Outcome:
    silos = prepared(config, folder, retrain)
    traffic = TrafficLog(folder / "traffic.jsonl")
    with MemoryWatch() as memory, opened(config, silos, traffic, on_progress) as grid:
        found = _coordinate(grid, folder)
    release = release_folder(folder / "releases", found.release.number) if found.release else folder
    answers = _answers(config, release, found)
    results = summarize(config, command, found, traffic.read(), answers, memory.peak_bytes, versions())
    results.save(folder / "results.json")
    figures = draw(results, folder / "figures")
    report = write_report(results, figures, folder)
    _track(config, results, folder, release)
    return Outcome(results, folder, report, release)


@contextlib.contextmanager
def run_folder(config: RunConfig) -> Iterator[Path]:
    """The run folder, made where it is not there, and this process's alone as long as it works in it.

    Raises:
        ConfigError, PluginError: a configuration that cannot be.
        LedgerError: another process works in it.
    """
    config.check()
    folder = Path(config.output).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with sole_owner(folder / ".lock", folder, ", or use another folder (output=FOLDER)"):
        yield folder


def prepared(config: RunConfig, folder: Path, retrain: Collection[str] = ()) -> list[SiloProcess]:
    """Write down what a run rests on, and make a folder for every silo.

    Args:
        config: The run.
        folder: The run folder.
        retrain: Owners whose experts are trained anew.

    Raises:
        ConfigError: what arrived in the folder rests on something else, or an owner to be trained anew is none.
    """
    if odd := sorted(set(retrain) - {silo.name for silo in config.silos}):
        raise ConfigError(f"--retrain names '{odd[0]}'; the silos are {', '.join(silo.name for silo in config.silos)}")
    basis, trained = RunBasis.of(config), Journal(folder / "journal.jsonl").owners("trained")
    if not check_basis(basis, folder, trained, retrain):
        set_aside(folder, retrain)
    (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    basis.save(folder)
    return [_prepare(config, silo, folder) for silo in config.silos]


def opened(
    config: RunConfig, silos: Sequence[SiloProcess], traffic: TrafficLog, on_progress: OnProgress | None
) -> "Engine":
    """The engine that the configuration names, with these silos; a context manager."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    return _engine(config.engine, silos, traffic, on_progress)


def _track(config: RunConfig, results: RunResults, folder: Path, release: Path) -> None:
    """What was found into the run folder's tracking store, and the release into its model registry."""
    with Tracker(folder, config.title) as tracker:
        tracker.log_params(config)
        tracker.log_results(results)
        for name in ("config.yaml", "results.json", "report.html", "figures"):
            tracker.log_artifact(folder / name, under="figures" if name == "figures" else "")
        members = {member.owner: member.digest for member in results.release.members}
        tracker.register_release(
            release, digest=results.release.digest, members=members, guarantee=results.release.guarantee
        )
    with Ledger.open(folder / "ledger.db") as ledger:
        record_copy(ledger, what=TRACKED, where=folder, experts=list(members.values()))


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    found = {name: version(name) for name in _PACKAGES if _installed(name)}
    return {"python": platform.python_version(), **found, "machine": f"{platform.machine()}, {os.cpu_count()} cores"}


def _installed(name: str) -> bool:
    with contextlib.suppress(ImportError):
        version(name)
        return True
    return False


def _engine(
    config: EngineConfig, silos: Sequence[SiloProcess], traffic: TrafficLog, on_progress: OnProgress | None
) -> "Engine":
    if config.kind == SIMULATION:
        from atoll.federation.simulation import SimulationGrid

        return SimulationGrid(
            silos,
            client_app=CLIENT_APP,
            parallel=config.parallel,
            threads=config.threads,
            on_traffic=traffic.write,
        )
    return EmbeddedGrid(
        silos,
        client_app=CLIENT_APP,
        parallel=config.parallel,
        threads=config.threads,
        on_progress=_forward(on_progress) if on_progress else None,
        on_traffic=traffic.write,
    )


def _coordinate(grid: "Engine", folder: Path) -> Findings:
    """The ServerApp's work; run as a ServerApp it would leave its findings in the run folder only."""
    coordinator = Coordinator(grid, folder, names={node: grid.name_of(node) for node in grid.get_node_ids()})
    return coordinator.run()


def _prepare(config: RunConfig, silo: SiloConfig, folder: Path) -> SiloProcess:
    """The silo's own folder with its ``node.yaml``; the coordinator's configuration does not travel to it."""
    own = folder / "silos" / silo.name
    own.mkdir(parents=True, exist_ok=True)
    workload = workload_class(silo.data.workload)
    data = workload.absolute(silo.data)
    anchor = config.anchor
    if Path(os.path.expanduser(anchor)).is_dir():
        anchor = str(Path(os.path.expanduser(anchor)).absolute())
    node = NodeConfig(
        owner=silo.name,
        domain=silo.domain,
        data=data,
        anchor=anchor,
        licence=silo.licence,
        consent=silo.consent,
        replay=silo.replay,
        threads=max(1, config.engine.threads),
        device=config.engine.device,
    )
    try:
        (own / "node.yaml").write_text(to_yaml(node), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{own}: cannot be written: {error}") from error
    return SiloProcess(silo.name, own, {"folder": str(own)}, private=workload.private_paths(data))


def _forward(listener: OnProgress) -> Callable[[str, Progress], None]:
    def forward(silo: str, progress: Progress) -> None:
        listener(silo, progress.done, progress.total, progress.note)

    return forward


def _answers(config: RunConfig, release: Path, found: Findings) -> tuple[str, str]:
    """What the mixture says to the prompt with everyone in it, and after the withdrawal."""
    if found.reduced is None or not config.prompt:
        return "", ""
    from atoll.coordinator.generate import Sampling, generate
    from atoll.releases.opening import open_release

    opened = open_release(release, anchor=config.anchor)
    kept = list(found.reduced.owners)
    tokenizer = opened.anchor.tokenizer()
    sampling = Sampling(tokens=48, temperature=0.7, top_p=0.9, seed=config.seed)
    before = generate(opened.mixture, tokenizer, config.prompt, sampling=sampling)
    after = generate(opened.mixture, tokenizer, config.prompt, entitlement=kept, sampling=sampling)
    return before.text, after.text
