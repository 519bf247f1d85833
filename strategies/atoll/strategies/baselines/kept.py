"""A small sample of what earlier silos had, trained on again."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from atoll.continual.baseline import World
from atoll.strategies.baselines.fit import mean_loss
from atoll.workloads.text.order import shuffled

Kept = Mapping[str, Sequence[int]]
"""Which training samples were kept, by owner."""


def kept_of(world: World, earlier: Sequence[str]) -> Kept:
    """The budget's samples of replay, shared out among earlier owners; evenly spaced in what each trains on.

    Empty where there are none, or too few for one each.
    """
    share = world.training.replay // max(1, len(earlier))
    if not share:
        return {}
    return {owner: world.workloads[owner].evaluation_indices("train", share) for owner in earlier}


def loss_again(model: nn.Module, world: World, kept: Kept, owner: str, step: int) -> Tensor:
    """Mean loss of a batch of what is kept of an owner's data; every epoch takes each sample once."""
    held, size = kept[owner], world.training.batch
    places = (divmod(number, len(held)) for number in range(step * size, (step + 1) * size))
    indices = [held[shuffled(place, len(held), world.seed, epoch)] for epoch, place in places]
    batch = world.workloads[owner].samples("train", indices).to(world.device)
    return mean_loss(world.workloads[owner], batch, model(**batch.inputs, use_cache=False).logits)
