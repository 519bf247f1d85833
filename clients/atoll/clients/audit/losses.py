"""The loss of every sample by itself."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from atoll.replay import Teacher
from atoll.workloads.workload import Batch, Split, Workload


def sample_losses(
    model: Teacher, workload: Workload, split: Split, indices: Sequence[int], batch: int
) -> NDArray[np.float64]:
    """Mean loss of each sample in nats a unit, [samples].

    Args:
        model: What is asked.
        workload: The owner's data.
        split: Which part of it.
        indices: Which samples.
        batch: Samples in one forward pass.
    """
    chunks = (indices[start : start + batch] for start in range(0, len(indices), batch))
    return losses_of(model, workload, (workload.samples(split, chunk) for chunk in chunks))


@torch.no_grad()
def losses_of(model: Teacher, workload: Workload, batches: Iterable[Batch]) -> NDArray[np.float64]:
    """The same of samples that are at hand."""
    found = []
    for batch in batches:
        there = batch.to(model.device)
        logits = model.logits(**there.inputs)
        for row in range(len(logits)):
            alone = {name: value[row : row + 1] for name, value in there.targets.items()}
            total, count = workload.loss(logits[row : row + 1], alone)
            found.append(float(total) / count)
    return np.array(found, dtype=np.float64)
