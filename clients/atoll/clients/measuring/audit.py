"""An audit of privacy as a question: it needs the training split, so it has a budget and settings of its own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from atoll.clients.gate.policy import Policy, Refusal
from atoll.clients.measuring.budget import MeasuringBudget, Version
from atoll.clients.measuring.questions import Question
from atoll.clients.measuring.selection import settle_version
from atoll.federation.measuring import Measurement, MeasureUnit
from atoll.privacy.audit_config import AuditConfig

AUDIT = "audit"
"""The name of the versions that audits are counted on, and of what an audit told."""
_SKETCH = 5000
"""Training documents by which it is known whether the training split is the one that was audited before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditQuestion:
    """An audit that is allowed.

    Attributes:
        key: The same for equal audits.
        version: Of the training split.
        asked: The measurement whose model is audited.
        config: The settings, with what the node chooses itself.
        settings: Those that all audits of a version share, as text.
        answered: Whether it is known already.
        price: What it costs; 0 where it was charged before.
    """

    key: str
    version: Version
    asked: Measurement
    config: AuditConfig
    settings: str
    answered: bool
    price: int


def audit_question(
    unit: MeasureUnit,
    owner: str,
    policy: Policy,
    budget: MeasuringBudget,
    questions: Mapping[str, Question],
    documents: Sequence[str],
) -> AuditQuestion | None:
    """The audit that a unit asks for; ``None`` where the owner's expert does not answer in what it is of.

    Args:
        unit: With an audit.
        owner: Whose node it is.
        policy: The owner's rules.
        budget: What was measured so far.
        questions: The unit's, by the measurements' names.
        documents: Digests of the training split's records.

    Raises:
        Refusal: other settings than before, or a training split that has changed by too little.
    """
    assert unit.audit is not None
    question = questions.get(unit.audit.release)
    if question is None or question.asked.alone or owner not in (question.asked.entitlement or ()):
        return None
    version, frozen = settle_version(budget, AUDIT, documents, fewest=policy.min_documents, most=_SKETCH)
    # The seed chooses samples, and two choices that differ by one would tell of that one: it is the node's.
    config = replace(unit.audit, release=question.key, seed=0)
    settings = json.dumps({**asdict(config), "release": ""}, sort_keys=True)
    generator = "" if unit.replay is None else json.dumps(asdict(unit.replay), sort_keys=True)
    key = f"{question.key} {generator}"
    answered = AUDIT in version.answers.get(key, {})
    if not answered and frozen:
        raise Refusal(frozen)
    if version.settings and version.settings != settings:
        raise Refusal(
            "the training split was audited with other settings before, and the difference of two audits would tell of "
            f"the few samples that they differ by; ask with the same ones: {version.settings}"
        )
    return AuditQuestion(
        key=key,
        version=version,
        asked=question.asked,
        config=config,
        settings=settings,
        answered=answered,
        price=0 if AUDIT in version.charged.get(key, ()) else 1,
    )
