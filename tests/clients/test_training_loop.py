"""The training loop: what a kill costs, what a seed fixes, when it stops."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from atoll.clients.training.loop import learning_rate, train
from atoll.clients.training.trainable import Trainable, TrainedExpert
from atoll.errors import ConfigError, DataError
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.workloads.text.loss import next_token_loss
from atoll.workloads.workload import Batch


class _Bigram(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(8, 8))

    def forward(self, input_ids: Tensor, use_cache: bool) -> Any:
        return SimpleNamespace(logits=self.table[input_ids])


class _Toy(Trainable):
    def __init__(self) -> None:
        self.model = _Bigram()
        self.parameters: Mapping[str, nn.Parameter] = dict(self.model.named_parameters())

    def auxiliary_loss(self) -> Tensor | None:
        return None

    def export(self) -> TrainedExpert:
        raise NotImplementedError


def _parts(ids: Tensor, parts: int = 1) -> list[Batch]:
    return [Batch({"input_ids": p}, {"ids": p}, p.numel(), p.shape[0] * (p.shape[1] - 1)) for p in ids.chunk(parts)]


def _loss(logits: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    return next_token_loss(logits, targets["ids"])


def _ids(step: int) -> Tensor:
    return torch.randint(0, 8, (4, 6), generator=torch.Generator().manual_seed(step))


def _table(toy: _Toy) -> Tensor:
    return toy.parameters["table"].detach().clone()


def _run(toy: _Toy, path: Path, config: TrainingConfig, losses: list[float] | None = None, stop: int = -1) -> Any:
    """Train on the toy; ``stop`` kills it when that step has been reported, ``losses`` scripts the validation."""
    calls = iter(losses or [])

    def validate() -> float:
        return next(calls) if losses else float((toy.parameters["table"].detach() - 0.05).square().mean())

    def report(done: int, total: int, note: str) -> None:
        if done == stop:
            raise KeyboardInterrupt

    return train(toy, lambda step: _parts(_ids(step), config.accumulation), _loss, validate, config, path, report)


CONFIG = TrainingConfig(steps=12, batch=4, evaluate_every=4, checkpoint_every=3, learning_rate=0.01, warmup=3)


@pytest.mark.parametrize("killed_at", range(1, 12))
def test_killed_at_any_step_and_resumed_is_the_same_as_never_killed(tmp_path: Path, killed_at: int) -> None:
    whole = _Toy()
    expected = _run(whole, tmp_path / "whole.pt", CONFIG)
    with pytest.raises(KeyboardInterrupt):
        _run(_Toy(), tmp_path / "cut.pt", CONFIG, stop=killed_at)
    resumed = _Toy()
    found = _run(resumed, tmp_path / "cut.pt", CONFIG)
    assert torch.equal(_table(resumed), _table(whole))
    assert found.validation == expected.validation
    assert found.tokens == expected.tokens


def test_accumulation_changes_nothing_but_memory(tmp_path: Path) -> None:
    one, parts = _Toy(), _Toy()
    _run(one, tmp_path / "one.pt", CONFIG)
    _run(parts, tmp_path / "parts.pt", TrainingConfig(**{**CONFIG.__dict__, "accumulation": 4}))
    torch.testing.assert_close(_table(parts), _table(one), rtol=1e-4, atol=1e-6)


def test_the_best_parameters_are_kept_and_training_stops_early(tmp_path: Path) -> None:
    toy = _Toy()
    config = TrainingConfig(**{**CONFIG.__dict__, "steps": 40, "patience": 2})
    kept: list[Tensor] = []

    def validate() -> float:
        kept.append(_table(toy))
        return [3.0, 2.0, 2.5, 2.6, 0.0][len(kept) - 1]

    found = train(
        toy, lambda step: _parts(_ids(step)), _loss, validate, config, tmp_path / "c.pt", lambda done, total, note: None
    )
    assert (found.step, found.best_step, found.best_loss) == (12, 4, 2.0)
    assert torch.equal(_table(toy), kept[1])


def test_patience_zero_never_stops(tmp_path: Path) -> None:
    found = _run(
        _Toy(), tmp_path / "c.pt", TrainingConfig(**{**CONFIG.__dict__, "patience": 0}), losses=[1.0, 2.0, 3.0, 4.0]
    )
    assert found.step == 12


def test_a_diverging_run_says_what_to_do(tmp_path: Path) -> None:
    toy = _Toy()
    with torch.no_grad():
        toy.parameters["table"].fill_(float("nan"))
    with pytest.raises(DataError, match=r"lower training\.learning_rate"):
        _run(toy, tmp_path / "c.pt", CONFIG)


@pytest.mark.parametrize("step", [0, 4])
def test_a_validation_loss_that_is_no_number_is_the_same_error(tmp_path: Path, step: int) -> None:
    losses = [1.0, 0.5, 0.4, 0.3]
    losses[step // 4] = float("nan")
    with pytest.raises(DataError, match=f"validation loss is nan at step {step}.*lower training.learning_rate"):
        _run(_Toy(), tmp_path / "c.pt", CONFIG, losses=losses)


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_no_number_never_reaches_the_parameters(tmp_path: Path, clip: float) -> None:
    toy = _Toy()
    # The loss is finite; what comes back is not.
    toy.parameters["table"].register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DataError, match=r"gradient is (nan|inf) at step 0"):
        _run(toy, tmp_path / "c.pt", TrainingConfig(**{**CONFIG.__dict__, "clip": clip}))
    assert bool(torch.isfinite(_table(toy)).all())


def test_a_diverged_run_leaves_its_last_sound_checkpoint(tmp_path: Path) -> None:
    toy = _Toy()

    def batch(step: int) -> list[Batch]:
        if step == 7:
            with torch.no_grad():
                toy.parameters["table"].fill_(float("nan"))
        return _parts(_ids(step))

    with pytest.raises(DataError, match="step 7"):
        train(toy, batch, _loss, lambda: 1.0, CONFIG, tmp_path / "c.pt", lambda done, total, note: None)
    kept = torch.load(tmp_path / "c.pt", weights_only=True)
    assert kept["progress"]["step"] == 6
    assert bool(torch.isfinite(kept["now"]["table"]).all())


def _gradients(toy: _Toy, path: Path, parts: list[Batch]) -> tuple[Tensor, float]:
    """The gradient of one step over parts, and the loss that is reported of it."""
    seen: list[Tensor] = []
    told: list[str] = []

    def look(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        grad = toy.parameters["table"].grad
        assert grad is not None
        seen.append(grad.detach().clone())

    config = TrainingConfig(steps=1, batch=4, evaluate_every=1, checkpoint_every=1, warmup=0, clip=0.0)
    handle = register_optimizer_step_pre_hook(look)
    try:
        train(toy, lambda _: parts, _loss, None, config, path, lambda done, total, note: told.append(note))
    finally:
        handle.remove()
    (gradient,) = seen
    return gradient, float(told[0].removeprefix("loss ").split()[0])


@pytest.mark.parametrize("scale", [0.01, 3.0])
def test_a_batch_with_a_scale_weighs_by_it_and_one_without_by_what_the_step_predicts(
    tmp_path: Path, scale: float
) -> None:
    """As replay does beside a silo's own samples: each has a weight of its own in the gradient."""
    own, replay = _parts(_ids(1))[0], replace(_parts(_ids(2))[0], scale=scale)
    found, loss = _gradients(_Toy(), tmp_path / "both.pt", [own, replay])
    toy = _Toy()
    table = toy.parameters["table"]
    predicted = own.predicted + replay.predicted
    sums = [_loss(table[part.inputs["input_ids"]], part.targets)[0] for part in (own, replay)]
    whole = sums[0] / predicted + sums[1] * scale
    (expected,) = torch.autograd.grad(whole, [table])
    assert torch.allclose(found, expected, atol=1e-6)
    assert loss == pytest.approx(float(whole.detach()), abs=2e-3)


def test_the_gradient_is_clipped_to_its_largest_norm(tmp_path: Path) -> None:
    norms: list[float] = []

    def note(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        (table,) = (p for group in optimizer.param_groups for p in group["params"])
        norms.append(float(table.grad.norm()))

    handle = register_optimizer_step_pre_hook(note)
    try:
        _run(_Toy(), tmp_path / "free.pt", TrainingConfig(**{**CONFIG.__dict__, "clip": 0.0}))
        free, norms[:] = max(norms), []
        _run(_Toy(), tmp_path / "clipped.pt", TrainingConfig(**{**CONFIG.__dict__, "clip": free / 3}))
    finally:
        handle.remove()
    assert len(norms) == CONFIG.steps
    assert max(norms) == pytest.approx(free / 3, rel=1e-3)


@pytest.mark.parametrize("content", [b"", b"nothing", "half"], ids=["empty", "other", "half"])
def test_a_damaged_checkpoint_is_begun_anew(tmp_path: Path, content: bytes | str) -> None:
    whole = _Toy()
    _run(whole, tmp_path / "whole.pt", CONFIG)
    saved = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content if isinstance(content, bytes) else saved[: len(saved) // 2])
    again = _Toy()
    _run(again, tmp_path / "cut.pt", CONFIG)
    assert torch.equal(_table(again), _table(whole))


def test_a_stopped_run_does_not_go_on_when_it_is_started_again(tmp_path: Path) -> None:
    config = TrainingConfig(**{**CONFIG.__dict__, "steps": 40, "patience": 1})
    toy = _Toy()
    assert _run(toy, tmp_path / "c.pt", config, losses=[1.0, 2.0]).step == 4
    again = _Toy()
    assert _run(again, tmp_path / "c.pt", config, losses=[9.0]).step == 4
    assert torch.equal(_table(again), _table(toy))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_schedules_warm_up_to_the_peak_and_never_pass_it(schedule: str) -> None:
    config = TrainingConfig(steps=50, warmup=5, schedule=schedule, learning_rate=1.0)
    rates = [learning_rate(step, config) for step in range(50)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert max(rates) == 1.0
    assert rates[-1] == (1.0 if schedule == "constant" else pytest.approx(0.1, abs=0.03))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "training.steps"),
        ({"batch": 8, "accumulation": 3}, "does not divide"),
        ({"schedule": "cosin"}, "training.schedule"),
        ({"precision": "fp8"}, "training.precision"),
        ({"learning_rate": -1.0}, "training.learning_rate"),
    ],
)
def test_impossible_options_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**change).check()
    with pytest.raises(ConfigError, match=r"expert.rank"):
        ExpertConfig(rank=0).check()
