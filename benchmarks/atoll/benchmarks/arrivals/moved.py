"""How many bytes a baseline would move between institutions, were each silo's data where it belongs.

Baselines run on one machine, so this is counted, not measured: what they need of one another says it. Atoll's own
figure is measured, message by message.
"""

import math

from atoll.continual.baseline import LOCAL, Baseline, World


def moved_bytes(baseline: type[Baseline], world: World) -> int | None:
    """Bytes out of and into the silos, in all, over the whole stream; ``None`` where nothing is trained, and what moves
    is not a model.

    A method that needs nothing of earlier silos hands its model on: it goes to every silo and comes back. One that
    needs earlier owners sends it to everyone who has come, and back, in every round. One that needs earlier data has
    it sent once. Federated evaluation is left out.
    """
    if not baseline.trains:
        return None
    if baseline.name == LOCAL:
        return 0
    if baseline.sees == "earlier data":
        return sum(map(_data_bytes, [world] * len(world.owners), world.owners))
    model: int = sum(value.numel() * value.element_size() for value in world.fresh().state_dict().values())
    if baseline.sees == "nothing":
        return 2 * model * len(world.owners)
    arrived = [sum(map(len, world.stages[: stage + 1])) for stage in range(len(world.stages))]
    return 2 * model * world.training.rounds * sum(arrived)


def _data_bytes(world: World, owner: str) -> int:
    """Of the training samples as the model takes them, from a batch of them."""
    workload = world.workloads[owner]
    indices = workload.evaluation_indices("train")
    chosen = indices[:: math.ceil(len(indices) / 32)]
    batch = workload.samples("train", chosen)
    return len(indices) * sum(value.nbytes for value in batch.inputs.values()) // len(chosen)
