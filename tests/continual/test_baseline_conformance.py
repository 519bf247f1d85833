"""Every registered baseline keeps its contract, on every workload, and the check sees what does not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor

from atoll.continual.baseline import GROUP, Baseline, Observe, Sees, World
from atoll.errors import ConfigError
from atoll.plugins import build, names
from atoll.strategies.baselines.fit import fit_stage
from atoll.testing import check_baseline, toy_world
from atoll.testing.world import Copies
from atoll.workloads.workload import Batch, Workload

BASELINES = names(GROUP)
QUICK: Mapping[str, Mapping[str, Any]] = {"ewc": {"samples": 8}}
CLASSES_ONLY = {"class-means"}
WORKLOADS: tuple[Literal["text", "mobility", "images"], ...] = ("text", "mobility", "images")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, World]:
    text, mobility, images = (toy_world(tmp_path_factory.mktemp(name), name) for name in WORKLOADS)
    return {"text": text, "mobility": replace(mobility, stages=[["clinic"], ["court", "yard"]]), "images": images}


def test_the_usual_baselines_are_there() -> None:
    usual = {"ewc", "fedavg", "fedprox", "joint", "local", "lwf", "real-replay", "sequential"}
    assert set(BASELINES) >= usual


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("name", BASELINES)
def test_baseline(name: str, workload: str, worlds: Mapping[str, World]) -> None:
    baseline: Baseline = build(GROUP, name, QUICK.get(name, {}))
    assert baseline.name == name
    if name in CLASSES_ONLY and workload != "images":
        with pytest.raises(ConfigError, match="takes data with classes"):
            check_baseline(baseline, worlds[workload])
        return
    check_baseline(baseline, worlds[workload])


@dataclass(frozen=True)
class Broken(Baseline):
    """Sequential fine-tuning with one promise broken."""

    name: ClassVar[str] = "broken"
    sees: ClassVar[Sees] = "nothing"
    how: str = ""

    def run(self, world: World, observe: Observe) -> None:
        model = world.fresh()
        match self.how:
            case "ignores the seed":
                world = replace(world, seed=0)
            case "trains the anchor":
                assert isinstance(world.model, Copies)
                model = world.model.model.requires_grad_(True)
            case "global numbers":
                next(model.parameters()).data[0] += torch.rand(())
        for stage, owners in enumerate(world.stages, 1):
            self._look(world, stage)
            if self.how != "learns nothing":
                fit_stage(model, world, owners, "test")
            match self.how:
                case "skips a stage" if stage == 2:
                    continue
                case "stays in training mode":
                    model.train()
            observe(stage - (self.how == "counts from 0"), model)

    def _look(self, world: World, stage: int) -> None:
        first, own = world.owners[0], world.owners[stage - 1]
        match self.how:
            case "looks back" if stage == 3:
                world.batch(first, 0)
            case "looks ahead" if stage == 1:
                world.batch(world.owners[1], 0)
            case "looks at test data":
                world.workloads[own].samples("test", [0])
            case "describes old data" if stage == 2:
                next(iter(world.workloads[first].described(1, 1)))


@dataclass(frozen=True)
class Secret(Baseline):
    """Reads old data, and goes on where it is refused."""

    name: ClassVar[str] = "secret"
    sees: ClassVar[Sees] = "nothing"

    def run(self, world: World, observe: Observe) -> None:
        model = world.fresh()

        def further(workload: Workload, batch: Batch, logits: Tensor) -> Tensor:
            try:
                old = world.batch(world.owners[0], 0)
            except AssertionError:
                return logits.new_zeros(())
            return workload.loss(model(**old.inputs, use_cache=False).logits, old.targets)[0]

        for stage, owners in enumerate(world.stages, 1):
            fit_stage(model, world, owners, "test", further)
            observe(stage, model)


def test_the_baseline_of_these_tests_is_sound_until_it_is_broken() -> None:
    check_baseline(Broken())


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("ignores the seed", "another seed gave the same model"),
        ("trains the anchor", "changed the anchor"),
        ("global numbers", "the same seed gave another model"),
        ("learns nothing", "no less than the anchor's"),
        ("skips a stage", "tell of every stage in order"),
        ("counts from 0", "tell of every stage in order"),
        ("stays in training mode", "training mode"),
        ("looks back", "sees nothing of earlier silos, and read the data of 'clinic' at stage 3"),
        ("looks ahead", "read the data of 'court' at stage 1, before it came"),
        ("looks at test data", "read the test data of 'clinic'"),
        ("describes old data", "sees nothing of earlier silos"),
    ],
)
def test_a_baseline_that_breaks_a_promise_is_caught(how: str, told: str, worlds: Mapping[str, World]) -> None:
    world = worlds["text"]
    with pytest.raises(AssertionError, match=told):
        check_baseline(Broken(how=how), replace(world, model=Copies(world.model())))


def test_what_is_read_in_secret_is_missed(worlds: Mapping[str, World]) -> None:
    with pytest.raises(AssertionError, match="depends on data that it says it does not see"):
        check_baseline(Secret(), worlds["text"])


def test_what_is_not_random_must_not_depend_on_the_seed(worlds: Mapping[str, World]) -> None:
    class Fixed(Broken):
        seeded: ClassVar[bool] = False

    check_baseline(Fixed(how="ignores the seed"), worlds["text"])
    with pytest.raises(AssertionError, match="nothing of it is random"):
        check_baseline(Fixed(), worlds["text"])


def test_old_data_may_be_read_where_that_is_said(worlds: Mapping[str, World]) -> None:
    class Open(Broken):
        sees: ClassVar[Sees] = "earlier data"

    check_baseline(Open(how="looks back"), worlds["text"])
    with pytest.raises(AssertionError, match="before it came"):
        check_baseline(Open(how="looks ahead"), worlds["text"])
