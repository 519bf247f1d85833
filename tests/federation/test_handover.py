"""What people hand over says what its signer said, and nothing else."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import FederationError
from atoll.experts.signing import OwnerKey
from atoll.federation.handover import Enrolment, Invitation, Statement

KEY = OwnerKey.generate()
STATEMENT = Statement(
    public_key=KEY.public.hex, owner="clinic", number=1, expert="", purposes=[], until=None, words="we leave"
).signed(KEY)
ENROLMENT = Enrolment(public_key=KEY.public.hex, owner="clinic", domain="letters", node_key="PEM").signed(KEY)


def test_it_comes_back_as_it_was() -> None:
    assert Statement.from_json(STATEMENT.to_json()) == STATEMENT
    assert Enrolment.from_json(ENROLMENT.to_json()) == ENROLMENT


@pytest.mark.parametrize(
    ("field", "value"),
    [("owner", "court"), ("number", 2), ("expert", "x"), ("purposes", ["any"]), ("until", "2031-01-01"), ("words", "")],
)
def test_any_changed_field_is_found(field: str, value: object) -> None:
    changed = {**json.loads(STATEMENT.to_json()), field: value}
    with pytest.raises(FederationError, match="signature"):
        Statement.from_json(json.dumps(changed))


def test_another_key_cannot_sign_for_it() -> None:
    forged = Statement(**{**asdict(STATEMENT), "signature": ""}).signed(OwnerKey.generate())
    with pytest.raises(FederationError, match="signature"):
        Statement.from_json(forged.to_json())


def test_one_kind_does_not_pass_for_another() -> None:
    for kind in (Enrolment, Invitation):
        with pytest.raises(FederationError, match="no "):
            kind.from_json(STATEMENT.to_json())


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x)).map(json.dumps))
def test_noise_is_refused_and_nothing_else_happens(text: str) -> None:
    for kind in (Statement, Enrolment, Invitation):
        with pytest.raises(FederationError):
            kind.from_json(text)


def test_names_that_could_be_paths_are_refused() -> None:
    odd = Enrolment(public_key=KEY.public.hex, owner="../x", domain="d", node_key="k").signed(KEY)
    with pytest.raises(FederationError, match="owner's name"):
        Enrolment.from_json(odd.to_json())
