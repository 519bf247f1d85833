"""Splits of samples by what they hold or whose they are, and places of labels in a list of classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import DataError
from atoll.workloads.classification import ClassList, LabelledSamples
from atoll.workloads.classification.samples import Shares
from atoll.workloads.workload import SPLITS

SHARES = Shares(0.2, 0.2, "")


def samples(values: list[int], persons: list[int] | None = None) -> LabelledSamples:
    person = None if persons is None else np.array(persons, dtype=np.int64)
    return LabelledSamples(np.array(values, dtype=np.int64)[:, None], np.zeros(len(values), dtype=np.int64), person)


def where(there: LabelledSamples, shares: Shares = SHARES) -> dict[int, str]:
    """The split of each value; each is in one."""
    found: dict[int, str] = {}
    for split, part in there.splits("samples", shares).items():
        for value in set(part.values[:, 0].tolist()):
            assert value not in found, "copies of a sample are in two splits"
            found[value] = split
    return found


@given(values=st.lists(st.integers(0, 50), min_size=5), more=st.lists(st.integers(0, 50)))
def test_copies_stay_together_and_more_data_moves_nothing(values: list[int], more: list[int]) -> None:
    everything = list(range(200, 260)) + values
    before, after = where(samples(everything)), where(samples(everything + more))
    assert all(after[value] == split for value, split in before.items())
    assert set(before) == set(everything)


@given(persons=st.lists(st.integers(0, 30), min_size=40, max_size=40))
def test_all_of_a_person_is_in_one_split(persons: list[int]) -> None:
    whose = [*persons, *range(100, 160)]
    there = samples(list(range(len(whose))), whose).splits("samples", SHARES)
    held = [set(there[split].person.tolist()) for split in SPLITS]  # type: ignore[union-attr]
    assert sum(map(len, held)) == len(set.union(*held)) == len(set(whose))


def test_the_share_of_validation_does_not_change_what_is_tested_on() -> None:
    many = samples(list(range(300)))
    one, other = where(many), where(many, Shares(0.5, 0.2, ""))
    assert {v for v, split in one.items() if split == "test"} == {v for v, split in other.items() if split == "test"}
    assert where(many, Shares(0.2, 0.2, "salt")) != one


def test_labels_are_places_or_names() -> None:
    classes = ClassList(("cat", "dog"))
    assert classes.places([1, 0], "here").tolist() == [1, 0]
    assert classes.places(["dog", "cat"], "here").tolist() == [1, 0]
    assert classes.places(np.zeros(0, dtype=np.int64), "here").tolist() == []
    for wrong in ([2], [-1], ["Cat"]):
        with pytest.raises(DataError, match="here: there is a"):
            classes.places(wrong, "here")


@given(names=st.lists(st.text(min_size=1, max_size=9).filter(str.isprintable), min_size=2, max_size=9, unique=True))
def test_a_list_of_classes_survives_its_bytes(names: list[str]) -> None:
    classes = ClassList(tuple(names))
    assert ClassList.from_bytes(classes.to_bytes()) == classes
    assert classes.numbers.tolist() == list(range(len(names)))
