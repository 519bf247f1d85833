"""Whose data a path means: a run's silos, a node, or files themselves."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from atoll.anchors import resolve
from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.errors import ConfigError
from atoll.federation.node_config import NodeConfig
from atoll.workloads.survey import Survey, survey
from atoll.workloads.workload import workload_class

_ANCHORS = {"text": "atoll-3m", "mobility": "atoll-mobility", "images": "atoll-images"}
_NODE = "node.yaml"


def surveys(where: Path, settings: Sequence[str], workload: str, anchor: str) -> list[Survey]:
    """What is there, one survey for each owner.

    Args:
        where: A run's YAML file, a node's folder or its ``node.yaml``, or data.
        settings: Overrides of the configuration; for data itself, of how it is read.
        workload: For data itself.
        anchor: For data itself.

    Raises:
        ConfigError: nothing is there, or a configuration that cannot be read.
    """
    if not where.exists():
        raise ConfigError(f"{where}: there is no such file or folder")
    config = where / _NODE if (where / _NODE).is_file() else where
    kind = _kind(config)
    if kind == "run":
        return run_surveys(config, settings)
    if kind == "node":
        node = read_config(NodeConfig, config, settings)
        return [survey(node.owner, node.data, resolve(node.anchor))]
    name = anchor or _ANCHORS.get(workload, "")
    if not name:
        raise ConfigError(f"workload '{workload}' has no anchor of its own: name one with --anchor")
    made: Any = read_config(workload_class(workload).Config, None, ["paths=[here]", *settings])
    return [survey(where.name, replace(made, paths=[str(where)]), resolve(name))]


def run_surveys(path: Path, overrides: Sequence[str]) -> list[Survey]:
    """What a run's silos hold; its configuration is checked first.

    Raises:
        AtollError: a configuration that cannot be run.
    """
    run = read_config(RunConfig, path, overrides)
    run.check()
    shared = resolve(run.anchor)
    return [survey(silo.name, silo.data, shared) for silo in run.silos]


def _kind(path: Path) -> str:
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return ""
    try:
        held = OmegaConf.load(path)
    except Exception as error:  # YAML's errors have no common base beside this one
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    return "run" if "silos" in held else "node" if "owner" in held else ""
