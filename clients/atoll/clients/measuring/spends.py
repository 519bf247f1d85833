"""What figures that were measured spend: those with noise that promises something, and those without."""

import hashlib
from collections.abc import Iterable

from atoll.clients.measuring.audit import AuditQuestion
from atoll.clients.measuring.budget import Spent, Version
from atoll.clients.measuring.figures import LOSS, SHARES, signal_weights
from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.clients.measuring.questions import Question
from atoll.clients.measuring.rounding import deviation
from atoll.clients.spending import Spend, gaussian

UNIT = "document"
"""One document of the split, or whatever is one person's, is replaced by another."""


def figure_spends(questions: Iterable[Question], version: Version, audit: AuditQuestion | None) -> list[Spend]:
    """One for each figure that was told. Equal ones have equal keys, so that the same figure costs nothing again.

    Every loss is the anchor's and a model's difference to it. The difference has noise of its own; the anchor's, which
    can be as large as a document likes, is told once for a version and has no promise.

    Args:
        questions: What was asked.
        version: On which documents, and what was told of them.
        audit: Of the training split, where one was done.
    """
    found = [Spend(what="measured: loss of the anchor, number of documents", key=f"{version.name}/anchor")]
    for question in questions:
        for name in question.figures:
            told = version.answers[question.key][name]
            if not isinstance(told, str) and (question.model or name != LOSS):
                found.append(_spend(question, name, version, len(told) if name == SHARES else 1))
    if audit is not None:
        found.append(Spend(what="measured: an audit", key=f"{audit.version.name}/{_digest(audit.key)}"))
    return found


def expected_spends(questions: Iterable[Question], spent: Spent, policy: MeasuringPolicy) -> list[Spend]:
    """The most that questions can spend which are not measured yet.

    Args:
        questions: With the figures that are wanted.
        spent: What the version will have told with them.
        policy: Their noise.
    """
    if not policy.noise:
        return []
    return [
        gaussian(
            f"measured: {name}", f"{question.key}/{name}", UNIT, deviation(spent.figures, policy) / weight, numbers
        )
        for question in questions
        for name, numbers in question.figures.items()
        if (question.model or name != LOSS) and (weight := signal_weights(name, 0))
    ]


def _spend(question: Question, name: str, version: Version, numbers: int) -> Spend:
    what = "measured: routing shares" if name == SHARES else f"measured: {name}"
    key = f"{version.name}/{_digest(question.key, name)}"
    noise = version.noises.get((question.key, name), 0.0)
    return gaussian(what, key, UNIT, noise, numbers) if noise and numbers else Spend(what=what, key=key)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
