"""A whole run on this machine: silos' folders, engine, coordinator, results, tracking, report."""

import contextlib
import logging
import os
import platform
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atoll.config import to_yaml
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
from atoll.errors import ConfigError, DataError, FederationError
from atoll.federation.embedded import EmbeddedGrid, SiloProcess
from atoll.federation.node_config import NodeConfig
from atoll.federation.progress import Progress
from atoll.ledger import Ledger
from atoll.releases.folder import release_folder
from atoll.releases.release import Release
from atoll.storage.folder_lock import sole_owner
from atoll.workloads.workload import workload_class

if TYPE_CHECKING:
    from atoll.federation.simulation import SimulationGrid

    Engine = EmbeddedGrid | SimulationGrid

log = logging.getLogger("atoll.coordinator")

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
    with prepared(config, retrain) as (folder, silos):
        return _execute(config, folder, silos, command, on_progress)


def _execute(
    config: RunConfig, folder: Path, silos: Sequence[SiloProcess], command: str, on_progress: OnProgress | None
) -> Outcome:
    traffic = TrafficLog(folder / "traffic.jsonl")
    with MemoryWatch() as memory, opened(config, silos, traffic, on_progress) as grid:
        found = _coordinate(grid, folder)
    release = release_folder(folder / "releases", found.release.number) if found.release else folder
    answers = _answers(config, release, found)
    results = summarize(config, command, found, traffic.read(), answers, memory.peak_bytes, versions())
    results.save(folder / "results.json")
    figures = draw(results, folder / "figures")
    report = write_report(results, figures, folder)
    _track(config, results, found, folder)
    return Outcome(results, folder, report, release)


def _check_found(config: RunConfig) -> None:
    """Raise FederationError, before any process starts, where a silo's data is not there.

    Then all of it is looked at, so that everything that is wrong is said at once.
    """
    found = {silo.name: _problem(workload_class(silo.data.workload).data_files, silo) for silo in config.silos}
    if not any(found.values()):
        return
    checked = {silo.name: _problem(workload_class(silo.data.workload).check_data, silo) for silo in config.silos}
    said = "; ".join(f"{name}: {problem}" for name, problem in {**found, **checked}.items() if problem)
    raise FederationError(
        f"nothing has been trained, because not every silo can take part: {said}. Mend it and run again, or go on "
        "without it: incomplete=true"
    )


def _problem(look: Callable[[Any], object], silo: SiloConfig) -> str:
    try:
        look(workload_class(silo.data.workload).absolute(silo.data))
    except (ConfigError, DataError) as error:
        return str(error)
    return ""


@contextlib.contextmanager
def prepared(config: RunConfig, retrain: Collection[str] = ()) -> Iterator[tuple[Path, list[SiloProcess]]]:
    """The run folder, with what the run rests on and a folder for every silo; this process's alone inside the block.

    Args:
        config: The run.
        retrain: Owners whose experts are trained anew.

    Raises:
        ConfigError, PluginError: a configuration that cannot be, or what arrived in the folder rests on something else.
        FederationError: a silo's data is not there.
        LedgerError: another process works in the folder.
    """
    config.check()
    folder = Path(config.output).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with sole_owner(folder / ".lock", folder, ", or use another folder (output=FOLDER)"):
        yield folder, _prepared(config, folder, retrain)


def _prepared(config: RunConfig, folder: Path, retrain: Collection[str]) -> list[SiloProcess]:
    if odd := sorted(set(retrain) - {silo.name for silo in config.silos}):
        raise ConfigError(f"--retrain names '{odd[0]}'; the silos are {', '.join(silo.name for silo in config.silos)}")
    if not config.incomplete:
        _check_found(config)
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


def _track(config: RunConfig, results: RunResults, found: Findings, folder: Path) -> None:
    """What was found into the run folder's tracking store, and the releases into its model registry.

    All is written before, so a store that is away costs no more than the tracking: it is said, and no error.
    """
    releases = [made for made in (found.release, found.reduced) if made is not None]
    experts = [member.digest for made in releases for member in made.members]

    def write(tracker: Tracker) -> None:
        tracker.log_results(results)
        register(tracker, config, folder, releases)

    track(config, folder, write)
    with Ledger.open(folder / "ledger.db") as ledger:
        record_copy(ledger, what=TRACKED, where=folder, experts=experts)


def track(config: RunConfig, folder: Path, write: Callable[[Tracker], None]) -> None:
    """Write the configuration, what ``write`` does, and the files that a run leaves; where it fails, that is logged."""
    from mlflow.exceptions import MlflowException

    try:
        with Tracker(folder, config.title) as tracker:
            tracker.log_params(config)
            tracker.log_curves(folder / "silos")
            write(tracker)
            for name in ("config.yaml", "results.json", "report.html", "figures"):
                tracker.log_artifact(folder / name, under="figures" if name == "figures" else "")
    except MlflowException as error:
        log.warning("not tracked in MLflow: %s; run again in the same folder", str(error).splitlines()[0])


def register(tracker: Tracker, config: RunConfig, folder: Path, releases: Sequence[Release]) -> None:
    """Make every release a version of the registered model, in the order in which they were made."""
    data = config.silos[0].data
    for release in releases:
        tracker.register_release(
            release_folder(folder / "releases", release.number),
            digest=release.digest,
            members={member.owner: member.digest for member in release.members},
            guarantee=release.guarantee,
            workload=data.workload,
            anchor=_place_of(config.anchor),
            classes=getattr(data, "classes", ()),
        )


def _place_of(anchor: str) -> str:
    """An anchor's folder from the root, for whoever starts elsewhere; a name stays one."""
    folder = Path(os.path.expanduser(anchor))
    return str(folder.absolute()) if folder.is_dir() else anchor


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
    node = NodeConfig(
        owner=silo.name,
        domain=silo.domain,
        data=data,
        anchor=_place_of(config.anchor),
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
