"""DriftMoE's two forms do what is written of them, oddities included."""

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("river")

from atoll.benchmarks.online.data_experts import DataExperts, who_is_right
from atoll.benchmarks.online.learner import Learner
from atoll.benchmarks.online.neural_router import NeuralRouter, RouterSettings
from atoll.benchmarks.online.prequential import prequential
from atoll.benchmarks.online.router_only import RouterOnly
from atoll.benchmarks.online.single import HoeffdingTree
from atoll.benchmarks.online.streams import Stream, read_stream
from atoll.benchmarks.online.task_experts import TaskExperts
from atoll.errors import ConfigError

CPU = torch.device("cpu")
SHORT = RouterSettings(batch=16)


@pytest.fixture(scope="module")
def stream() -> Stream:
    return read_stream("rbf-moderate", 400, seed=0)


def _answers(learner: Learner, stream: Stream, delay: int = 0) -> list[int]:
    torch.manual_seed(0)
    found: list[int] = prequential(learner.start(stream.facts, 0, CPU), stream, delay).tolist()
    return found


def test_the_target_is_who_is_right_or_who_comes_nearest() -> None:
    assert who_is_right([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]], 0) == [1, 0, 1]
    assert who_is_right([[0.9, 0.1, 0], [0.5, 0.3, 0.2], [0.8, 0.2, 0]], 1) == [0, 1, 0]


def test_one_expert_is_one_tree(stream: Stream) -> None:
    alone = DataExperts(experts=1, chosen=1, router=SHORT)
    assert _answers(alone, stream) == _answers(HoeffdingTree(), stream)
    assert _answers(alone, stream, delay=20) == _answers(HoeffdingTree(), stream, delay=20)


def test_experts_that_learn_everything_are_one_tree_however_they_vote(stream: Stream) -> None:
    everybody = DataExperts(experts=3, chosen=3, router=SHORT)
    expected = _answers(HoeffdingTree(), stream)
    assert _answers(everybody, stream) == expected
    assert _answers(replace(everybody, votes=3), stream) == expected


@pytest.mark.parametrize("chosen", [1, 3])
def test_as_many_trees_as_are_chosen_learn_a_sample(stream: Stream, chosen: int) -> None:
    torch.manual_seed(0)
    mixture = DataExperts(experts=6, chosen=chosen, router=SHORT).start(stream.facts, 0, CPU)
    prequential(mixture, stream)
    seen = [tree._train_weight_seen_by_model for tree in mixture._trees]
    assert sum(seen) == chosen * len(stream.samples)
    assert len({*seen}) > 1


def test_the_temperature_matters_to_votes_alone(stream: Stream) -> None:
    one = DataExperts(experts=4, chosen=2, router=SHORT)
    many = replace(one, votes=4)
    assert _answers(one, stream) == _answers(replace(one, temperature=0.01), stream)
    assert _answers(many, stream) != _answers(replace(many, temperature=100.0), stream)
    assert _answers(one, stream) == _answers(replace(many, temperature=1e-6), stream), "cold votes are the best one's"


def test_asking_again_changes_nothing(stream: Stream) -> None:
    """Features in another object are not recognized, so everybody is asked once more before learning."""
    learner = DataExperts(experts=4, chosen=2, router=SHORT)
    torch.manual_seed(0)
    mixture = learner.start(stream.facts, 0, CPU)
    found = []
    for x, y in zip(stream.samples, stream.labels, strict=True):
        found.append(mixture.predict_one(x))
        mixture.learn_one(dict(x), y)
    assert found == _answers(learner, stream)


def test_trees_have_no_part_in_the_published_task_form(stream: Stream) -> None:
    published = TaskExperts()
    expected = _answers(published, stream)
    assert _answers(RouterOnly(router=published.router), stream) == expected
    assert _answers(TaskExperts(answer="trees"), stream) != expected
    assert _answers(TaskExperts(answer="both"), stream) != expected


def test_trees_answer_without_the_router(stream: Stream) -> None:
    often, never = RouterSettings(batch=16), RouterSettings(batch=10_000)
    first, second = (_answers(TaskExperts(answer="trees", router=router), stream) for router in (often, never))
    assert first == second


def test_a_router_learns_until_it_is_stopped(stream: Stream) -> None:
    torch.manual_seed(0)
    router = NeuralRouter(RouterSettings(batch=4, stop_after=8), 10, 3, CPU)
    known = [router.logits(stream.samples[0])]
    for count in range(1, 17):
        router.learn(stream.samples[count], [1.0, 0.0, 0.0])
        known.append(router.logits(stream.samples[0]))
    changed = [n for n in range(1, 17) if not torch.equal(known[n], known[n - 1])]
    assert changed == [4, 8]
    assert known[-1][0] > known[0][0]


def test_a_stopped_router_changes_nothing_before_it_stops(stream: Stream) -> None:
    going = DataExperts(experts=4, chosen=2, router=SHORT)
    stopped = replace(going, router=replace(SHORT, stop_after=200))
    assert _answers(going, stream)[:208] == _answers(stopped, stream)[:208]
    assert _answers(going, stream) != _answers(stopped, stream)


def test_noise_is_in_answers_only_if_asked_for(stream: Stream) -> None:
    quiet, noisy = (NeuralRouter(RouterSettings(dropout=0.5, noisy=noisy), 10, 3, CPU) for noisy in (False, True))
    x = stream.samples[0]
    assert torch.equal(quiet.logits(x), quiet.logits(x))
    assert not torch.equal(noisy.logits(x), noisy.logits(x))


def test_standardized_features_do_not_depend_on_their_units(stream: Stream) -> None:
    larger = replace(stream, samples=[{n: 1000 * value + n for n, value in x.items()} for x in stream.samples])
    scaled = RouterOnly(router=RouterSettings(batch=4, standardize=True))
    agreed = np.mean(np.array(_answers(scaled, stream)) == np.array(_answers(scaled, larger)))
    assert agreed > 0.99
    raw = RouterOnly(router=RouterSettings(batch=4))
    assert _answers(raw, stream) != _answers(raw, larger)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_router_learns_on_the_device(stream: Stream, device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.manual_seed(0)
    learner = RouterOnly(router=RouterSettings(batch=1)).start(stream.facts, 0, torch.device(device))
    answers = prequential(learner, stream)
    last = slice(200, None)
    most = max(stream.labels.count(label) for label in range(5)) / len(stream.labels)
    assert (answers[last] == np.array(stream.labels)[last]).mean() > most + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chosen": 13}, "chosen is 13; it must be between 1 and the 12"),
        ({"votes": 0}, "votes is 0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
    ],
)
def test_experts_that_cannot_be(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(DataExperts(), **options)  # type: ignore[arg-type]


def test_routers_and_answers_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="batch 0 must be at least 1"):
        RouterSettings(batch=0)
    with pytest.raises(ConfigError, match="answer is 'nobody'; it must be one of router, trees, both"):
        TaskExperts(answer="nobody")
