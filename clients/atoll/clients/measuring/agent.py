"""The agent's part of measuring: what may be asked, on which documents, at what cost, and what leaves of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from atoll.clients.gate.policy import Policy, Refusal
from atoll.clients.gate.training_policy import TrainingPolicy
from atoll.clients.measuring.audit import AUDIT, AuditQuestion, audit_question
from atoll.clients.measuring.budget import MeasuringBudget, Spent, Version
from atoll.clients.measuring.figures import (
    LOSS,
    SHARES,
    anchor_figure,
    audit_figures,
    loss_figure,
    loss_step,
    loss_weight,
    score_figure,
    share_figures,
    signal_weights,
)
from atoll.clients.measuring.questions import Question, merged, questions_of
from atoll.clients.measuring.records import MeasureOrder, MeasureRecords, RecordsAnswer, RecordsQuestion
from atoll.clients.measuring.rounding import Coarsening, deviation, node_secret
from atoll.clients.measuring.selection import settle_version
from atoll.clients.measuring.spends import expected_spends, figure_spends
from atoll.clients.spending import Spend
from atoll.errors import FederationError
from atoll.experts.package import verify_package
from atoll.experts.signing import PublicKey
from atoll.federation.blobs import BlobStore
from atoll.federation.measuring import MeasureUnit
from atoll.federation.units import EvaluateReply

RECORDS, MEASURE = "query.records", "evaluate"
"""Types of the messages to the worker."""

Send = Callable[[str, str], str]
"""Sends a message of a type to the worker; returns the content of its answer."""
Expect = Callable[[TrainingPolicy, Sequence[Spend]], None]
"""See :meth:`atoll.clients.gate.account.Account.expect`."""


class Measuring:
    """One node's. It trusts the worker with sums of single documents, and with nothing that leaves."""

    def __init__(self, folder: Path, owner: str, incoming: BlobStore, send: Send, expect: Expect) -> None:
        """Take up what was measured before.

        Args:
            folder: The node's.
            owner: Its owner.
            incoming: The experts that came.
            send: Reaches the worker.
            expect: Refuses what the privacy account has no room for.
        """
        self._expect = expect
        self._folder, self._owner, self._incoming, self._send = folder, owner, incoming, send
        self.budget = MeasuringBudget(folder)

    def answer(self, unit: MeasureUnit, policy: Policy) -> tuple[EvaluateReply, list[Spend]]:
        """The figures that a unit asks for, from what was told already where that is enough, and what they spend.

        Raises:
            Refusal: the policy does not allow it, or the budget is spent.
            AtollError: the worker failed.
            OSError: the charge cannot be written down, so nothing is measured.
        """
        policy.allow_measuring(unit)
        questions = questions_of(unit, self._owner, policy.measuring, policy.metrics)
        version, frozen = settle_version(
            self.budget,
            unit.split,
            self._documents(unit.split),
            fewest=policy.min_documents,
            most=max(policy.measuring.documents, policy.min_documents),
        )
        audit = None
        if unit.audit is not None and unit.audit.on:
            documents = self._documents("train")
            audit = audit_question(unit, self._owner, policy, self.budget, questions, documents)
        wanted = {key: question for key, question in merged(questions.values()).items() if _lacking(version, question)}
        if wanted and frozen:
            raise Refusal(frozen)
        if wanted or (audit is not None and not audit.answered):
            self._measure(unit, version, wanted, audit, policy)
        return _reply(questions, version, audit, policy), figure_spends(questions.values(), version, audit)

    def _documents(self, split: str) -> list[str]:
        question = RecordsQuestion(split=split)
        return RecordsAnswer.from_json(self._send(RECORDS, question.to_json())).digests

    def _measure(
        self,
        unit: MeasureUnit,
        version: Version,
        wanted: Mapping[str, Question],
        audit: AuditQuestion | None,
        policy: Policy,
    ) -> None:
        """Charge for what is not known yet, then measure it and write it down."""
        audit = audit if audit is not None and not audit.answered else None
        self._check_members(unit, policy)
        self._charge(unit, version, wanted, audit, policy)
        asked = {key: question.asked for key, question in wanted.items()}
        if audit is not None:
            asked.setdefault(audit.asked.name, audit.asked)
        order = MeasureOrder(
            unit=replace(unit, measurements=list(asked.values()), audit=audit.config if audit is not None else None),
            documents=list(version.documents),
            audit=audit is not None,
        )
        found = MeasureRecords.from_json(self._send(MEASURE, order.to_json()))
        count = len(version.documents)
        if any(len(rows) != count for rows in (found.anchor, *found.rows.values())):
            raise FederationError(f"the worker answered for other documents than the {count} that were chosen")
        coarse = Coarsening(
            policy=policy.measuring, secret=node_secret(self._folder), version=version.name, ranks=version.ranks
        )
        told = {key: _figures(each, version, found, coarse, policy) for key, each in wanted.items()}
        noises = {key: _noises(each, found.classes, version, key, policy) for key, each in told.items()}
        self.budget.keep(version, told, noises=noises)
        if audit is not None:
            audited = audit_figures(found.audit, policy.metrics, policy.min_documents, policy.measuring)
            self.budget.keep(audit.version, {audit.key: {AUDIT: audited}}, audit.settings)

    def _charge(
        self,
        unit: MeasureUnit,
        version: Version,
        wanted: Mapping[str, Question],
        audit: AuditQuestion | None,
        policy: Policy,
    ) -> None:
        """Write down what is about to be measured, where the budget reaches for all of it.

        Raises:
            Refusal: it does not.
        """
        figures = {key: question.figures for key, question in wanted.items()}
        models = {key: question.model for key, question in wanted.items() if question.model}
        price = self.budget.price(version, figures, models)
        _allow_spent(version.spent + price, price, policy)
        self._expect(policy.training, expected_spends(wanted.values(), version.spent + price, policy.measuring))
        asking = unit.candidates[0].public_key if unit.candidates else ""
        if audit is not None:
            _allow_spent(audit.version.spent + Spent(audits=audit.price), Spent(audits=audit.price), policy)
            self.budget.charge(audit.version, {audit.key: {AUDIT: 0}}, {}, to=asking, audits=audit.price)
        if figures:
            self.budget.charge(version, figures, models, to=asking)

    def _check_members(self, unit: MeasureUnit, policy: Policy) -> None:
        """What came is what the candidates name: the digest that is charged is that of what is measured.

        Raises:
            Refusal: another expert than the candidate names.
            PackageError: one that does not verify.
        """
        for member in {member.blob: member for each in unit.candidates for member in each.members}.values():
            found = verify_package(self._incoming.get(member.blob), trusted=PublicKey.from_hex(member.public_key))
            if (found.digest, found.card.owner, found.card.anchor) != (member.digest, member.owner, unit.anchor):
                raise Refusal(f"blob {member.blob[:19]} is not the expert of '{member.owner}' that is named")


def _noises(told: Mapping[str, Any], classes: int, version: Version, key: str, policy: Policy) -> dict[str, float]:
    """See :attr:`Version.noises`, of figures of one question."""
    found = {}
    for name in told:
        weights = signal_weights(name, classes)
        deviates = deviation(version.ranks.get((key, name), 0), policy.measuring)
        found[name] = deviates / weights if weights else 0.0
    return found


def _lacking(version: Version, question: Question) -> list[str]:
    told = version.answers.get(question.key, {})
    return [name for name in question.figures if name not in told]


def _figures(
    question: Question, version: Version, found: MeasureRecords, coarse: Coarsening, policy: Policy
) -> dict[str, Any]:
    """What is not known yet of a question, made of the records; a text in a figure's place says why there is none.

    Raises:
        FederationError: the worker left the measurement out.
    """
    if question.key not in found.rows:
        raise FederationError("the worker left a measurement out")
    lacking = _lacking(version, question)
    return {name: _figure(name, question, found, coarse, policy.min_documents) for name in lacking}


def _figure(name: str, question: Question, found: MeasureRecords, coarse: Coarsening, fewest: int) -> Any:
    rows = found.rows[question.key]
    if name == LOSS and not question.model:
        return anchor_figure(found.anchor, coarse)
    if name == LOSS:
        return loss_figure(rows, found.anchor, question.key, coarse)
    if name == SHARES:
        return share_figures(rows, found.slots.get(question.key, []), question.key, coarse)
    value, why = score_figure(name, rows, found.classes, question.key, coarse, fewest=fewest)
    return why if value is None else value


def _reply(
    questions: Mapping[str, Question], version: Version, audit: AuditQuestion | None, policy: Policy
) -> EvaluateReply:
    """What leaves, out of what was written down."""
    loss: dict[str, float] = {}
    scores: dict[str, dict[str, float]] = {}
    shares: dict[str, dict[str, float]] = {}
    left_out: dict[str, str] = {}
    weight = loss_weight(len(version.documents), policy.measuring)
    for name, question in questions.items():
        told = version.answers[question.key]
        loss[name] = told[LOSS]
        if question.figures.get(SHARES) and told[SHARES]:
            shares[name] = told[SHARES]
        for each in sorted(set(question.figures) - {LOSS, SHARES}):
            if isinstance(told[each], str):
                left_out[each] = told[each]
            else:
                scores.setdefault(name, {})[each] = told[each]
    return EvaluateReply(
        loss=loss,
        scores=scores,
        shares=shares,
        left_out=left_out,
        audit=dict(audit.version.answers[audit.key][AUDIT]) if audit is not None else {},
        documents=len(version.documents),
        step=loss_step(len(version.documents), policy.measuring),
        noise=weight * max(deviation(_rank(version, question), policy.measuring) for question in questions.values()),
    )


def _rank(version: Version, question: Question) -> int:
    return version.ranks.get((question.key, LOSS), 0) if question.model else 0


def _allow_spent(after: Spent, price: Spent, policy: Policy) -> None:
    """Raise Refusal where a price is above what the budget has left."""
    for name in ("models", "figures", "audits"):
        cost, limit = getattr(price, name), getattr(policy.measuring, name)
        if cost and getattr(after, name) > limit:
            raise Refusal(
                f"it would cost {cost} more {name}, {getattr(after, name)} of this data version in all; the policy's "
                f"measuring.{name} is {limit}. What was told is told again for nothing; only the owner renews "
                "the budget (atoll node budget FOLDER --renew measuring)"
            )
