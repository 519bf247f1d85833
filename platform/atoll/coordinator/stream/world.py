"""A stream's data, all of it on this machine, as baselines take it."""

from pathlib import Path

from atoll.anchors import resolve
from atoll.continual.baseline import World
from atoll.coordinator.config import RunConfig
from atoll.coordinator.stream.studio import device_of
from atoll.workloads.workload import Workload, workload_class


def world_of(config: RunConfig, folder: Path) -> World:
    """Open every silo's data.

    Args:
        config: A run with a stream.
        folder: Of the run; gets what is computed from the data.

    Raises:
        AtollError: an anchor, or data, that cannot be used.
    """
    anchor = resolve(config.anchor)
    workloads: dict[str, Workload] = {}
    for silo in config.silos:
        kind = workload_class(silo.data.workload)
        workloads[silo.name] = kind.open(kind.absolute(silo.data), anchor, folder / "silos" / silo.name / "tokens")
        workloads[silo.name].prepare()
    return World(
        anchor=anchor.digest,
        model=lambda: anchor.model().float(),
        stages=config.stream.stages,
        workloads=workloads,
        training=config.stream.budget,
        seed=config.seed,
        device=device_of(config.engine.device),
    )
