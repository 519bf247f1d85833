"""Private training: gradients against a slow loop, noise by its statistics, ε by Opacus' accountant."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atoll.clients.descriptor import describe_domain
from atoll.clients.training.privacy_plan import Drawn, PrivacyPlan, draw, owner_secret, plan_privacy, step_generator
from atoll.clients.training.private import PrivateData, clipped_gradients, private_gradients, private_step
from atoll.clients.training.trainable import Trainable, TrainedExpert
from atoll.clients.work import make_trainable
from atoll.errors import ConfigError, DataError
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.training import ExpertConfig
from atoll.plugins import build
from atoll.workloads.workload import Batch

from .conftest import LAYERS, Silo

PLAN = PrivacyPlan(
    unit="sequence",
    units=100,
    rate=0.1,
    noise=1.5,
    clip=0.7,
    delta=1e-3,
    accountant="rdp",
    per_user=4,
    chunk=4,
)
SEQUENCES = Drawn(np.array([5, 1, 9, 3, 7, 0, 2]), np.arange(7))
USERS = Drawn(np.array([5, 1, 9, 3, 7, 0, 2]), np.array([0, 1, 1, 1, 2, 2, 3]))


class _Toy(Trainable):
    """Next-token prediction by one matrix; sequences are of different lengths, and padded with token 0."""

    def __init__(self, form: str = "linear") -> None:
        torch.manual_seed(0)
        model = _Model(form)
        weight = model.linear.weight
        assert isinstance(weight, nn.Parameter)
        self.model, self.weight = model, weight
        self.parameters: Mapping[str, nn.Parameter] = {"w": weight}

    def auxiliary_loss(self) -> Tensor | None:
        return None

    def export(self) -> TrainedExpert:
        raise NotImplementedError


class _Model(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.linear = nn.Linear(6, 6, bias=False)

    def forward(self, ids: Tensor, use_cache: bool) -> Any:
        x = functional.one_hot(ids, 6).float()
        if self.form == "twice":
            return SimpleNamespace(logits=self.linear(torch.tanh(self.linear(x))))
        if self.form == "flat":
            return SimpleNamespace(logits=self.linear(x.flatten(0, 1)).view_as(x))
        if self.form == "dispatch":  # only some tokens come by, as under a sparse mixture
            y = x.clone()
            y[ids > 1] = self.linear(x[ids > 1])
            return SimpleNamespace(logits=y)
        return SimpleNamespace(logits=self.linear(x))


def _masked(logits: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    kept = targets["ids"].masked_fill(~_predicts(targets).roll(1, 1), -100)[:, 1:]
    total = functional.cross_entropy(logits[:, :-1].flatten(0, 1), kept.flatten(), reduction="sum", ignore_index=-100)
    return total, int((kept >= 0).sum())


def _predicts(targets: Mapping[str, Tensor]) -> Tensor:
    follows = torch.zeros_like(targets["ids"], dtype=torch.bool)
    follows[:, :-1] = targets["ids"][:, 1:] > 0
    return follows


def _toy_data(sequences: int = 10, seed: int = 0) -> PrivateData:
    rng = np.random.default_rng(seed)
    rows = [torch.from_numpy(rng.integers(1, 6, rng.integers(4, 10))) for _ in range(sequences)]

    def samples(indices: Sequence[int]) -> Batch:
        ids = nn.utils.rnn.pad_sequence([rows[index] for index in indices], batch_first=True)
        return Batch({"ids": ids}, {"ids": ids}, ids.numel(), int((ids[:, 1:] > 0).sum()))

    return PrivateData(samples, _masked, _predicts)


def _slow(trainable: Trainable, data: PrivateData, drawn: Drawn, clip: float) -> tuple[dict[str, Tensor], list[float]]:
    """One sequence at a time through ordinary backward passes; the clipped sum, and each unit's norm."""
    total = {name: torch.zeros_like(value) for name, value in trainable.parameters.items()}
    norms: list[float] = []
    for unit in np.unique(drawn.units):
        mine = drawn.sequences[drawn.units == unit].tolist()
        predicted = sum(data.samples([index]).predicted for index in mine)
        gradients = {name: torch.zeros_like(value) for name, value in trainable.parameters.items()}
        for index in mine:
            batch = data.samples([index])
            loss, _ = data.loss(trainable.model(**batch.inputs, use_cache=False).logits, batch.targets)
            auxiliary = trainable.auxiliary_loss()
            whole = loss / predicted if auxiliary is None else loss / predicted + auxiliary / len(mine)
            torch.autograd.backward(whole)
            for name, value in trainable.parameters.items():
                assert value.grad is not None
                gradients[name] += value.grad
                value.grad = None
        norms.append(math.sqrt(sum(float(value.square().sum()) for value in gradients.values())))
        for name, gradient in gradients.items():
            total[name] += gradient * min(1.0, clip / norms[-1])
    return total, norms


def _check(trainable: Trainable, data: PrivateData, drawn: Drawn, tolerance: float = 1e-6) -> None:
    """Against the slow loop, with a clip between the norms, in pieces of every size."""
    _, norms = _slow(trainable, data, drawn, 1.0)
    clip = float(np.median(norms))
    expected, _ = _slow(trainable, data, drawn, clip)
    assert min(norms) < clip < max(norms)
    for chunk in (1, 3, 100):
        found, loss = clipped_gradients(trainable, data, drawn, replace(PLAN, clip=clip, chunk=chunk))
        assert set(found) == set(trainable.parameters)
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=tolerance)
        batch = data.samples(drawn.sequences.tolist())
        total, count = data.loss(trainable.model(**batch.inputs, use_cache=False).logits, batch.targets)
        assert loss == pytest.approx(float(total.detach()) / count, rel=1e-5)
    assert all(value.grad is None for value in trainable.parameters.values())


@pytest.mark.parametrize("drawn", [SEQUENCES, USERS], ids=["sequences", "users"])
@pytest.mark.parametrize("form", ["linear", "twice", "flat", "dispatch"])
def test_clipped_sums_are_those_of_a_slow_loop(form: str, drawn: Drawn) -> None:
    _check(_Toy(form), _toy_data(), drawn)


@pytest.mark.parametrize("drawn", [SEQUENCES, USERS], ids=["sequences", "users"])
@pytest.mark.parametrize(
    "expert",
    [
        {"kind": "lora", "rank": 2, "modules": ["q_proj", "gate_proj", "down_proj"]},
        {"kind": "ffn", "coordinated": False},
        {"kind": "ffn", "coordinated": True, "z_loss": 0.1},
    ],
    ids=["lora", "in-place", "coordinated"],
)
def test_the_same_for_every_kind_of_expert_on_text(silo: Silo, expert: dict[str, Any], drawn: Drawn) -> None:
    node = silo()
    model = node.model()
    sites = [f"model.layers.{layer}.mlp" for layer in range(LAYERS)]
    frame = node.frame(model, sites)
    domain = describe_domain(
        node.anchor, model, sites, node.workload, embedder="anchor-states", documents=16, counted=16, frame=frame
    )
    config, router = ExpertConfig(**expert), build("atoll.routers", "top-k", {})
    trainable = make_trainable(model, range(LAYERS), config, router, domain, frame, 0)
    with torch.no_grad():  # LoRA starts where half of its gradient is zero
        for value in trainable.parameters.values():
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(0)), alpha=0.05)
    data = PrivateData(
        lambda indices: node.workload.samples("train", indices), node.workload.loss, node.workload.predicts
    )
    _check(trainable, data, drawn, tolerance=1e-5)


def test_one_unit_more_moves_the_sum_by_no_more_than_the_clip() -> None:
    toy, data = _Toy(), _toy_data()
    with_all, _ = clipped_gradients(toy, data, USERS, PLAN)
    for unit in range(4):
        rest = Drawn(USERS.sequences[USERS.units != unit], USERS.units[USERS.units != unit])
        without, _ = clipped_gradients(toy, data, rest, PLAN)
        assert float((with_all["w"] - without["w"]).norm()) <= PLAN.clip * (1 + 1e-5)
    # The negative control: without clipping together, a user of three sequences moves it further.
    by_sequence, _ = clipped_gradients(toy, data, Drawn(USERS.sequences[1:4], np.arange(3)), replace(PLAN, clip=0.3))
    assert float(by_sequence["w"].norm()) > 0.3 * 1.2


def test_without_clipping_and_noise_it_is_the_plain_gradient() -> None:
    toy, data = _Toy(), _toy_data()
    found, _ = private_gradients(
        toy, data, Drawn(np.array([4]), np.array([0])), replace(PLAN, clip=1e6, noise=0.0), np.random.default_rng(0)
    )
    batch = data.samples([4])
    total, count = data.loss(toy.model(**batch.inputs, use_cache=False).logits, batch.targets)
    (gradient,) = torch.autograd.grad(total / count, [toy.weight])
    torch.testing.assert_close(found["w"], gradient / PLAN.expected)


def _noise(plan: PrivacyPlan, drawn: Drawn, draws: int = 200) -> Tensor:
    toy, data = _Toy(), _toy_data()
    mean, _ = clipped_gradients(toy, data, drawn, plan)
    rng = np.random.default_rng(1)
    found = [private_gradients(toy, data, drawn, plan, rng)[0]["w"] - mean["w"] / plan.expected for _ in range(draws)]
    return torch.stack(found).flatten()


@pytest.mark.parametrize("drawn", [USERS, Drawn(np.empty(0, np.int64), np.empty(0, np.int64))], ids=["some", "none"])
def test_the_noise_is_gaussian_and_as_large_as_planned(drawn: Drawn) -> None:
    noise = _noise(PLAN, drawn).double()
    n, scale = len(noise), PLAN.noise * PLAN.clip / PLAN.expected
    # Four standard errors each, of the mean, the standard deviation and the fourth moment of a Gaussian.
    assert abs(float(noise.mean())) < 4 * scale / math.sqrt(n)
    assert abs(float(noise.std()) / scale - 1) < 4 / math.sqrt(2 * n)
    assert abs(float((noise / scale).pow(4).mean()) - 3) < 4 * math.sqrt(96 / n)
    # The negative control: a tenth less noise would be noticed.
    less = _noise(replace(PLAN, noise=0.9 * PLAN.noise), drawn)
    assert abs(float(less.std()) / scale - 1) > 4 / math.sqrt(2 * n)


def test_no_number_of_the_noise_comes_twice() -> None:
    toy, data, nobody = _Toy(), _toy_data(), Drawn(np.empty(0, np.int64), np.empty(0, np.int64))
    toy.parameters = {"w": toy.weight, "v": nn.Parameter(torch.zeros(50))}
    found, _ = private_gradients(toy, data, nobody, PLAN, step_generator(b"s" * 32, 0))
    assert len(torch.cat([value.flatten() for value in found.values()]).unique()) == 86


def test_a_step_without_units_is_noise_alone_and_says_so() -> None:
    toy = _Toy()
    before = toy.weight.detach().clone()
    optimizer = torch.optim.SGD(toy.parameters.values(), lr=1.0)
    nobody = Drawn(np.empty(0, np.int64), np.empty(0, np.int64))
    assert private_step(toy, optimizer, _toy_data(), nobody, PLAN, np.random.default_rng(3)) is None
    noise = np.random.default_rng(3).standard_normal((6, 6), dtype=np.float32)
    moved = before - toy.weight.detach()
    torch.testing.assert_close(moved, torch.from_numpy(noise) * PLAN.noise * PLAN.clip / PLAN.expected)


@pytest.mark.parametrize("form", ["linear", "flat"])
def test_what_is_no_number_changes_nothing(form: str) -> None:
    toy = _Toy(form)
    with torch.no_grad():
        toy.weight[0, 1] = float("nan")
    before = toy.weight.detach().clone()
    optimizer = torch.optim.SGD(toy.parameters.values(), lr=1.0)
    with pytest.raises(DataError, match=r"lower training\.learning_rate"):
        private_step(toy, optimizer, _toy_data(), SEQUENCES, PLAN, np.random.default_rng(0))
    assert torch.equal(toy.weight.nan_to_num(7), before.nan_to_num(7))


@pytest.mark.parametrize(("accountant", "epsilon"), [("rdp", 0.5), ("prv", 2.0)])
def test_epsilon_is_that_of_opacus_step_by_step(accountant: str, epsilon: float) -> None:
    opacus = pytest.importorskip("opacus.accountants")
    config = PrivacyConfig(epsilon=epsilon, accountant=accountant)
    plan = plan_privacy(config, units=400, batch=8, steps=60)
    theirs = opacus.create_accountant(mechanism=accountant)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(1, 61):
            theirs.step(noise_multiplier=plan.noise, sample_rate=8 / 400)
            if step in (1, 60):
                assert plan.epsilon(step) == pytest.approx(theirs.get_epsilon(delta=400**-1.1), rel=1e-9)
    assert epsilon - 0.02 < plan.epsilon(60) <= epsilon
    assert plan.epsilon(0) == 0 < plan.epsilon(20) < plan.epsilon(60) < plan.epsilon(61)
    assert plan.delta == 400**-1.1
    assert plan.expected == pytest.approx(8)


def test_a_given_delta_is_kept_and_one_that_promises_nothing_is_refused() -> None:
    pytest.importorskip("opacus.accountants")
    config = PrivacyConfig(epsilon=2.0, delta=1e-6)
    assert plan_privacy(config, units=50, batch=5, steps=10).delta == 1e-6
    with pytest.raises(ConfigError, match=r"privacy.delta 0.05 .*below 0.02"):
        plan_privacy(replace(config, delta=0.05), units=50, batch=5, steps=10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": -1.0}, "privacy.epsilon"),
        ({"epsilon": float("nan")}, "privacy.epsilon"),
        ({"epsilon": float("inf")}, "privacy.epsilon"),
        ({"epsilon": 0.0}, "nothing to plan"),
        ({"delta": 1.0}, "privacy.delta"),
        ({"clip": 0.0}, "privacy.clip"),
        ({"unit": "document"}, "privacy.unit"),
        ({"accountant": "moments"}, "privacy.accountant"),
        ({"accountant": "prv", "epsilon": 11.0}, "take rdp"),
        ({"per_user": 0}, "privacy.per_user"),
        ({"chunk": 0}, "privacy.chunk"),
    ],
)
def test_what_cannot_be_promised_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_privacy(PrivacyConfig(**{"epsilon": 1.0, **change}), units=50, batch=5, steps=10)


def test_too_few_units_are_refused() -> None:
    for units, batch in ((1, 1), (8, 9)):
        with pytest.raises(DataError, match=r"too few for training\.batch"):
            plan_privacy(PrivacyConfig(epsilon=1.0, unit="user"), units=units, batch=batch, steps=10)


def test_without_opacus_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opacus.accountants", None)
    with pytest.raises(ConfigError, match=r"pip install 'atoll\[privacy\]'"):
        PLAN.epsilon(3)


def test_sequences_are_drawn_independently_with_the_planned_chance() -> None:
    rng = np.random.default_rng(0)
    taken = np.zeros((2000, 100))
    for row in taken:
        found = draw(PLAN, rng)
        assert (found.units == np.arange(len(found.sequences))).all()
        row[found.sequences] += 1
    assert taken.max() == 1
    assert abs(taken.mean() - 0.1) < 4 * math.sqrt(0.09 / taken.size)
    # The batch's size varies as a binomial does; a sampler of fixed batches would not.
    assert taken.sum(1).var() == pytest.approx(9, rel=0.15)
    assert draw(replace(PLAN, rate=0.0), rng).sequences.size == 0


def test_users_are_drawn_with_some_of_their_sequences() -> None:
    rng = np.random.default_rng(0)
    plan = replace(PLAN, unit="user", units=6, rate=0.5, per_user=3)
    users = np.array([40, 7, 40, 9, 40, 3, 40, 8, 7, 40, 1])
    seen: dict[int, set[int]] = {}
    times = np.zeros(11)
    for _ in range(600):
        found = draw(plan, rng, users)
        assert (np.diff(found.units) >= 0).all()
        assert (np.diff(found.units) <= 1).all()
        assert len(np.unique(found.sequences)) == len(found.sequences)
        for unit in np.unique(found.units):
            mine = found.sequences[found.units == unit]
            (user,) = set(users[mine])
            assert len(mine) == min(3, (users == user).sum())
            seen.setdefault(int(user), set()).update(mine.tolist())
        times[found.sequences] += 1
    assert seen == {int(user): set(np.flatnonzero(users == user).tolist()) for user in users}
    chance = np.where(users == 40, 0.5 * 3 / 5, 0.5)
    assert (np.abs(times / 600 - chance) < 4 * np.sqrt(chance * (1 - chance) / 600)).all()


def test_users_must_be_those_of_the_plan() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="2 users, but the plan is for 100"):
        draw(replace(PLAN, unit="user"), rng, np.array([1, 2, 1]))
    with pytest.raises(DataError, match="100 sequences"):
        draw(PLAN, rng, np.arange(100))
    with pytest.raises(DataError, match="not said whose"):
        draw(replace(PLAN, unit="user"), rng)


def test_randomness_is_the_owners_and_the_steps(tmp_path: Path) -> None:
    file = tmp_path / "work" / "secret"
    mine = owner_secret(file)
    assert owner_secret(file) == mine != owner_secret(tmp_path / "other")
    assert file.stat().st_mode & 0o777 == 0o600
    first = step_generator(mine, 3).random(4)
    assert (step_generator(mine, 3).random(4) == first).all()
    assert (step_generator(mine, 4).random(4) != first).all()
    assert (step_generator(b"x" * 32, 3).random(4) != first).all()
    file.write_bytes(mine[:7])
    with pytest.raises(DataError, match="damaged"):
        owner_secret(file)


@cache
def _plan(epsilon: float) -> PrivacyPlan:
    pytest.importorskip("opacus.accountants")
    return plan_privacy(PrivacyConfig(epsilon=epsilon, clip=0.5, chunk=100), units=300, batch=60, steps=30)


def _trained(epsilon: float, form: str, seed: int = 0) -> tuple[float, float]:
    """Loss on other sequences of the same law before and after a private training; tokens count upwards."""
    plan = _plan(epsilon)

    def samples(indices: Sequence[int]) -> Batch:
        ids = torch.stack([(torch.arange(6) + index) % 5 + 1 for index in indices])
        return Batch({"ids": ids}, {"ids": ids}, ids.numel(), 5 * len(ids))

    toy, data = _Toy(form), PrivateData(samples, _masked, _predicts)
    optimizer = torch.optim.Adam(toy.parameters.values(), lr=0.2)

    def loss() -> float:
        with torch.no_grad():
            batch = samples(range(300, 320))
            total, count = _masked(toy.model(**batch.inputs, use_cache=False).logits, batch.targets)
        return float(total) / count

    before = loss()
    for step in range(30):
        generator = step_generator(bytes([seed]) * 32, step)
        private_step(toy, optimizer, data, draw(plan, generator), plan, generator)
    return before, loss()


@pytest.mark.parametrize("form", ["linear", "flat"])
def test_it_learns_and_the_less_the_smaller_epsilon_is(form: str) -> None:
    before, kind = _trained(8.0, form)
    assert kind < 0.5 < 1.5 < before
    _, strict = _trained(0.05, form)
    assert strict > kind + 0.5


def test_the_secret_decides_and_nothing_else() -> None:
    first = _trained(8.0, "linear")
    assert _trained(8.0, "linear") == first != _trained(8.0, "linear", seed=1)


def test_bf16_is_of_the_model_alone() -> None:
    toy, data = _Toy(), _toy_data()
    exact, _ = clipped_gradients(toy, data, USERS, PLAN)
    rough, _ = clipped_gradients(toy, data, USERS, PLAN, precision="bf16")
    assert rough["w"].dtype == torch.float32
    assert not torch.equal(rough["w"], exact["w"])
    torch.testing.assert_close(rough["w"], exact["w"], rtol=0.05, atol=0.02)


def _calls(monkeypatch: pytest.MonkeyPatch, form: str) -> int:
    toy, calls = _Toy(form), 0
    plain: Callable[..., Any] = toy.model.forward

    def forward(**inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        return plain(**inputs)

    monkeypatch.setattr(toy.model, "forward", forward)
    clipped_gradients(toy, _toy_data(), SEQUENCES, replace(PLAN, chunk=100))
    return calls


def test_linear_modules_take_one_pass_and_others_one_for_each_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _calls(monkeypatch, "linear") == 1
    assert _calls(monkeypatch, "flat") == 1 + 7
