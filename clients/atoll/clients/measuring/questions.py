"""A unit's measurements as questions: equal questions are one, whatever they are called and in whatever order."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from atoll.clients.measuring.figures import LOSS, SHARES, score_names
from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.federation.measuring import Measurement, MeasureUnit


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One model on a data version.

    Attributes:
        key: The same for equal questions.
        asked: The measurement, named by the key, so that the worker need not know what the coordinator calls it.
        model: What the budget counts as a model; empty for the anchor.
        figures: How many numbers each wanted figure is, by name.
    """

    key: str
    asked: Measurement
    model: str
    figures: Mapping[str, int]


def questions_of(unit: MeasureUnit, owner: str, policy: MeasuringPolicy, metrics: Sequence[str]) -> dict[str, Question]:
    """Questions by the measurements' names; those that are not for this owner are left out.

    Args:
        unit: A checked unit.
        owner: Whose node it is.
        policy: What figures depend on; with other values they are other questions.
        metrics: Patterns of the figures that may be told.
    """
    may_share = bool(score_names([SHARES], metrics))
    found: dict[str, Question] = {}
    for asked in unit.measurements:
        meant = _canonical(unit, asked)
        if meant.alone and owner not in unit.candidate(meant.candidate).owners:
            continue
        content = [unit.anchor, meant.candidate, meant.entitlement, meant.baseline, meant.alone]
        raw = json.dumps([*content, policy.clip, policy.step, policy.step_documents, policy.noise]).encode()
        key = hashlib.sha256(b"atoll question 1" + raw).hexdigest()[:32]
        figures = {name: 1 for name in score_names(asked.scores, metrics) if name not in (LOSS, SHARES)}
        figures[LOSS] = 1
        if asked.shares and may_share and meant.candidate:
            figures[SHARES] = 1 + len(unit.candidate(meant.candidate).members)
        model = f"{meant.candidate} {meant.baseline}" if meant.candidate else ""
        found[asked.name] = Question(key=key, asked=replace(meant, name=key), model=model, figures=figures)
    return found


def merged(questions: Iterable[Question]) -> dict[str, Question]:
    """Questions by key; where one is asked twice, with all figures that are wanted of it."""
    found: dict[str, Question] = {}
    for question in questions:
        before = found.get(question.key, question)
        found[question.key] = replace(question, figures={**before.figures, **question.figures})
    return found


def _canonical(unit: MeasureUnit, asked: Measurement) -> Measurement:
    """The measurement in the one form that all equal ones have."""
    if not asked.candidate:
        return asked
    owners = unit.candidate(asked.candidate).owners
    allowed = owners if asked.entitlement is None else sorted(set(asked.entitlement))
    if not allowed:
        return Measurement(name=asked.name, scores=asked.scores)  # nobody may answer: the anchor, by itself
    return replace(asked, entitlement=None if asked.alone else allowed)
