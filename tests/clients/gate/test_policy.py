"""What an institution does not allow, its node refuses, and says by which rule."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atoll.clients.gate.policy import Policy, Refusal
from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.errors import ConfigError
from atoll.experts.card import Consent, ExpertCard, Privacy
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.signing import OwnerKey
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.measuring import Measurement, MeasureUnit
from atoll.federation.units import Announcement, Choice, EvaluateReply, TrainUnit
from atoll.privacy.audit_config import AuditConfig
from atoll.replay import Declaration, Prior

KEY = OwnerKey.generate().public
ANCHOR = "sha256:" + "0" * 64
COUNTS = {"train": 100, "validation": 10, "test": 10}
SILO = Announcement(
    owner="clinic",
    domain="x",
    licence="x",
    public_key=KEY.hex,
    anchor=ANCHOR,
    parameters=1,
    documents=COUNTS,
    tokens=COUNTS,
    characters=COUNTS,
    held=[],
)
UNIT = TrainUnit(
    anchor=ANCHOR,
    expert=ExpertConfig(),
    training=TrainingConfig(steps=100),
    router=Choice(name="top-k"),
    embedder="anchor-states",
    descriptor_documents=10,
    descriptor_counted=10,
    seed=0,
)
CARD = ExpertCard(
    owner="clinic",
    domain="x",
    anchor=ANCHOR,
    kind="ffn",
    sites=("a.b",),
    targets=("a.b",),
    settings={},
    workload="text",
    documents=COUNTS,
    tokens=COUNTS,
    training={},
    metrics={"validation_loss_expert": 1.0},
    privacy=None,
    licence="x",
    consent=Consent(purposes=("any",), until=None, statement=""),
)


def policy(**rules: Any) -> Policy:
    made = Policy(coordinators=[KEY.hex], min_documents=10, **{"max_steps": 1000, **rules})
    made.check()
    return made


def test_what_is_allowed_passes() -> None:
    policy().allow_coordinator(KEY)
    policy().allow_training(UNIT, SILO)
    policy().allow_expert(CARD, has_shares=True, has_directions=True, prior=None, size=1000)


@pytest.mark.parametrize(
    ("rules", "key"),
    [
        ({"work": ["evaluate"]}, "work"),
        ({"workloads": []}, "workloads"),
        ({"kinds": ["lora"]}, "kinds"),
        ({"max_steps": 99}, "max_steps"),
        ({"descriptor": "nothing"}, "descriptor"),
        ({"descriptor": "statistics"}, "descriptor"),
        ({"privacy_required": True}, "privacy_required"),
    ],
)
def test_training_is_refused_by_its_rule(rules: dict[str, Any], key: str) -> None:
    with pytest.raises(Refusal, match=key):
        policy(**rules).allow_training(UNIT, SILO)


def test_too_few_documents_are_refused() -> None:
    few = replace(SILO, documents={**COUNTS, "train": 9})
    with pytest.raises(Refusal, match="min_documents"):
        policy().allow_training(UNIT, few)


@pytest.mark.parametrize(
    ("rules", "key"),
    [
        ({"kinds": ["lora"]}, "kinds"),
        ({"metrics": ["loss"]}, "metrics"),
        ({"descriptor": "statistics"}, "token shares"),
        ({"max_expert_bytes": 999}, "max_expert_bytes"),
        ({"privacy_required": True}, "privacy"),
    ],
)
def test_what_was_made_is_looked_at_too(rules: dict[str, Any], key: str) -> None:
    with pytest.raises(Refusal, match=key):
        policy(**rules).allow_expert(CARD, has_shares=True, has_directions=True, prior=None, size=1000)


def test_directions_are_told_where_the_policy_lets_them() -> None:
    told = {"has_shares": False, "has_directions": True, "prior": None, "size": 1}
    asked = replace(UNIT, descriptor_counted=0, descriptor_directions=8)
    policy(descriptor="directions").allow_expert(CARD, **told)  # type: ignore[arg-type]
    policy(descriptor="directions").allow_training(asked, SILO)
    with pytest.raises(Refusal, match=r"directions of the embeddings' variance.*descriptor\.directions=0"):
        policy(descriptor="statistics").allow_expert(CARD, **told)  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="directions of the embeddings' variance"):
        policy(descriptor="statistics").allow_training(asked, SILO)


def prior(**changes: Any) -> Prior:
    """One that the default policy lets out."""
    told = {"what": "x", "unit": "document", "units": 50, "smallest": 3.0, "sensitivity": 2.0, "epsilon": 2.0}
    most, parts = changes.pop("most", 5000), changes.pop("parts", 2)
    tensors = {f"t{part}": torch.ones(1) for part in range(parts)}
    declared = {name: Declaration(**{**told, **changes}) for name in tensors}
    return Prior(generator="autoregressive", settings={}, tensors=tensors, declared=declared, most=most)


@pytest.mark.parametrize(
    ("made", "rules"),
    [
        ({}, {}),
        ({"epsilon": None}, {"replay": "counts"}),
        ({"epsilon": 1.0, "smallest": 9.0, "most": 1}, {}),
        ({"parts": 0}, {"replay": "nothing"}),
        ({"parts": 4}, {"replay_epsilon": 8.0}),
        ({"delta": 0.019}, {}),
    ],
)
def test_a_prior_that_keeps_to_the_policy_may_leave(made: dict[str, Any], rules: dict[str, Any]) -> None:
    policy(**rules).allow_expert(CARD, has_shares=True, has_directions=True, prior=prior(**made), size=1)


@pytest.mark.parametrize(
    ("made", "rules", "key"),
    [
        ({}, {"replay": "nothing"}, "'nothing'"),
        ({"epsilon": None}, {}, "without noise"),
        ({"parts": 3}, {}, "replay_epsilon"),
        ({"delta": 0.02}, {}, "no promise to 50 documents"),
        ({}, {"replay": "counts", "replay_epsilon": 3.9}, "replay_epsilon"),
        ({"smallest": 2.0}, {}, "replay_smallest"),
        ({"most": 5001}, {}, "max_replay_samples"),
        ({"most": 0}, {}, "any number"),
        ({"parts": 0, "most": 0}, {"replay": "nothing"}, "any number"),
    ],
)
def test_a_prior_that_keeps_more_may_not(made: dict[str, Any], rules: dict[str, Any], key: str) -> None:
    with pytest.raises(Refusal, match=key):
        policy(**rules).allow_expert(CARD, has_shares=True, has_directions=True, prior=prior(**made), size=1)


@pytest.mark.parametrize(
    "rules", [{"replay": "all"}, {"replay_epsilon": 0.0}, {"replay_smallest": -1.0}, {"max_replay_samples": 0}]
)
def test_impossible_rules_for_replay_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(rules))):
        policy(**rules)


def test_privacy_counts_by_its_epsilon() -> None:
    strict = policy(privacy_required=True, max_epsilon=2.0)
    strict.allow_expert(
        replace(CARD, privacy=Privacy(epsilon=2.0, delta=1e-6)),
        has_shares=True,
        has_directions=True,
        prior=None,
        size=1,
    )
    with pytest.raises(Refusal, match="privacy"):
        strict.allow_expert(
            replace(CARD, privacy=Privacy(epsilon=2.1, delta=1e-6)),
            has_shares=True,
            has_directions=True,
            prior=None,
            size=1,
        )

    with pytest.raises(Refusal, match="no promise to 100 documents"):
        strict.allow_expert(
            replace(CARD, privacy=Privacy(epsilon=2.0, delta=0.01)),
            has_shares=True,
            has_directions=True,
            prior=None,
            size=1,
        )


@pytest.mark.parametrize("asked", [{}, {"delta": 1e-6}, {"epsilon": 0.5}])
def test_training_that_keeps_to_the_required_privacy_is_allowed(asked: dict[str, Any]) -> None:
    unit = replace(UNIT, privacy=PrivacyConfig(**{"epsilon": 2.0, **asked}))
    policy(privacy_required=True, max_epsilon=2.0).allow_training(unit, SILO)


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ({"epsilon": 2.1}, "max_epsilon"),
        ({"epsilon": float("inf")}, "max_epsilon"),
        ({"epsilon": float("nan")}, "privacy_required"),
        ({"epsilon": -1.0}, "privacy_required"),
        ({"delta": 0.01}, "no promise to 100 documents"),
        ({"delta": float("nan")}, "no promise to 100 documents"),
    ],
)
def test_training_that_would_spend_more_is_refused_before_it_begins(asked: dict[str, Any], key: str) -> None:
    unit = replace(UNIT, privacy=PrivacyConfig(**{"epsilon": 2.0, **asked}))
    with pytest.raises(Refusal, match=key):
        policy(privacy_required=True, max_epsilon=2.0).allow_training(unit, SILO)


@pytest.mark.parametrize("most", [0.0, -1.0, float("nan")])
def test_a_largest_epsilon_that_is_none_is_refused(most: float) -> None:
    with pytest.raises(ConfigError, match="max_epsilon"):
        policy(max_epsilon=most)


def test_figures_are_let_out_by_name() -> None:
    reply = EvaluateReply(loss={"all": 1.0}, tokens=1, shares={"all": {"anchor": 1.0}})
    policy().allow_figures(reply)
    with pytest.raises(Refusal, match="shares"):
        policy(metrics=["loss"]).allow_figures(reply)
    unit = MeasureUnit(anchor=ANCHOR, candidates=[], measurements=[Measurement(name="anchor")])
    policy().allow_measuring(unit)
    with pytest.raises(Refusal, match="loss"):
        policy(metrics=["accuracy"]).allow_measuring(unit)


def test_an_audit_is_let_out_by_name_and_rests_on_enough() -> None:
    asked = audit_unit(AuditConfig(release="anchor"))
    policy().allow_measuring(asked)
    policy().allow_figures(EvaluateReply(audit={"membership_loss_auc": 0.5, "extraction_rate": 0.0}))
    with pytest.raises(Refusal, match="membership_loss_auc"):
        policy(metrics=["loss"]).allow_measuring(asked)
    with pytest.raises(Refusal, match="extraction_rate"):
        policy(metrics=["loss"]).allow_figures(EvaluateReply(audit={"extraction_rate": 0.0}))
    with pytest.raises(Refusal, match="the audit would rest on 9"):
        policy().allow_measuring(audit_unit(AuditConfig(release="anchor", samples=9)))
    with pytest.raises(ConfigError, match="audit"):
        policy().allow_measuring(audit_unit(AuditConfig(release="anchor", samples=-1)))
    with pytest.raises(Refusal, match=r"measuring\.audits"):
        policy(measuring=MeasuringPolicy(audits=0)).allow_measuring(asked)


def audit_unit(config: AuditConfig) -> MeasureUnit:
    measurements = [Measurement(name="anchor")]
    return MeasureUnit(anchor=ANCHOR, candidates=[], measurements=measurements, audit=config)


@pytest.mark.parametrize(
    ("rules", "key"),
    [
        ({"splits": ["train"]}, "measuring.splits"),
        ({"splits": ["everything"]}, "measuring.splits"),
        ({"clip": 0.0}, "measuring.clip"),
        ({"clip": float("inf")}, "measuring.clip"),
        ({"step": float("nan")}, "measuring.step"),
        ({"models": -1}, "measuring.models"),
        ({"documents": 0}, "measuring.documents"),
    ],
)
def test_rules_for_measuring_that_cannot_be_are_refused(rules: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        policy(measuring=MeasuringPolicy(**rules))


def test_bytes_a_day() -> None:
    limited = policy(max_bytes_a_day=100)
    limited.allow_bytes(40, 60)
    with pytest.raises(Refusal, match="max_bytes_a_day"):
        limited.allow_bytes(41, 60)


def test_strangers_are_no_coordinators() -> None:
    with pytest.raises(Refusal, match="coordinators"):
        policy().allow_coordinator(OwnerKey.generate().public)


@pytest.mark.parametrize("text", ["18-06", "Mon-Frei 18:00-06:00", "Mon 25:00-26:00", "always", "Mon-Fri 18:00 06:00"])
def test_odd_hours_are_refused_when_they_are_read(text: str) -> None:
    with pytest.raises(ConfigError, match="hours"):
        policy(hours=[text])


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1))


@given(MOMENTS, st.times(), st.times())
def test_a_window_and_its_complement_are_all_of_time(moment: datetime, begin: Any, end: Any) -> None:
    one, other = (f"{a:%H:%M}-{b:%H:%M}" for a, b in ((begin, end), (end, begin)))
    if f"{begin:%H:%M}" != f"{end:%H:%M}":
        assert policy(hours=[one]).is_open(moment) != policy(hours=[other]).is_open(moment)


@given(MOMENTS)
def test_a_night_belongs_to_the_day_on_which_it_begins(moment: datetime) -> None:
    nights = policy(hours=["Mon-Fri 18:00-06:00"])
    begun = (moment - timedelta(hours=6)).weekday() if moment.hour < 6 else moment.weekday()
    assert nights.is_open(moment) == ((moment.hour >= 18 or moment.hour < 6) and begun < 5)


def test_without_hours_it_is_always_open() -> None:
    assert policy().is_open(datetime(2026, 11, 23, 12))
