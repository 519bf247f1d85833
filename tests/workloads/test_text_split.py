import hashlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import ConfigError, DataError
from atoll.workloads.text import TextConfig
from atoll.workloads.text.check import check
from atoll.workloads.text.split import Splitting, split_of
from atoll.workloads.workload import SPLITS

shares = st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)).filter(lambda pair: sum(pair) < 1)


@given(text=st.text(), shares=shares, salt=st.text(max_size=5), space=st.text(alphabet=" \n\t", max_size=3))
def test_only_the_text_decides(text: str, shares: tuple[float, float], salt: str, space: str) -> None:
    validation, test = shares
    split = split_of(text, validation=validation, test=test, salt=salt)
    assert split_of(space + text + space, validation=validation, test=test, salt=salt) == split
    place = int(hashlib.sha256(salt.encode() + b"\0" + text.strip().encode()).hexdigest()[:16], 16) / 2**64
    assert (split == "test") == (place < test)
    assert (split == "train") == (place >= test + validation)


@given(text=st.text(), first=shares, second=shares)
def test_the_share_of_validation_does_not_change_the_test(
    text: str, first: tuple[float, float], second: tuple[float, float]
) -> None:
    test = min(first[1], second[1])
    splits = {split_of(text, validation=validation, test=test) == "test" for validation in (first[0], second[0])}
    assert len(splits) == 1


def test_no_share_no_document() -> None:
    assert {split_of(str(number), validation=0, test=0) for number in range(1000)} == {"train"}


def test_shares_and_salt() -> None:
    def splits(salt: str) -> list[str]:
        return [split_of(f"document {number}", validation=0.1, test=0.2, salt=salt) for number in range(10_000)]

    counts = Counter(splits(""))
    assert counts["validation"] == pytest.approx(1000, abs=150)
    assert counts["test"] == pytest.approx(2000, abs=200)
    assert splits("") == splits("")
    assert splits("") != splits("other")


def test_known_values() -> None:
    # What a silo tested on must not change with a new version of Atoll.
    found = [split_of(f"document {number}", validation=0.25, test=0.25, salt="s") for number in range(12)]
    assert " ".join(found) == "test test validation test validation train train validation test test test validation"


def config(folder: Path, **values: object) -> TextConfig:
    return TextConfig(**{"paths": [str(folder)], "validation": 0.2, "test": 0.2, **values})  # type: ignore[arg-type]


def test_good_data_passes(folder: Path) -> None:
    check(config(folder))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"paths": []}, "paths is empty"),
        ({"format": "josnl"}, "format='josnl' is unknown: did you mean 'jsonl'"),
        ({"document": "line"}, "document='line' is unknown.*file, paragraphs"),
        ({"field": ""}, "field is empty"),
        ({"validation": -0.1}, "validation=-0.1 is not a share"),
        ({"test": 1.0}, "test=1.0 is not a share"),
        ({"test": float("nan")}, "test=nan is not a share"),
        ({"validation": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"paragraph_characters": 0}, "paragraph_characters=0"),
        ({"sequence_length": 1}, "sequence_length=1"),
        ({"paths": ["no/such/folder"]}, "'no/such/folder' does not exist"),
    ],
)
def test_values_that_make_no_sense(folder: Path, values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(config(folder, **values))


def test_an_empty_split_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a single document")
    with pytest.raises(DataError, match=r"empty split: \w+ has no documents, of 1 document found.*document=paragraphs"):
        check(config(tmp_path))


def test_a_split_without_a_share_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a single document")
    check(config(tmp_path, validation=0.0, test=0.0))


def test_files_without_text(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("\n")
    with pytest.raises(DataError, match=r"no readable document: the files in .* hold no text"):
        check(config(tmp_path))


KEYS = st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=0, max_size=40)
SHARES = st.sampled_from([(0.05, 0.05), (0.1, 0.0), (0.0, 0.1), (0.01, 0.3), (0.3, 0.01), (0.49, 0.49), (0.0, 0.0)])


def shared_out(keys: list[str], shares: tuple[float, float], salt: str = "") -> dict[str, set[str]]:
    splitting = Splitting.of(keys, validation=shares[0], test=shares[1], salt=salt)
    found: dict[str, set[str]] = {split: set() for split in SPLITS}
    for key in keys:
        found[splitting.split_of(key)].add(key.strip())
    return found


@given(KEYS, SHARES, st.text(max_size=3))
def test_no_split_that_has_a_share_is_empty_where_there_are_documents_enough(
    keys: list[str], shares: tuple[float, float], salt: str
) -> None:
    found = shared_out(keys, shares, salt)
    wanted = {"train"} | {name for name, share in zip(("validation", "test"), shares, strict=True) if share}
    if len(set(keys)) >= len(wanted):
        assert {split for split, held in found.items() if held} >= wanted
    assert not any(found[split] for split in set(SPLITS) - wanted), "and none without a share gets any"


@given(KEYS, SHARES)
def test_what_the_shares_fill_by_themselves_stays_as_it_was(keys: list[str], shares: tuple[float, float]) -> None:
    natural: dict[str, set[str]] = {split: set() for split in SPLITS}
    for key in keys:
        natural[split_of(key, validation=shares[0], test=shares[1])].add(key)
    wanted = {"train"} | {name for name, share in zip(("validation", "test"), shares, strict=True) if share}
    found = shared_out(keys, shares)
    if all(natural[split] for split in wanted):
        assert found == natural
    elif len(set(keys)) >= len(wanted):
        moved = sum(len(natural[split] - found[split]) for split in SPLITS)
        assert moved <= 2


@given(KEYS, st.text("ijkl", min_size=1, max_size=5), SHARES)
def test_one_more_document_moves_at_most_two_others(keys: list[str], more: str, shares: tuple[float, float]) -> None:
    before, after = shared_out(keys, shares), shared_out([*keys, more], shares)
    moved = {key for split in SPLITS for key in before[split] if key not in after[split]}
    assert len(moved) <= 2


def test_thirty_documents_have_all_splits_whatever_they_are() -> None:
    """Of thirty, four silos in ten had an empty split."""
    for silo in range(300):
        found = shared_out([f"{silo} {number}" for number in range(30)], (0.05, 0.05))
        assert all(found.values())
