"""Every registered generator keeps its contract, and the check sees what does not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.plugins import build, load, names
from atoll.replay import Disclosure, Prior, Replay, Sample, Teacher, Vocabulary
from atoll.strategies.replay.autoregressive import Autoregressive
from atoll.testing import check_replay

REPLAYS = names("atoll.replay")


def test_both_workloads_have_a_generator() -> None:
    assert set(REPLAYS) >= {"autoregressive", "movegcl"}


@pytest.mark.parametrize("name", REPLAYS)
def test_replay(name: str) -> None:
    check_replay(build("atoll.replay", name, {}))


@pytest.mark.parametrize("sampling", [{"uniform_top": 5}, {"temperature": 0.7, "top_p": 0.9}, {"top_k": 3}])
@pytest.mark.parametrize("name", [name for name in REPLAYS if hasattr(load("atoll.replay", name)(), "sampling")])
def test_replay_with_other_sampling(name: str, sampling: dict[str, Any]) -> None:
    check_replay(build("atoll.replay", name, {"sampling": sampling}))


def test_the_ablation_of_jumps_keeps_the_contract() -> None:
    check_replay(build("atoll.replay", "movegcl", {"jumps": "template"}))


@pytest.mark.parametrize("covariance", ["diagonal", "isotropic", "pooled"])
def test_any_spread_keeps_the_contract(covariance: str) -> None:
    check_replay(build("atoll.replay", "gaussian", {"covariance": covariance}))


@dataclass(frozen=True)
class Broken(Replay):
    """``autoregressive`` with one promise broken."""

    name: ClassVar[str] = "autoregressive"
    workloads: ClassVar[tuple[str, ...]] = ("text",)
    how: str = ""

    def remember(self, private: Any, context: Vocabulary, disclosure: Disclosure) -> Prior:
        match self.how:
            case "adds no noise":
                disclosure = Disclosure(smallest=0)
            case "spends twice":
                epsilon = disclosure.epsilon
                disclosure = replace(disclosure, epsilon=epsilon and 2 * epsilon)
            case "forgets the secret":
                disclosure = replace(disclosure, secret=None)
            case "forgets a document":
                private = private[1:]
        prior = Autoregressive().remember(private, context, disclosure)
        if self.how == "declares noise only":
            exact = Autoregressive().remember(private, context, Disclosure(smallest=0))
            prior = replace(prior, tensors=exact.tensors)
        return prior

    def generate(
        self,
        teacher: Teacher,
        prior: Prior | None,
        context: Vocabulary,
        *,
        budget: int,
        seed: int,
        templates: Any = None,
        batch: int = 64,
    ) -> list[Sample]:
        match self.how:
            case "beyond the budget":
                budget += 1
            case "ignores the seed":
                seed = 0
            case "depends on the batch":
                seed += batch
            case "global numbers":
                torch.rand(1)
            case "global numbers of numpy":
                np.random.rand()
            case "teaches the teacher":
                next(teacher.model.parameters()).data[0] += 1
            case "needs a prior":
                assert prior is not None, "nothing can be drawn"
            case "reads anybody's prior" if prior is not None:
                prior = replace(prior, generator=self.name)
        found = Autoregressive().generate(
            teacher, prior, context, budget=budget, seed=seed, templates=templates, batch=batch
        )
        if self.how == "beyond the vocabulary":
            found[0] = {"input_ids": torch.full((4,), context.size)}
        if self.how == "random":
            found[0] = {"input_ids": torch.tensor([1, 2, int(torch.randint(9, (), generator=DICE))]).int()}
        return found

    def tokens(self, sample: Sample) -> NDArray[np.int64]:
        return Autoregressive().tokens(sample) - (10 if self.how == "negative" else 0)

    def private_tokens(self, private: Any) -> list[NDArray[np.int64]]:
        return Autoregressive().private_tokens(private)

    def batch(self, samples: Sequence[Sample], context: Vocabulary) -> tuple[dict[str, Tensor], Tensor]:
        inputs, mask = Autoregressive().batch(samples, context)
        return inputs, torch.ones_like(mask) if self.how == "padding" else mask


DICE = torch.Generator().manual_seed(0)


def test_the_generator_of_these_tests_is_sound_until_it_is_broken() -> None:
    check_replay(Broken())


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("adds no noise", "not all of the prior declares any"),
        ("spends twice", "more epsilon"),
        ("forgets the secret", "owner's secret"),
        ("declares noise only", "declared to be noisy and is not|owner's secret"),
        ("forgets a document", "29 documents, not 30"),
        ("beyond the budget", "10 samples for a budget of 9"),
        ("ignores the seed", "another seed"),
        ("depends on the batch", "batch's size"),
        ("global numbers", "global random numbers"),
        ("global numbers of numpy", "global random numbers"),
        ("teaches the teacher", "changed the teacher|drew something else"),
        ("needs a prior", "nothing can be drawn"),
        ("reads anybody's prior", "prior of another generator"),
        ("beyond the vocabulary", "outside of the 11"),
        ("random", "drew something else"),
        ("negative", "negative"),
        ("padding", "padding"),
    ],
)
def test_a_generator_that_breaks_a_promise_is_caught(how: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_replay(Broken(how=how))


def test_a_workload_without_a_bench_needs_one() -> None:
    class Elsewhere(Broken):
        workloads: ClassVar[tuple[str, ...]] = ("weather",)

    with pytest.raises(AssertionError, match="weather"):
        check_replay(Elsewhere())
