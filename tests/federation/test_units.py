import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import ConfigError, FederationError
from atoll.experts.privacy_config import UNITS, PrivacyConfig
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.units import (
    Announcement,
    Choice,
    EvaluateReply,
    EvaluateUnit,
    MemberRef,
    TrainReply,
    TrainUnit,
    Unit,
    Variant,
)
from atoll.plugins import build

text = st.text(max_size=20)
numbers = st.floats(-1e15, 1e15)
whole = st.integers(0, 2**53)
counts = st.dictionaries(text, st.integers(0, 10**12), max_size=3)
choices = st.builds(
    Choice,
    name=text,
    options=st.dictionaries(text, st.one_of(text, numbers, st.just(float("-inf")), st.booleans()), max_size=3),
)
members = st.builds(MemberRef, owner=text, digest=text, blob=text, public_key=text)
variants = st.builds(
    Variant,
    name=text,
    members=st.lists(text, max_size=3),
    integrator=choices,
    router=choices,
    entitlement=st.none() | st.lists(text, max_size=3),
    alone=st.booleans(),
)
units: list[st.SearchStrategy[Unit]] = [
    st.builds(
        Announcement,
        owner=text,
        domain=text,
        licence=text,
        public_key=text,
        anchor=text,
        parameters=whole,
        documents=counts,
        tokens=counts,
        characters=counts,
        held=st.lists(text, max_size=3),
    ),
    st.builds(
        TrainUnit,
        anchor=text,
        expert=st.builds(ExpertConfig, rank=st.integers(1, 9), coordinated=st.booleans()),
        training=st.builds(TrainingConfig, steps=st.integers(1, 99), learning_rate=st.floats(1e-9, 1e3)),
        router=choices,
        embedder=text,
        descriptor_documents=st.integers(1, 99),
        descriptor_counted=st.integers(0, 99),
        seed=whole,
        privacy=st.builds(PrivacyConfig, epsilon=st.floats(0, 1e3), unit=st.sampled_from(UNITS)),
    ),
    st.builds(TrainReply, digest=text, blob=text, metrics=st.dictionaries(text, numbers, max_size=3)),
    st.builds(
        EvaluateUnit, anchor=text, members=st.lists(members, max_size=2), variants=st.lists(variants, max_size=2)
    ),
    st.builds(
        EvaluateReply,
        missing=st.lists(text, max_size=2),
        loss=st.dictionaries(text, numbers, max_size=3),
        tokens=whole,
        shares=st.dictionaries(text, st.dictionaries(text, numbers, max_size=2), max_size=2),
    ),
]


@given(unit=st.one_of(units))
def test_a_unit_reads_as_it_was_written(unit: Unit) -> None:
    again = type(unit).from_json(unit.to_json())
    assert again == unit
    assert again.to_json() == unit.to_json()


GOOD = EvaluateReply(loss={"mixture": 1.5}, tokens=9)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tokens": "nine"}, "EvaluateReply.tokens"),
        ({"tokens": True}, "EvaluateReply.tokens"),
        ({"loss": {"mixture": "low"}}, "EvaluateReply.loss.mixture"),
        ({"loss": [1.5]}, "EvaluateReply.loss"),
        ({"missing": "all"}, "EvaluateReply.missing"),
        ({"secrets": 1}, "unknown field 'secrets'"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(FederationError, match="a message is no EvaluateReply") as caught:
        EvaluateReply.from_json(json.dumps({**dataclasses.asdict(GOOD), **change}))
    assert told in str(caught.value)


@pytest.mark.parametrize("raw", ["", "[]", "null", '"text"', "{", "[" * 100_000])
def test_what_is_no_unit_at_all_is_refused(raw: str) -> None:
    with pytest.raises(FederationError, match="a message is no TrainReply"):
        TrainReply.from_json(raw)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(FederationError, match="anchor"):
        EvaluateUnit.from_json('{"members": [], "variants": []}')


def test_what_others_send_cannot_name_our_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2")
    trick = "${oc.env:PASSWORD}"
    assert TrainReply.from_json(json.dumps({"digest": trick, "blob": "b", "metrics": {}})).digest == trick
    with pytest.raises(ConfigError, match="plain values") as caught:
        build("atoll.routers", "top-k", {"k": trick})
    assert "hunter2" not in str(caught.value)
