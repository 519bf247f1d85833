"""Papers on their way: whatever is done to one, it says what its signer said, or it is refused."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.errors import FederationError
from atoll.experts.signing import OwnerKey
from atoll.federation.handover import Enrolment, Invitation, Paper, Statement, paper_kind

KEY = OwnerKey.generate()
PAPERS: list[Paper] = [
    Invitation(public_key=KEY.public.hex, address="a:1", ca="PEM", anchor="m", anchor_digest="sha256:1").signed(KEY),
    Enrolment(public_key=KEY.public.hex, owner="clinic", domain="letters", node_key="PEM").signed(KEY),
    Statement(
        public_key=KEY.public.hex, owner="clinic", number=7, expert="", purposes=["a"], until="2031-01-01", words="ü"
    ).signed(KEY),
]
EVERY = pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: type(paper).__name__)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@EVERY
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_one_changed_byte_is_refused_or_changes_nothing(paper: Paper, data: st.DataObject) -> None:
    raw = bytearray(paper.to_json().encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    try:
        found = type(paper).from_json(raw.decode("utf-8", "replace"))
    except FederationError:
        return
    # What people do not read, such as spaces, may differ; what is said does not.
    assert {**asdict(found), "signature": ""} == {**asdict(paper), "signature": ""}


@EVERY
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_field_with_any_other_value_is_refused(paper: Paper, data: st.DataObject) -> None:
    said: dict[str, Any] = json.loads(paper.to_json())
    name = data.draw(st.sampled_from([each.name for each in fields(paper)] + ["paper", "one more"]))
    value = data.draw(JSON)
    if value != said.get(name, said):
        with pytest.raises(FederationError):
            type(paper).from_json(json.dumps({**said, name: value}))


@EVERY
def test_a_missing_field_is_refused(paper: Paper) -> None:
    said = json.loads(paper.to_json())
    for name in said:
        with pytest.raises(FederationError):
            type(paper).from_json(json.dumps({key: value for key, value in said.items() if key != name}))


@EVERY
def test_a_paper_that_says_it_is_another_is_refused(paper: Paper) -> None:
    for kind in (Invitation, Enrolment, Statement):
        if kind is not type(paper):
            with pytest.raises(FederationError):
                kind.from_json(paper.to_json())
            with pytest.raises(FederationError):
                kind.from_json(json.dumps({**json.loads(paper.to_json()), "paper": kind.__name__}))


@given(
    JSON.map(json.dumps)
    | st.text()
    | st.sampled_from(
        ["[" * 100_000, '{"paper":' * 50_000, "1" * 5000, '{"paper":"Statement","number":1e999}', "\ud800"]
    )
)
def test_hostile_text_is_refused_and_nothing_else_happens(text: str) -> None:
    for kind in (Invitation, Enrolment, Statement):
        with pytest.raises(FederationError):
            kind.from_json(text)


def test_words_that_cannot_be_written_down_are_refused() -> None:
    """Half of a pair of surrogates has no bytes: no file, log or ledger takes it."""
    odd = Statement(
        public_key=KEY.public.hex, owner="clinic", number=1, expert="", purposes=[], until=None, words="\ud800"
    ).signed(KEY)
    with pytest.raises(FederationError):
        Statement.from_json(odd.to_json())


@pytest.mark.parametrize("number", [0, -1])
def test_statements_count_from_one(number: int) -> None:
    """One without a number could be repeated by whoever kept it, after the owner has said otherwise."""
    odd = Statement(
        public_key=KEY.public.hex, owner="clinic", number=number, expert="", purposes=[], until=None, words=""
    ).signed(KEY)
    with pytest.raises(FederationError, match="number"):
        Statement.from_json(odd.to_json())


@EVERY
def test_files_come_back_and_say_what_they_are(paper: Paper, tmp_path: Path) -> None:
    paper.save(tmp_path / "paper.json")
    assert type(paper).load(tmp_path / "paper.json") == paper
    assert paper_kind(tmp_path / "paper.json") == type(paper).__name__


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"paper": "Statement"}'])
def test_odd_files_are_refused_by_name(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "paper.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FederationError, match=r"paper\.json"):
        Statement.load(path)
    assert paper_kind(path) in ("", "Statement")


def test_a_file_too_large_for_a_paper_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "paper.json"
    path.write_bytes(PAPERS[0].to_json().encode() + b" " * (1 << 20))
    with pytest.raises(FederationError, match="above the limit"):
        Invitation.load(path)
    assert paper_kind(path) == ""
