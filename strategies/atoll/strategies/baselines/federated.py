"""A stream in which owners who came earlier go on training: rounds of one of Flower's strategies in every stage."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from flwr.app import ArrayRecord, MetricRecord, RecordDict
from torch import Tensor, nn

from atoll.continual.baseline import Observe, World
from atoll.strategies.baselines.fit import fit, own_loss
from atoll.strategies.baselines.grid import InProcessGrid, strategy_here
from atoll.strategies.baselines.kept import Kept, kept_of, loss_again

if TYPE_CHECKING:
    from flwr.serverapp.strategy import Strategy


def run_federated(
    name: str, world: World, observe: Observe, strategy: Callable[[int], "Strategy"], *, keep: bool = False
) -> None:
    """Train by rounds with everyone who has come by then.

    In every stage, each of them takes the budget's steps, shared out over the rounds: the schedule goes over the stage,
    and the optimizer begins anew in every round, since a node keeps nothing between rounds.

    Args:
        name: Of the baseline.
        world: The stream.
        observe: Told of the averaged model after every stage.
        strategy: Flower's, for so many nodes.
        keep: Whether earlier owners keep but their shares of the budget's samples of replay, and train on these.

    Raises:
        DataError: training diverged.
    """
    model, earlier = world.fresh(), list[str]()
    rounds, steps = world.training.rounds, world.training.steps
    done: dict[str, int] = {}
    for stage, owners in enumerate(world.stages, 1):
        kept = kept_of(world, earlier) if keep else {}
        taking_part = [*(kept if keep else earlier), *owners]
        node = _Node(model, world, taking_part, kept, f"baseline '{name}', stage {stage}", done)
        with strategy_here():
            found = strategy(len(taking_part)).start(
                InProcessGrid(len(taking_part), node.train), _arrays(model), num_rounds=rounds
            )
        model.load_state_dict(found.arrays.to_torch_state_dict())
        done |= {owner: done.get(owner, 0) + steps for owner in taking_part}
        observe(stage, model)
        earlier += owners


class _Node:
    """What every owner does in a round of a stage."""

    def __init__(
        self, model: nn.Module, world: World, owners: Sequence[str], kept: Kept, where: str, done: Mapping[str, int]
    ) -> None:
        self._model, self._world, self._owners, self._where = model, world, owners, where
        self._kept, self._done = kept, done
        self._rounds = dict.fromkeys(owners, 0)

    def train(self, node: int, sent: RecordDict) -> RecordDict:
        """Train what was sent on the owner's data."""
        owner, model = self._owners[node - 1], self._model
        model.load_state_dict(sent.array_records["arrays"].to_torch_state_dict())
        proximal = float(sent.config_records["config"].get("proximal-mu", 0.0))  # type: ignore[arg-type]
        start = [value.detach().clone() for value in model.parameters()]

        def loss(step: int) -> Tensor:
            own = self._own(owner, self._done.get(owner, 0) + step)
            return own + proximal / 2 * _distance(model, start) if proximal else own

        where = f"{self._where}, silo '{owner}'"
        fit(model, loss, self._world.training.steps, self._world.training, where, self._part(owner))
        units = float(self._world.workloads[owner].counts["train"].tokens)
        content = {"arrays": _arrays(model), "metrics": MetricRecord({"num-examples": units})}
        return RecordDict(content)  # type: ignore[arg-type]

    def _own(self, owner: str, step: int) -> Tensor:
        if owner in self._kept:
            return loss_again(self._model, self._world, self._kept, owner, step)
        return own_loss(self._model, self._world, owner, step)

    def _part(self, owner: str) -> range:
        """The steps of the owner's next round."""
        steps, rounds = self._world.training.steps, self._world.training.rounds
        now = self._rounds[owner]
        self._rounds[owner] += 1
        return range(steps * now // rounds, steps * (now + 1) // rounds)


def _arrays(model: nn.Module) -> ArrayRecord:
    return ArrayRecord({name: value.detach().cpu() for name, value in model.state_dict().items()})


def _distance(model: nn.Module, start: list[Tensor]) -> Tensor:
    """Squared, between the parameters as they are and as they were."""
    total = start[0].new_zeros(())
    for value, before in zip(model.parameters(), start, strict=True):
        total = total + (value - before).square().sum()
    return total
