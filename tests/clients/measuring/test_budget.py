"""How often: a budget over all coordinators that outlives restarts and crashes, and that only the owner renews."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.clients.measuring.conftest import COORDINATOR, Silo

from atoll.clients.measuring.budget import NAME, MeasuringBudget, Spent
from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.experts.signing import OwnerKey
from atoll.federation.measuring import Measurement


def budget(silo: Silo) -> MeasuringBudget:
    """As anyone reads it from the folder."""
    return MeasuringBudget(silo.folder)


def test_models_and_figures_run_out_over_all_coordinators_and_restarts(silo: Silo) -> None:
    silo.measuring |= {"models": 2, "figures": 7}
    other = OwnerKey.generate()
    silo.rules["coordinators"] = [COORDINATOR.public.hex, other.public.hex]
    one, two = silo.candidate(silo.noise("court", 1)), silo.candidate(silo.noise("yard", 2), key=other)
    third = silo.candidate(silo.noise("port", 3))
    silo.figures(silo.unit(one))
    silo.restart()
    silo.figures(silo.unit(two), key=other)
    assert budget(silo).spent() == Spent(models=2, figures=2)
    assert "measuring.models" in silo.refused(silo.unit(third))
    silo.restart()
    assert "measuring.models" in silo.refused(silo.unit(third), key=other, call="again")
    shares = [Measurement(name="x", candidate=one.digest, shares=True)]
    silo.figures(silo.unit(one, measurements=shares))
    assert budget(silo).left(silo.policy().measuring) == Spent(models=0, figures=3, audits=2)
    four = [Measurement(name="x", candidate=two.digest, baseline="soup", shares=True)]
    assert "measuring" in silo.refused(silo.unit(two, measurements=four))
    before = budget(silo).spent()
    budget(silo).renew()
    silo.figures(silo.unit(third), call="later")
    assert before == Spent(models=2, figures=4)
    assert budget(silo).spent() == Spent(models=1, figures=1)


def test_what_a_unit_would_cost_too_much_costs_nothing(silo: Silo) -> None:
    silo.measuring["figures"] = 3
    one = silo.candidate(silo.noise("court", 1), silo.noise("yard", 2))
    asked = [Measurement(name="x", candidate=one.digest, shares=True)]
    assert "measuring.figures" in silo.refused(silo.unit(one, measurements=asked))
    assert budget(silo).spent() == Spent()


def test_equal_questions_are_answered_from_what_was_told(silo: Silo) -> None:
    """Under other names, in another order of members, signed by another coordinator, after restarts."""
    other = OwnerKey.generate()
    silo.rules["coordinators"] = [COORDINATOR.public.hex, other.public.hex]
    court, yard = silo.noise("court", 1), silo.noise("yard", 2)
    one, again = silo.candidate(court, yard), silo.candidate(yard, court, key=other)
    first = silo.figures(silo.unit(one, measurements=[Measurement(name="a", candidate=one.digest, shares=True)]))
    spent, orders = budget(silo).spent(), len(silo.orders)
    silo.restart()
    asked = [
        Measurement(name="b", candidate=one.digest, entitlement=["yard", "court"]),
        Measurement(name="c", candidate=one.digest, entitlement=["court", "court", "yard"], shares=True),
    ]
    second = silo.figures(silo.unit(again, measurements=asked), key=other)
    assert {*second.loss.values()} == {*first.loss.values()}
    assert second.shares["c"] == first.shares["a"]
    assert "b" not in second.shares
    assert budget(silo).spent() == spent
    assert len(silo.orders) == orders
    silo.figures(silo.unit(again, measurements=asked[::-1]), key=other)
    cheap = Measurement(name="e", candidate=one.digest, scores=["shares", "loss"])
    assert "e" not in silo.figures(silo.unit(again, measurements=[cheap]), key=other).shares, "shares cost what they do"
    assert budget(silo).spent() == spent
    more = [*asked, Measurement(name="d", candidate=one.digest, entitlement=["court"])]
    silo.figures(silo.unit(again, measurements=more), key=other)
    assert budget(silo).spent() == replace(spent, figures=spent.figures + 1)


def test_nothing_is_measured_where_the_charge_cannot_be_written(silo: Silo, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = silo.unit(silo.candidate(silo.noise("court", 1)))
    silo.figures(silo.unit(measurements=[Measurement(name="anchor")]))
    orders = len(silo.orders)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("atoll.clients.measuring.budget.write_all", full)
    taken: list[Any] = []
    monkeypatch.setattr(silo.gate.works, "_again", lambda each, note: taken.append(note))
    silo.ask(unit)
    assert "disk is full" in taken[0]
    assert len(silo.orders) == orders


def test_a_crash_between_charge_and_answer_charges_once(silo: Silo, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = silo.unit(silo.candidate(silo.noise("court", 1)))
    monkeypatch.setattr(MeasuringBudget, "keep", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        silo.ask(unit)
    monkeypatch.undo()
    assert budget(silo).spent() == Spent(models=1, figures=1), "it was charged before it was computed"
    silo.restart()
    silo.figures(unit)
    assert budget(silo).spent() == Spent(models=1, figures=1)


FIGURES, MODELS = {"q": {"loss": 1, "shares": 3}}, {"q": "candidate"}


def kept(folder: Path) -> MeasuringBudget:
    """With one charge and its answer."""
    made = MeasuringBudget(folder)
    version = made.begin("test", ["a", "b"])
    made.charge(version, FIGURES, MODELS, to="k")
    made.keep(version, {"q": {"loss": 1.5, "shares": {}}})
    return made


@pytest.mark.parametrize(
    "tail", [b'{"kind":"renewal"', b"\xff\x00\xfe", b'{"kind":"renewal","at"\n', b"{}\n[1]\n", b"\n"]
)
def test_a_damaged_tail_takes_nothing_back(tmp_path: Path, tail: bytes) -> None:
    spent = kept(tmp_path).spent()
    assert spent == Spent(models=1, figures=4)
    with (tmp_path / NAME).open("ab") as handle:
        handle.write(tail)
    made = MeasuringBudget(tmp_path)
    after = made.spent()
    assert after.models >= spent.models
    assert after.figures >= spent.figures
    made.charge(made.versions[0], {"r": {"loss": 1}}, {"r": "other"}, to="k")
    again = MeasuringBudget(tmp_path)
    assert again.spent().models > spent.models
    assert again.versions[0].answers["q"]["loss"] == 1.5
    assert again.price(again.versions[0], FIGURES, MODELS) == Spent()


@pytest.mark.parametrize("line", [1, 2])
def test_a_damaged_charge_counts_as_the_largest_that_there_was(tmp_path: Path, line: int) -> None:
    made = kept(tmp_path)
    made.charge(made.versions[0], {"r": {"loss": 1}}, {"r": "other"}, to="k")
    spent = made.spent()
    lines = (tmp_path / NAME).read_bytes().splitlines(keepends=True)
    lines.append(lines[-1].replace(b'"charge"', b'"ch@rge"'))
    (tmp_path / NAME).write_bytes(b"".join(lines))
    assert MeasuringBudget(tmp_path).spent() == spent + Spent(models=1, figures=4)


def test_a_file_that_becomes_shorter_is_no_renewal(tmp_path: Path) -> None:
    made = kept(tmp_path)
    (tmp_path / NAME).write_bytes(b"")
    with pytest.raises(Exception, match="shorter"):
        made.spent()


def test_renewing_from_another_process_is_seen_at_once(tmp_path: Path) -> None:
    made = kept(tmp_path)
    MeasuringBudget(tmp_path).renew()
    assert made.spent() == Spent()
    assert made.price(made.versions[0], FIGURES, MODELS) == Spent(), "what was told is told again for nothing"
    assert made.left(MeasuringPolicy(models=3)).models == 3
    assert all(json.loads(line)["kind"] for line in (tmp_path / NAME).read_text().splitlines())
