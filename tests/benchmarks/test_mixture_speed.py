"""Study mixture-speed: peers compute the same, wrong ones are caught, ratios are what they say. No clock is read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("peft")
pytest.importorskip("transformers")

from atoll.benchmarks.speed import contenders
from atoll.benchmarks.speed.atoll_models import mixture_of
from atoll.benchmarks.speed.case import Case
from atoll.benchmarks.speed.contenders import alone, atoll_alone, pair
from atoll.benchmarks.speed.methods import ATOLL, DENSE, METHODS, peers
from atoll.benchmarks.speed.mixture_speed import MixtureSpeed
from atoll.benchmarks.speed.moe_models import transformers_runner
from atoll.benchmarks.speed.paired import in_turns, spread
from atoll.benchmarks.speed.peak import Memory
from atoll.benchmarks.speed.runner import Runner, check_same
from atoll.benchmarks.speed.timing import time_case
from atoll.benchmarks.suites.study import Work
from atoll.errors import ConfigError, MixtureError
from atoll.federation.units import Choice
from atoll.plugins import build

TINY = Case(layers=2, width=16, hidden=24, heads=2, vocabulary=32, rank=4, batch=4, length=6, experts=3)


def fake_clock() -> Iterator[float]:
    """Every look at it is a second later than the last."""
    now = 0.0
    while True:
        yield now
        now += 1.0


@pytest.mark.parametrize("anchor", ["olmo2", "llama"])
@pytest.mark.parametrize("kind", ["ffn", "lora"])
def test_peers_compute_what_atoll_computes(kind: str, anchor: str) -> None:
    case = replace(TINY, kind=kind, anchor=anchor)
    ids = case.tokens(case.model())
    atoll = atoll_alone(case, ids)
    dense = alone(case, DENSE, ids)
    for method in peers(case):
        both = pair(case, method, atoll, ids)
        with torch.no_grad():
            assert not torch.allclose(both.theirs.forward(ids), dense.forward(ids), atol=1e-3), "no expert shows"


def test_a_peer_with_one_wrong_expert_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    case = replace(TINY, action="expert")
    ids = case.tokens(case.model())

    def broken(case: Case, method: str, ids_BS: torch.Tensor) -> Runner:
        made = transformers_runner(case, method, ids_BS)
        with torch.no_grad():
            made.trained[0][2] *= 1.1  # one layer's matrices of one slot
        return made

    monkeypatch.setattr(contenders, "transformers_runner", broken)
    with pytest.raises(MixtureError, match="'atoll' and 'transformers-eager' give logits that differ by"):
        pair(case, "transformers-eager", atoll_alone(case, ids), ids)


def test_logits_that_are_not_finite_are_no_agreement() -> None:
    ids = torch.zeros(1, 2, dtype=torch.int64)
    fine = Runner("fine", lambda ids: torch.ones(1, 2, 3))
    with pytest.raises(MixtureError, match="differ by nan"):
        check_same(fine, Runner("broken", lambda ids: torch.full((1, 2, 3), float("nan"))), ids)


@pytest.mark.parametrize(("kind", "action"), [("ffn", "expert"), ("ffn", "router"), ("lora", "expert")])
def test_a_training_step_trains_what_the_action_says(kind: str, action: str) -> None:
    case = replace(TINY, kind=kind, action=action)
    ids = case.tokens(case.model())
    for method in (ATOLL, DENSE, *(peer for peer in peers(case) if peer != "transformers-batched_mm")):
        runner = alone(case, method, ids)
        assert runner.trained
        assert all(parameter.requires_grad for parameter in runner.trained)
        loss = runner.forward(ids).square().sum()
        gradients = torch.autograd.grad(loss, list(runner.trained), allow_unused=True)
        assert any(gradient is not None and bool(gradient.any()) for gradient in gradients), method


def test_router_tokens_are_spread_over_all_slots() -> None:
    case = replace(TINY, experts=7, batch=16, length=32, chosen=1, vocabulary=256)
    model = case.model()
    ids = case.tokens(model)
    mixture = mixture_of(case, model, ids)
    with torch.no_grad(), mixture.use() as call:
        mixture(input_ids=ids)
    assert max(call.shares()) < 3 / 8
    assert min(call.shares()) > 1 / 80


def test_what_a_peer_cannot_do_is_said() -> None:
    ids = TINY.tokens(TINY.model())
    with pytest.raises(ConfigError, match="x-lora cannot do 'inference' with ffn experts; transformers-eager"):
        alone(TINY, "x-lora", ids)
    with pytest.raises(ConfigError, match="x-lora cannot do 'expert' with lora experts; peft-mixed-batch, arrow can"):
        alone(replace(TINY, kind="lora", action="expert"), "x-lora", ids)
    with pytest.raises(ConfigError, match="no method 'magic': there are atoll, dense"):
        alone(TINY, "magic", ids)
    with pytest.raises(ConfigError, match=r"would copy 1\.5 GiB of weights a layer for 64 samples of 32 tokens"):
        alone(Case(batch=64, length=32, chosen=2), "transformers-batched_mm", ids)


@pytest.mark.parametrize("field", [{"kind": "moe"}, {"action": "dance"}, {"experts": 0}, {"length": -1}])
def test_a_case_that_is_none_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"mixture-speed: {next(iter(field))} is"):
        replace(TINY, **field)  # type: ignore[arg-type]


def test_steps_run_in_turns_and_the_first_round_does_not_count() -> None:
    ran: list[str] = []
    ticks = iter([0.0, 2.0, 10.0, 11.0, 20.0, 24.0, 30.0, 31.0])
    steps = {"slow": lambda: ran.append("slow"), "fast": lambda: ran.append("fast")}
    seconds = in_turns(steps, 2, torch.device("cpu"), lambda: next(ticks))
    assert ran[:2] == ["slow", "fast"]
    assert len(ran) == 6
    assert sorted(seconds["slow"] + seconds["fast"]) == [1.0, 1.0, 2.0, 4.0]


def test_a_ratio_has_its_median_and_quartiles_within_rounds() -> None:
    seconds = {"ours": [1.0, 2.0, 1.0, 1.0, 1.0], "theirs": [2.0, 6.0, 4.0, 5.0, 6.0]}
    found = spread(seconds, "ours", "theirs")
    assert (found.low, found.median, found.high) == (3.0, 4.0, 5.0)
    assert spread({"a": [1.0], "b": [2.0]}, "a", "b").median == 2.0


def test_ratios_are_those_of_the_clock() -> None:
    ticks = fake_clock()
    case = replace(TINY, batch=4, length=6)
    timed = time_case(case, ["transformers-grouped_mm"], 2, lambda: next(ticks))
    assert timed.tokens_per_second(DENSE) == 24.0
    assert timed.partner == {"transformers-grouped_mm": ATOLL}
    assert timed.to_dense(ATOLL).median == timed.to_peer("transformers-grouped_mm").median == 1.0


def test_a_cell_has_its_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("atoll.benchmarks.speed.mixture_speed.memory_of", lambda *told: Memory(300, 100, 200))
    ticks = fake_clock()
    settings = {"layers": 1, "width": 16, "hidden": 16, "heads": 2, "vocabulary": 32, "batch": 2, "length": 4}
    study: MixtureSpeed = build("atoll.studies", "mixture-speed", {**settings, "repeats": 1})

    def figures(method: str, **options: object) -> dict[str, float]:
        work = Work(method=Choice(name=method, options=options), seed=0, folder=tmp_path)
        return study.run_by(work, lambda: next(ticks)).figures()

    before = torch.get_num_threads()
    found = figures(ATOLL)
    assert {"tokens_per_second", "ratio_to_dense", "ratio_to_transformers-eager/low", "held_bytes"} <= set(found)
    assert "ratio_to_transformers-batched_mm" not in found
    assert found["tokens_per_second"] == 8.0
    assert found["peak_memory_bytes"] == 300
    assert "ratio_to_atoll" in figures("transformers-eager")
    assert "ratio_to_atoll" not in figures(DENSE)
    assert torch.get_num_threads() == before
    with pytest.raises(ConfigError, match="no method 'magic'"):
        figures("magic")
    with pytest.raises(ConfigError, match="atoll has no options, and here are k"):
        figures(ATOLL, k=2)
    assert set(study.methods()) == set(METHODS)
