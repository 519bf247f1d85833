"""Tracking stores: artifacts that hold an expert are deleted through MLflow, and registered releases say so."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atoll.coordinator.erasure.exports import MARK
from atoll.coordinator.tracking import MODEL, open_store, store_file, used_stores
from atoll.errors import PackageError
from atoll.experts.package import verify_package

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EXPERT, _ERASED = "expert.", "erased."


def erase_tracked(store: Path, expert: str, contents: frozenset[str] = frozenset()) -> str:
    """Delete what a tracking store holds of an expert.

    Packages are known by their digest, whatever they are called, and exports by their mark. Figures that were measured
    with the expert stay: they are no copy of it.

    Args:
        store: The folder of the store, and of the list of the other stores that were used.
        expert: Digest of the package.
        contents: Digests of exports that hold it.

    Returns:
        Why something is left there; empty where all of it is gone.
    """
    from mlflow.exceptions import MlflowException

    own = [""] if store_file(store).exists() else []
    for uri in [*own, *used_stores(store)]:
        try:
            _erase(open_store(store, uri), expert, contents)
        except (MlflowException, OSError) as error:
            return f"MLflow does not delete it: {str(error).splitlines()[0]}"
    return ""


def _erase(client: "MlflowClient", expert: str, contents: frozenset[str]) -> None:
    for run in _runs(client):
        _erase_artifacts(client, run, expert, contents)
    for version in client.search_model_versions(f"name = '{MODEL}'"):
        for tag, value in list(version.tags.items()):
            if tag.startswith(_EXPERT) and value == expert:
                owner = tag.removeprefix(_EXPERT)
                client.set_model_version_tag(MODEL, str(version.version), f"{_ERASED}{owner}", expert)


def _runs(client: "MlflowClient") -> Iterator[Any]:
    """All runs of all experiments, deleted ones too: their artifacts are still there."""
    from mlflow.entities import ViewType

    experiments = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
    token = None
    while experiments:
        page = client.search_runs(experiments, run_view_type=ViewType.ALL, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _erase_artifacts(client: "MlflowClient", run: Any, expert: str, contents: frozenset[str]) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(run.info.artifact_uri)
    for folder, paths in list(_folders(client, run.info.run_id, "")):
        for path in paths:
            local = Path(repository.download_artifacts(path)) if path.endswith((".atoll", MARK)) else None
            if local is None:
                continue
            if path.endswith(MARK):
                if any(content in local.read_text("utf-8") for content in contents):
                    repository.delete_artifacts(folder)
                    break
            elif _is_package(local, expert):
                repository.delete_artifacts(path)


def _folders(client: "MlflowClient", run: str, under: str) -> Iterator[tuple[str, list[str]]]:
    """Folders of a run's artifacts, with the files that are in each."""
    there = client.list_artifacts(run, under or None)
    yield under, [each.path for each in there if not each.is_dir]
    for each in there:
        if each.is_dir:
            yield from _folders(client, run, each.path)


def _is_package(file: Path, expert: str) -> bool:
    try:
        return verify_package(file, trusted=None).digest == expert
    except PackageError:
        return False
