"""Two data versions whose difference would tell of a few documents are not both measured."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.clients.conftest import documents
from tests.clients.measuring.conftest import Silo

from atoll.clients.gate.policy import Refusal
from atoll.clients.measuring.budget import MeasuringBudget, Spent
from atoll.clients.measuring.records import MeasureOrder
from atoll.clients.measuring.selection import choose_documents, settle_version
from atoll.workloads.text import Text
from atoll.workloads.text.split import split_of
from atoll.workloads.workload import Split, Workload

TEXTS = documents("clinic", 110)


def chosen(silo: Silo) -> set[str]:
    """What the last measurement rested on."""
    return set(MeasureOrder.from_json(silo.orders[-1]).documents)


def held_out(silo: Silo) -> list[str]:
    """The texts that are in the test split."""
    there = silo.node.workload
    return [text for text in TEXTS if in_split(there, text) == "test"]


def in_split(workload: Workload, text: str) -> Split:
    """Which split a document is in."""
    assert isinstance(workload, Text)
    config = workload.config
    return split_of(text, validation=config.validation, test=config.test, salt=config.salt)


def test_a_document_that_is_gone_cannot_be_told_from_the_difference(silo: Silo) -> None:
    one, two = silo.candidate(silo.noise("court", 1)), silo.candidate(silo.noise("yard", 2))
    before = silo.figures(silo.unit(one))
    target = held_out(silo)[0]
    silo.write([text for text in TEXTS if text != target])
    assert "fewer than the policy's min_documents" in silo.refused(silo.unit(two))
    assert silo.figures(silo.unit(one), call="again") == before, "what was told of the version before stays"
    assert silo.gate.works._measuring.budget.spent() == Spent(models=1, figures=1)


def test_documents_that_come_change_nothing_until_enough_have(silo: Silo) -> None:
    one, two, three = (silo.candidate(silo.noise(f"o{number}", number)) for number in range(3))
    silo.figures(silo.unit(one))
    first = chosen(silo)
    silo.write([*TEXTS, *(f"{text} and more" for text in held_out(silo)[:20])])
    silo.figures(silo.unit(two))
    assert chosen(silo) == first
    silo.write([*TEXTS, *documents("court", 110)])
    silo.figures(silo.unit(three))
    assert first < chosen(silo)
    assert len(chosen(silo) - first) >= silo.policy().min_documents


def test_the_budget_of_documents_that_stay_is_carried_over(silo: Silo) -> None:
    for number in range(4):
        silo.figures(silo.unit(silo.candidate(silo.noise(f"o{number}", number))))
    held = len(chosen(silo))
    silo.write([*TEXTS, *documents("court", 110)])
    silo.figures(silo.unit(silo.candidate(silo.noise("yard", 9))))
    share = held / len(chosen(silo))
    spent = silo.gate.works._measuring.budget.spent()
    assert spent.models == 1 + -(-4 * held // len(chosen(silo)))
    assert 0 < share < 1


def digests(first: int, last: int) -> list[str]:
    return [f"{number:064x}" for number in range(first, last)]


def test_a_version_near_to_any_earlier_one_is_refused(tmp_path: Path) -> None:
    """From A to B and back to A but for one document: its difference to A tells of that one."""
    budget = MeasuringBudget(tmp_path)
    rules = {"fewest": 20, "most": 100}
    first, _ = settle_version(budget, "test", digests(0, 60), **rules)
    second, frozen = settle_version(budget, "test", digests(20, 80), **rules)
    assert not frozen
    assert second.documents_set == frozenset(digests(20, 80))
    third, frozen = settle_version(budget, "test", digests(1, 60), **rules)
    assert "fewer than the policy's min_documents" in frozen
    assert third.name == second.name
    again, frozen = settle_version(budget, "test", digests(0, 60), **rules)
    assert (again.name, frozen) == (first.name, "")
    with pytest.raises(Refusal, match="min_documents"):
        settle_version(budget, "validation", digests(0, 19), **rules)


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)), min_size=2, max_size=8))
def test_no_two_versions_that_are_measured_differ_by_few(spans: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as folder:
        budget = MeasuringBudget(Path(folder))
        for begin, length in spans:
            try:
                settle_version(budget, "test", digests(begin, begin + length), fewest=20, most=64)
            except Refusal:
                continue
        sets = [each.documents_set for each in budget.versions]
        for number, one in enumerate(sets):
            assert len(one) >= 20
            for other in sets[:number]:
                assert max(len(one - other), len(other - one)) >= 20


def test_a_choice_depends_on_the_documents_alone() -> None:
    there = digests(0, 300)
    assert choose_documents(there, 64) == choose_documents([*reversed(there), *there], 64)
    assert len(choose_documents(there, 64)) == 64
