"""The node's account: signed, chained, composed by an accountant, and the ceiling holds before anything is trained."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from typer.testing import CliRunner

from atoll.clients.commands import app
from atoll.clients.gate.account import Account
from atoll.clients.gate.policy import Refusal
from atoll.clients.gate.training_policy import TrainingPolicy
from atoll.clients.owner_keys import OwnerKeys
from atoll.clients.spending import DP_SGD, LAPLACE, NO_PROMISE, Spend, gaussian, gaussian_epsilon, total
from atoll.clients.training.basis import TrainBasis
from atoll.errors import ConfigError
from atoll.experts.signing import OwnerKey
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.units import Choice, TrainUnit

KEY = OwnerKey.generate()
UNIT = TrainUnit(
    anchor="sha256:a",
    expert=ExpertConfig(),
    training=TrainingConfig(),
    router=Choice(name="top-k"),
    embedder="anchor-states",
    descriptor_documents=20,
    descriptor_counted=20,
    seed=0,
)
BASIS = TrainBasis(data="d" * 64, declared=True)
TABLE = Spend(what="prior", mechanism=LAPLACE, key="k", unit="document", epsilon=4.0)
BARE = Spend(what="weights", mechanism=NO_PROMISE, key="w")
RULES = TrainingPolicy(total_epsilon=10.0)


def table(key: str, epsilon: float = 4.0) -> Spend:
    return replace(TABLE, key=key, epsilon=epsilon)


def spend(account: Account, *spends: Spend, package: str = "", rules: TrainingPolicy = RULES) -> None:
    account.release(rules, UNIT, BASIS, package or "+".join(each.key for each in spends), spends)


def test_what_leaves_adds_up_over_restarts_and_the_same_costs_nothing(tmp_path: Path) -> None:
    spend(Account(tmp_path, KEY), table("one"), BARE)
    spend(Account(tmp_path, KEY), table("one"), BARE)
    spend(Account(tmp_path, KEY), table("one"), package="another package with the same table")
    assert Account(tmp_path, KEY).standing().total.epsilon == 4
    spend(Account(tmp_path, KEY), table("two", 5.0))
    standing = Account(tmp_path, KEY).standing()
    assert standing.total.epsilon == 9
    assert [each.what for each in standing.spends] == ["prior", "weights", "prior"]
    with pytest.raises(Refusal, match=r"total_epsilon 10"):
        spend(Account(tmp_path, KEY), table("three"))
    assert Account(tmp_path, KEY).standing().total.epsilon == 9


def test_the_ceiling_refuses_before_anything_is_trained(tmp_path: Path) -> None:
    account = Account(tmp_path, KEY)
    spend(account, table("one", 8.0))
    with pytest.raises(Refusal, match=r"would make it 12"):
        account.allow(RULES, replace(UNIT, seed=2), replace(BASIS, spends=[table("two")]), 20)
    account.allow(RULES, UNIT, replace(BASIS, spends=[table("one", 8.0)]), 20)
    with pytest.raises(Refusal, match="nan"):
        account.allow(RULES, replace(UNIT, seed=1), replace(BASIS, spends=[table("x", float("nan"))]), 20)


def test_renewing_trainings_gives_no_epsilon_back(tmp_path: Path) -> None:
    account = Account(tmp_path, KEY)
    account.allow(RULES, UNIT, BASIS, 20)
    spend(account, table("one"))
    account.renew()
    standing = account.standing()
    assert (standing.trainings, standing.total.epsilon) == ({}, 4)


Change = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [lines[0].replace(b"4.0", b"0.1"), *lines[1:]],
        lambda lines: lines[:-1],
        lambda lines: [],
        lambda lines: [b"{}", *lines[1:]],
    ],
    ids=["one taken out", "order", "repeated", "smaller", "end cut off", "emptied", "no entry"],
)
def test_a_change_of_the_account_is_detected_and_nothing_leaves(tmp_path: Path, change: Change) -> None:
    account, path = Account(tmp_path, KEY), tmp_path / "account.jsonl"
    for key in "abc":
        spend(account, table(key, 4.0 if key == "a" else 1.0))
    path.write_bytes(b"".join(line + b"\n" for line in change(path.read_bytes().splitlines())))
    with pytest.raises(ConfigError, match=r"account\.jsonl"):
        spend(Account(tmp_path, KEY), table("d", 0.1))


def test_entries_of_another_key_are_no_entries(tmp_path: Path) -> None:
    spend(Account(tmp_path, OwnerKey.generate()), table("a"))
    with pytest.raises(ConfigError, match="line 1"):
        Account(tmp_path, KEY).standing()


def test_the_account_goes_on_under_the_owners_next_key(tmp_path: Path) -> None:
    keys = OwnerKeys(tmp_path)
    keys.make()
    spend(Account(tmp_path, keys.current()), table("a"))
    keys.rotate("clinic")
    spend(Account(tmp_path, keys.current()), table("b"))
    assert Account(tmp_path, keys.current()).standing().total.epsilon == 8


def test_a_line_that_a_crash_cut_short_is_no_change(tmp_path: Path) -> None:
    spend(Account(tmp_path, KEY), table("a"))
    with (tmp_path / "account.jsonl").open("ab") as handle:
        handle.write(b'{"number": 2, "previo')
    spend(Account(tmp_path, KEY), table("b"))
    assert Account(tmp_path, KEY).standing().total.epsilon == 8


@given(st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 1e-3)), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_tables_compose_by_their_sums_in_any_order(pairs: Sequence[tuple[float, float]]) -> None:
    spends = [replace(table(str(n), e), delta=d) for n, (e, d) in enumerate(pairs)]
    found = total(spends)
    assert found.epsilon == pytest.approx(sum(e for e, _ in pairs))
    assert total(spends[::-1]).epsilon == pytest.approx(found.epsilon)
    assert total([*spends, *spends]).epsilon == found.epsilon


def test_many_trainings_are_composed_by_the_accountant() -> None:
    pytest.importorskip("opacus.accountants", reason="private training needs Opacus")
    steps = Spend(what="weights", mechanism=DP_SGD, epsilon=2.6, delta=1e-5, noise=1.0, rate=0.01, steps=1000)
    ten = [replace(steps, key=str(number)) for number in range(10)]
    found = total([*ten, table("t")])
    assert found.composition.startswith("Rényi")
    assert 4 < found.epsilon < 10 * steps.epsilon
    assert total(ten[:1]).epsilon == steps.epsilon


def test_figures_with_gaussian_noise_are_together_one_gaussian_mechanism(tmp_path: Path) -> None:
    figures = [gaussian("figures", str(number), "document", 10.0, 3) for number in range(4)]
    account = Account(tmp_path, KEY)
    for number, each in enumerate(figures):
        account.tell(RULES, str(number), [each])
    account.tell(RULES, "0", [figures[0]])
    account.tell(RULES, "the first once more, with another", [figures[0], gaussian("figures", "x", "document", 5.0)])
    found = account.standing().total
    assert found.epsilon == pytest.approx(gaussian_epsilon(math.sqrt(12 / 100 + 1 / 25)))
    assert found.epsilon < sum(each.epsilon for each in figures)
    assert found.delta == 1e-5


@pytest.mark.parametrize(("signal", "delta"), [(0.1, 1e-5), (1.0, 1e-5), (3.0, 1e-3), (20.0, 1e-5)])
def test_the_epsilon_of_gaussian_noise_is_the_least_that_holds(signal: float, delta: float) -> None:
    """Against the definition: δ is the largest excess of one density over e^ε times the other."""
    epsilon = gaussian_epsilon(signal, delta)
    x = np.linspace(-12, signal + 12, 400_001)
    with_it, without = norm.pdf(x, signal), norm.pdf(x)
    held = np.trapezoid(np.clip(with_it - math.exp(epsilon) * without, 0, None), x)
    assert held == pytest.approx(delta, rel=2e-3)


def test_what_anybody_could_have_guessed_costs_nothing() -> None:
    assert gaussian_epsilon(1e-6) == 0


def test_the_accountants_bound_is_above_the_exact_one(tmp_path: Path) -> None:
    pytest.importorskip("opacus.accountants", reason="private training needs Opacus")
    steps = Spend(what="weights", mechanism=DP_SGD, key="w", epsilon=2.0, delta=1e-5, noise=1.0, rate=0.01, steps=100)
    figures = gaussian("figures", "f", "document", 2.0)
    both = total([steps, figures]).epsilon
    assert figures.epsilon < both <= figures.epsilon + steps.epsilon


def test_the_owner_sees_and_renews(tmp_path: Path, anchor_folder: Path) -> None:
    from tests.clients.conftest import write_silo

    folder = write_silo(tmp_path / "node", anchor_folder)
    KEY.save(folder / "owner.key")
    (folder / "policy.yaml").write_text("coordinators: []\n")
    account = Account(folder, KEY)
    account.allow(RULES, UNIT, BASIS, 20)
    spend(account, TABLE, BARE)
    found = json.loads(CliRunner().invoke(app, ["budget", str(folder), "--json"]).stdout)
    assert found["privacy"]["epsilon"] == 4
    assert found["privacy"]["composition"] == "basic composition"
    assert found["trainings"] == {"most": 10, "used": {BASIS.data: 1}}
    assert {name: each[0] for name, each in found["measuring"]["test"].items()} == {
        "models": 0,
        "figures": 0,
        "audits": 0,
    }
    shown = CliRunner().invoke(app, ["budget", str(folder), "--renew", "trainings"]).stdout
    assert "no promise" not in shown
    assert "without a promise" in shown
    assert json.loads(CliRunner().invoke(app, ["budget", str(folder), "--json"]).stdout)["trainings"]["used"] == {}
    assert CliRunner().invoke(app, ["budget", str(folder), "--renew", "epsilon"]).exit_code != 0
    shutil.rmtree(folder)
