"""An audit of privacy needs the training split: it has a policy line, a budget and a choice of samples of its own."""

import json
from dataclasses import replace

import pytest
from tests.clients.conftest import documents
from tests.clients.measuring.conftest import Silo, random_weights
from tests.clients.measuring.test_versions import in_split
from typer.testing import CliRunner

from atoll.clients.commands import app
from atoll.clients.measuring.audit import AUDIT
from atoll.clients.measuring.budget import MeasuringBudget, Spent
from atoll.clients.measuring.records import MeasureOrder
from atoll.config import to_commented_yaml
from atoll.experts.signing import OwnerKey
from atoll.federation.measuring import Measurement, MeasureUnit
from atoll.federation.units import MemberRef
from atoll.privacy.audit_config import AuditConfig
from atoll.privacy.extraction import ExtractionSettings

CONFIG = AuditConfig(
    release="it",
    samples=40,
    extraction=ExtractionSettings(prefixes=20, samples=1, prefix=4, minimum=4, continuation=4, top_k=2),
)


COURT = OwnerKey.generate()


def audit(silo: Silo, seed: int = 1, **changes: object) -> MeasureUnit:
    """Of a candidate that the clinic's own expert is in."""
    one = silo.candidate(own(silo, seed), silo.expert("court", random_weights(2, 0.5), COURT))
    asked = [Measurement(name="it", candidate=one.digest)]
    return silo.unit(one, measurements=asked, audit=replace(CONFIG, **changes))  # type: ignore[arg-type]


def own(silo: Silo, seed: int) -> MemberRef:
    return silo.expert("clinic", random_weights(seed, 0.3), silo.node.key)


def test_an_audit_is_rounded_answered_again_for_nothing_and_runs_out(silo: Silo) -> None:
    found = silo.figures(audit(silo)).audit
    assert 0 <= found["membership_loss_auc"] <= 1
    assert all(value * 20 == pytest.approx(round(value * 20)) for value in found.values())
    orders = len(silo.orders)
    assert silo.figures(audit(silo), call="again").audit == found
    assert len(silo.orders) == orders
    silo.figures(audit(silo, seed=2))
    assert MeasuringBudget(silo.folder).spent(AUDIT) == Spent(audits=2)
    silo.restart()
    assert "measuring.audits" in silo.refused(audit(silo, seed=3))


def test_the_seed_is_the_nodes(silo: Silo) -> None:
    one = audit(silo)
    first = silo.figures(one).audit
    orders = len(silo.orders)
    assert MeasureOrder.from_json(silo.orders[-1]).unit.audit is not None
    assert silo.figures(replace(one, audit=replace(CONFIG, seed=7))).audit == first
    assert len(silo.orders) == orders


def test_two_audits_do_not_differ_by_one_sample(silo: Silo) -> None:
    silo.figures(audit(silo))
    assert "other settings" in silo.refused(audit(silo, samples=41))
    more = replace(CONFIG.extraction, prefixes=21)
    assert "other settings" in silo.refused(audit(silo, seed=2, extraction=more))
    assert MeasuringBudget(silo.folder).spent(AUDIT) == Spent(audits=1)


def test_a_training_document_that_is_gone_cannot_be_told_from_two_audits(silo: Silo) -> None:
    silo.figures(audit(silo))
    there = silo.node.workload
    texts = documents("clinic", 110)
    target = next(text for text in texts if in_split(there, text) == "train")
    silo.write([text for text in texts if text != target])
    assert "fewer than the policy's min_documents" in silo.refused(audit(silo, seed=2))


def test_an_owner_may_allow_no_audit_and_others_are_not_audited(silo: Silo) -> None:
    silo.measuring["audits"] = 0
    assert "measuring.audits" in silo.refused(audit(silo))
    silo.measuring["audits"] = 1
    theirs = silo.candidate(silo.noise("court", 2))
    asked = [Measurement(name="it", candidate=theirs.digest)]
    assert silo.figures(silo.unit(theirs, measurements=asked, audit=CONFIG)).audit == {}
    assert MeasuringBudget(silo.folder).spent(AUDIT) == Spent()


def test_the_owner_sees_what_was_spent_and_renews_it(silo: Silo) -> None:
    """``atoll node budget``, as another process than the node's."""
    (silo.folder / "policy.yaml").write_text(to_commented_yaml(silo.policy()), encoding="utf-8")
    silo.measuring["models"] = 1
    silo.figures(audit(silo))
    assert "measuring.models" in silo.refused(audit(silo, seed=2))
    told = json.loads(CliRunner().invoke(app, ["budget", str(silo.folder), "--json"]).stdout)["measuring"]["test"]
    assert told == {"models": [1, 32], "figures": [1, 250], "audits": [1, 2]}
    done = CliRunner().invoke(app, ["budget", str(silo.folder), "--renew", "measuring", "--json"])
    assert done.exit_code == 0, done.output
    assert MeasuringBudget(silo.folder).spent() == Spent()
    silo.figures(audit(silo, seed=2), call="again")
