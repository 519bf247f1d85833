"""Checkpoints that are kept of a training, so that it can go on from before it saw some record."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from atoll.clients.own_experts import OwnExpert
from atoll.federation.units import TrainUnit
from atoll.workloads.workload import Split, Workload

_FOLDER = "checkpoints"


def keep(checkpoint: Path, step: int, every: int, steps: int, number: int) -> None:
    """Keep a checkpoint that was just written, if it is one of those to be kept.

    Args:
        checkpoint: The file, which the next one will replace.
        step: Steps that are in it.
        every: Steps between checkpoints.
        steps: Of the whole training.
        number: How many are kept, evenly over the steps.
    """
    if step >= steps or step * (number + 1) // steps == max(0, step - every) * (number + 1) // steps:
        return
    kept = checkpoint.parent / _FOLDER / f"{step:08d}.pt"
    kept.parent.mkdir(exist_ok=True)
    if not kept.exists():
        os.link(checkpoint, kept)  # the next checkpoint is another file, so this costs nothing but its space


def usable_checkpoint(workload: Workload, expert: OwnExpert, held: Mapping[Split, Sequence[int]]) -> tuple[int, str]:
    """The last kept checkpoint that no sample which holds a forgotten record has had a part in.

    Which samples a step reads is a function of the data, the seed and the step. What a checkpoint knows of records that
    come later in this order is how many samples there are in all, for the order depends on that.

    There is none where something else than the steps rests on the records: where the validation split holds one, which
    chose the best step; where training was private, beside a release, or started from the domain's descriptor.

    Args:
        workload: The data, with the records still in it.
        expert: What came of the training.
        held: Samples that hold one of the records, by split.

    Returns:
        Its step and file; 0 and nothing to begin anew.
    """
    unit = expert.unit
    if unit is None or held["validation"] or not _steps_alone(unit):
        return 0, ""
    seen = _first_with(workload, unit, set(held["train"]))
    kept = {int(path.stem): path for path in (expert.package.parent / _FOLDER).glob("[0-9]*.pt")}
    usable = [step for step in kept if step <= seen]
    return (max(usable), str(kept[max(usable)])) if usable else (0, "")


def _steps_alone(unit: TrainUnit) -> bool:
    beside = unit.past is not None and bool(unit.past.members)
    from_descriptor = unit.expert.kind == "ffn" and unit.expert.coordinated
    return not (unit.privacy.on or beside or from_descriptor)


def _first_with(workload: Workload, unit: TrainUnit, samples: set[int]) -> int:
    """The first step that reads one of these samples; the number of steps where none does."""
    for step in range(unit.training.steps):
        if samples.intersection(workload.batch_indices(step, unit.training.batch, unit.seed)):
            return step
    return unit.training.steps
