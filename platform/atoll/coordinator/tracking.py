"""Tracking in MLflow, on an SQLite store inside the run folder: nothing to set up, nothing leaves the machine.

Where ``MLFLOW_TRACKING_URI`` is set, that store is used instead, and ``MLFLOW_EXPERIMENT_NAME`` names the experiment.
"""

import dataclasses
import logging
import math
import os
import re
import shlex
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from atoll.coordinator.mlflow_model.reference import Reference, write_model
from atoll.coordinator.results import RunResults
from atoll.experts.loss_curve import CURVE, read_losses

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "atoll"
MODEL = "atoll-release"
CURRENT = "current"
"""The registry's alias of the newest release."""
_RUN_FILE = "mlflow-run"
_STORES = "mlflow-stores"
_PARENT = "mlflow.parentRunId"  # what MLflow's own pages nest runs by
_LONGEST = 5000  # characters of a parameter or tag; MLflow has limits of its own, a little above
_BATCH = 100  # values in one request


def store_file(run_folder: Path) -> Path:
    """The database of a run folder's tracking store."""
    return run_folder.absolute() / "mlflow.db"


def store_uri(run_folder: Path) -> str:
    """Address of a run folder's tracking store."""
    from sqlalchemy import URL

    url = URL.create("sqlite", database=str(store_file(run_folder))).render_as_string()
    # MLflow makes the folder that it reads in such a URL, escapes and all, unless the driver is named.
    return url.replace("sqlite:", "sqlite+pysqlite:", 1) if "%" in url else url


def named_uri() -> str:
    """Address of the store that the environment names; empty where it names none."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").strip()


def used_stores(run_folder: Path) -> list[str]:
    """Addresses of the stores beside its own that a run folder was ever tracked in."""
    path = run_folder / _STORES
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def ui_command(run_folder: Path) -> str:
    """The command that shows a run folder in the browser, or the page where there is a server of one's own."""
    if named := named_uri():
        # Its address may hold a password.
        return (
            named
            if named.startswith("http") and "@" not in named
            else 'mlflow ui --backend-store-uri "$MLFLOW_TRACKING_URI"'
        )
    artifacts = (run_folder.absolute() / "mlartifacts").as_uri()
    uri = shlex.quote(store_uri(run_folder))
    return f"mlflow ui --backend-store-uri {uri} --default-artifact-root {shlex.quote(artifacts)}"


class Tracker:
    """One MLflow run, which a later tracker over the same run folder goes on with; a context manager."""

    def __init__(
        self,
        run_folder: Path,
        title: str = "",
        *,
        store: Path | None = None,
        experiment: str = EXPERIMENT,
        parent: str = "",
    ) -> None:
        """Nothing is written before the context is entered.

        Args:
            run_folder: Keeps which run it is.
            title: Name of a new run; the folder's name where it is empty.
            store: Folder of store and artifacts, where the environment names none; the run folder if not given.
            experiment: MLflow's name for the runs that belong together, where the environment has no name.
            parent: Id of the run that a new run is nested under; empty for none.
        """
        self.folder = run_folder.absolute()
        self._store = (store or run_folder).absolute()
        self._experiment, self._parent = os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or experiment, parent
        self._title = title or self.folder.name
        self._open: MlflowClient | None = None
        self.run_id = ""

    def __enter__(self) -> "Tracker":
        for folder in (self.folder, self._store):
            folder.mkdir(parents=True, exist_ok=True)
        self._uri = named_uri()
        if self._uri:
            _remember_store(self.folder, self._uri)
        self._open = open_store(self._store, self._uri)
        self.run_id = self._known_run() or self._new_run()
        self._client.update_run(self.run_id, status="RUNNING")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        status = "FINISHED" if kind is None else "KILLED" if interrupted else "FAILED"
        self._client.set_terminated(self.run_id, status=status)

    def log_params(self, config: Any) -> None:
        """Log a configuration, a dataclass or a mapping, flattened to dotted keys.

        MLflow's parameters cannot change; where a run goes on under another configuration, the new value becomes a tag.
        """
        known = self._client.get_run(self.run_id).data.params
        new, changed = {}, {}
        for key, value in flattened(config).items():
            name, text = _key(key), str(value)[:_LONGEST]
            if name not in known:
                new[name] = text
            elif known[name] != text:
                changed[f"changed.{name}"] = text
        self._log(params=new, tags=changed)

    def log_silo_losses(self, losses: Mapping[str, Mapping[str, float]]) -> None:
        """Log test losses in nats, by silo and model."""
        self.log_metrics(
            {f"loss/{silo}/{model}": loss for silo, found in losses.items() for model, loss in found.items()}
        )

    def log_routing(self, routing: Mapping[str, Mapping[str, float]]) -> None:
        """Log shares of the routing weight, by silo and slot."""
        self.log_metrics(
            {f"routing/{silo}/{slot}": part for silo, found in routing.items() for slot, part in found.items()}
        )

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log figures by name; logged again at the same step, they are replaced in what MLflow shows."""
        self.log_history([(step, metrics)])

    def log_history(self, history: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Log figures by name at several steps, in as few requests as there can be."""
        self._log(metrics=[(_key(name), float(value), step) for step, at in history for name, value in at.items()])

    def log_curves(self, silos: Path) -> None:
        """Log the losses by step of silos that trained on this machine, as ``training-loss/SILO`` and
        ``validation-loss/SILO``; of a silo's second training as ``…/SILO/2``, and so on.

        Args:
            silos: A folder with a folder for each; one on another machine keeps its own.
        """
        for own in sorted(silos.iterdir()) if silos.is_dir() else ():
            files = sorted(own.rglob(CURVE), key=lambda file: file.stat().st_ctime_ns)
            for number, file in enumerate(files, 1):
                name = own.name if number == 1 else f"{own.name}/{number}"
                self.log_history(
                    (step, {f"{what}-loss/{name}": loss for what, loss in losses.items()})
                    for step, losses in read_losses(file)
                )

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Log what can change, such as where a figure comes from."""
        self._log(tags=tags)

    def log_artifact(self, path: Path, under: str = "") -> None:
        """Copy a file, or a folder with all in it, among the artifacts."""
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        log(self.run_id, str(path), under or None)

    def log_results(self, results: RunResults) -> None:
        """Log everything that a run found: losses, routing, bytes, times, shares of the gain, memory, the
        withdrawal.
        """
        self.log_silo_losses(results.losses)
        self.log_routing(results.routing)
        means = {model: results.mean_loss(model) for model in results.models}
        figures = {f"loss/mean/{model}": mean for model, mean in means.items() if mean is not None}
        figures |= {f"share-of-gain/{silo}": share for silo, share in results.share_of_gain.items()}
        figures |= {f"seconds/{phase}": seconds for phase, seconds in results.times.items()}
        for direction, moved in (("out", results.left), ("in", results.arrived)):
            figures |= {f"bytes-{direction}/{silo}/{what}": n for silo, by in moved.items() for what, n in by.items()}
        figures["peak-memory-bytes"] = results.peak_memory_bytes
        figures["silos-failed"] = sum(silo.status != "ok" for silo in results.silos)
        if gone := results.withdrawal:
            figures |= {
                "withdrawal/loss-before": gone.loss_before,
                "withdrawal/loss-after": gone.loss_after,
                "withdrawal/loss-never-had": gone.loss_never_had,
                "withdrawal/max-change-elsewhere": gone.max_change_elsewhere,
                **{f"withdrawal/{name}": value for name, value in gone.unlearning.items()},
            }
        self.log_metrics(figures)
        tags = {"anchor": results.anchor.digest, "release": results.release.digest}
        self._log(tags=tags | {f"failure.{silo.name}": silo.failure for silo in results.silos if silo.failure})

    def register_release(
        self,
        folder: Path,
        *,
        digest: str,
        members: Mapping[str, str],
        guarantee: str,
        workload: str = "text",
        anchor: str = "",
        classes: Sequence[str] = (),
    ) -> str:
        """Make a release a version of the registered model ``atoll-release``; once, however often it is called.

        What is registered is a model that MLflow loads and serves; it holds no expert, but a reference to the folder.
        The newest version has the alias ``current``; this run's earlier ones get the tag ``superseded_by``, and
        ``withdrawn`` where an owner of theirs is in it no more.

        Args:
            folder: The release's folder, which answers are loaded from.
            digest: Of the release.
            members: Digest of the expert, by owner.
            guarantee: What withdrawal leaves.
            workload: What it answers.
            anchor: Where the anchor is; empty for where the release says.
            classes: Names of the classes, in order, where the anchor does not say them.

        Returns:
            The version.
        """
        client = self._client
        if not client.search_registered_models(f"name = '{MODEL}'"):
            client.create_registered_model(
                MODEL, description="Mixtures that Atoll released: anchor, experts and router."
            )
        known = sorted(client.search_model_versions(f"name = '{MODEL}'"), key=lambda each: int(each.version))
        for version in known:
            if version.tags.get("digest") == digest and version.run_id == self.run_id:
                return str(version.version)
        reference = Reference(
            release=str(folder.absolute()), digest=digest, anchor=anchor, workload=workload, classes=list(classes)
        )
        tags = {"digest": digest, "guarantee": guarantee, "members": ", ".join(sorted(members))}
        tags |= {f"expert.{_key(owner)}": expert for owner, expert in members.items()}
        tags |= {"release": str(folder.absolute())}
        made = client.create_model_version(
            MODEL,
            source=self._log_model(reference),
            run_id=self.run_id,
            tags={name: tag[:_LONGEST] for name, tag in tags.items()},
        )
        for former in known:
            if former.run_id == self.run_id:
                self._supersede(former, str(made.version), members)
        client.set_registered_model_alias(MODEL, CURRENT, str(made.version))
        return str(made.version)

    def _log_model(self, reference: Reference) -> str:
        """Address of a model of the run's, among its artifacts."""
        under = f"release-{reference.digest.removeprefix('sha256:')[:12]}"
        with tempfile.TemporaryDirectory(prefix="atoll-") as scratch, _quiet():
            write_model(reference, Path(scratch) / "model")
            self._client.log_artifacts(self.run_id, str(Path(scratch) / "model"), under)
        return f"{self._client.get_run(self.run_id).info.artifact_uri}/{under}"

    def _supersede(self, former: Any, by: str, members: Mapping[str, str]) -> None:
        """Mark an earlier version, unless it is marked already."""
        if "superseded_by" not in former.tags:
            self._client.set_model_version_tag(MODEL, former.version, "superseded_by", by)
        before = filter(None, former.tags.get("members", "").split(", "))
        if gone := sorted(set(before) - set(members)):
            self._client.set_model_version_tag(MODEL, former.version, "withdrawn", ", ".join(gone))

    @property
    def _client(self) -> "MlflowClient":
        assert self._open is not None, "use the tracker as a context manager"
        return self._open

    def _known_run(self) -> str:
        """The run that this folder had before, if the store still knows it."""
        from mlflow.exceptions import MlflowException

        path = self.folder / _RUN_FILE
        if not path.is_file():
            return ""
        try:
            run = self._client.get_run(path.read_text(encoding="utf-8").strip())
        except MlflowException:
            return ""
        return str(run.info.run_id) if run.info.lifecycle_stage == "active" else ""

    def _new_run(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            # A server keeps artifacts where it keeps them; a database by itself would put them where one happens to be.
            place = None if self._uri and "sql" not in self._uri.partition(":")[0] else self._store / "mlartifacts"
            location = place.as_uri() if place else None
            experiment = self._client.create_experiment(self._experiment, artifact_location=location)
        else:
            experiment = found.experiment_id
        tags = {_PARENT: self._parent} if self._parent else {}
        run_id = str(self._client.create_run(experiment, run_name=self._title, tags=tags).info.run_id)
        (self.folder / _RUN_FILE).write_text(run_id + "\n", encoding="utf-8")
        return run_id

    def _log(
        self,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Sequence[tuple[str, float, int]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        # SQLite has no NaN; what cannot be shown is a tag, so that it is not lost.
        odd = {f"not-finite.{name}": str(value) for name, value, _ in metrics if not math.isfinite(value)}
        fine = [Metric(name, value, now, step) for name, value, step in metrics if math.isfinite(value)]
        tagged = {_key(name): value[:_LONGEST] for name, value in {**(tags or {}), **odd}.items()}
        for part in _parts([Param(name, value) for name, value in (params or {}).items()]):
            self._client.log_batch(self.run_id, params=part)
        for part in _parts(fine):
            self._client.log_batch(self.run_id, metrics=part)
        for part in _parts([RunTag(name, value) for name, value in tagged.items()]):
            self._client.log_batch(self.run_id, tags=part)


def flattened(config: Any, path: str = "") -> dict[str, Any]:
    """A configuration's values by dotted key, with list items as ``silos[0].name``; empty lists and mappings stay
    values.
    """
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    if isinstance(config, Mapping) and (config or not path):
        below = {f"{path}.{key}" if path else str(key): value for key, value in config.items()}
    elif isinstance(config, list | tuple) and config:
        below = {f"{path}[{place}]": value for place, value in enumerate(config)}
    else:
        return {path: config}
    return {key: value for name, held in below.items() for key, value in flattened(held, name).items()}


def _key(name: str) -> str:
    """A name that MLflow takes: what it does not, owner-given or an index's brackets, becomes another sign."""
    plain = re.sub(r"\[(\d+)\]", r".\1", name)
    return re.sub(r"[^\w\-. :/]", "_", plain, flags=re.ASCII)[:250]


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


def _remember_store(folder: Path, uri: str) -> None:
    """Write down where a run folder is tracked, for erasure, so that only its owner can read it: there may be a
    password in it.
    """
    if uri not in used_stores(folder):
        with open(
            os.open(folder / _STORES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8"
        ) as file:
            file.write(uri + "\n")


def open_store(folder: Path, uri: str = "") -> "MlflowClient":
    """MLflow's client of the store at an address, or of that in a folder, which is made where there is none."""
    # Before the import, which is when they are read. Nothing about a run is anybody else's business.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with _quiet():
        from mlflow import MlflowClient

        registry = os.environ.get("MLFLOW_REGISTRY_URI", "").strip() if uri else ""
        uri = uri or store_uri(folder)
        client = MlflowClient(tracking_uri=uri, registry_uri=registry or uri)
        client.search_registered_models(max_results=1)  # makes the tables of both stores
    return client


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the reports on every table that is made, and warnings about third parties' own affairs."""
    noisy = [logging.getLogger(name) for name in ("mlflow", "mlflow.store.db.utils", "alembic")]
    before = [logger.level for logger in noisy]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in noisy:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(noisy, before, strict=True):
                logger.setLevel(level)
