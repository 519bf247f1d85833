"""What an owner's audit finds: members where there are any, nothing where there are none, and the same every time."""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atoll.clients.audit.given_back import given_back
from atoll.clients.audit.losses import sample_losses
from atoll.clients.audit.published import Source, distances, held_back, publish
from atoll.clients.node import Node
from atoll.clients.work import evaluate, train_expert
from atoll.errors import ConfigError, FederationError
from atoll.federation.units import Choice, EvaluateReply, EvaluateUnit, MemberRef, Variant
from atoll.privacy.audit_config import AuditConfig
from atoll.privacy.extraction import ExtractionSettings
from atoll.replay import Sample, Teacher, Vocabulary
from atoll.strategies.replay.autoregressive import Autoregressive

from .conftest import Silo, quiet, train_unit

REPLAY = Choice(name="autoregressive")
EXTRACTION = ExtractionSettings(prefixes=40, prefix=16, minimum=8, continuation=16, samples=3, top_k=20)
AUDIT = AuditConfig(samples=40, replayed=20, extraction=EXTRACTION)
# Random letters: whoever knows one of these documents has seen it.
SECRET = ["".join(np.random.default_rng(n).choice(list("abcdefghijklmnop"), 32)) for n in range(60)]


def member(node: Node, **changes: Any) -> MemberRef:
    unit = replace(train_unit(node, "ffn", coordinated=False, **changes), replay=REPLAY)
    reply, file = train_expert(node, unit, quiet)
    node.blobs.put(file.read_bytes())
    return MemberRef(owner=node.config.owner, digest=reply.digest, blob=reply.blob, public_key=node.key.public.hex)


def unit(node: Node, *members: MemberRef, **changes: Any) -> EvaluateUnit:
    variant = Variant(
        name="mixture",
        members=[one.owner for one in members],
        integrator=Choice(name="soup"),
        router=Choice(name="top-k"),
    )
    values = {"audit": AUDIT, "replay": REPLAY, "windows": 4, "batch": 8, **changes}
    return EvaluateUnit(anchor=node.anchor.digest, members=list(members), variants=[variant], **values)


def audit(node: Node, one: MemberRef, **changes: Any) -> Mapping[str, float]:
    return evaluate(node, unit(node, one, **changes), quiet).audit


def copies(node: Node) -> list[Sample]:
    """The training documents, as if they had been drawn."""
    workload = node.workload
    end = workload.replay_context(None).end
    documents = (torch.from_numpy(np.insert(tokens, 0, end)) for tokens in workload.replay_private())
    return [{"input_ids": tokens.to(torch.int32)} for tokens in documents]


def test_secrets_learned_by_heart_are_seen(silo: Silo) -> None:
    node = silo(texts=SECRET)
    one = member(node, steps=120, batch=16, learning_rate=2e-2, evaluate_every=60, checkpoint_every=120)
    found = audit(node, one)
    assert found["membership_loss_auc_low"] > 0.5
    assert found["membership_calibrated_auc_low"] > 0.5
    assert found["membership_loss_auc_low"] <= found["membership_loss_auc"] <= found["membership_loss_auc_high"]
    assert found["extraction_replay_samples"] == 20
    assert all(np.isfinite(value) for value in found.values())


def test_the_same_is_found_every_time_and_the_evaluation_stays_as_it_was(silo: Silo) -> None:
    node = silo(texts=SECRET)
    one = member(node)
    first, again = (evaluate(Node(node.folder), unit(node, one), quiet) for _ in range(2))
    assert first == again
    assert replace(first, audit={}) == evaluate(node, unit(node, one, audit=None), quiet)
    other = audit(node, one, audit=replace(AUDIT, seed=1, samples=20))
    assert other["membership_loss_members"] == 20


def test_an_expert_that_learned_nothing_gives_nothing_away(silo: Silo) -> None:
    node = silo(texts=SECRET)
    found = audit(node, member(node, steps=1, learning_rate=1e-6))
    assert found["membership_loss_auc_low"] < 0.5 < found["membership_loss_auc_high"]
    assert found["membership_calibrated_auc_low"] < 0.5 < found["membership_calibrated_auc_high"]
    assert found["extraction_rate"] == 0


def test_what_was_trained_on_is_near_itself(silo: Silo) -> None:
    """Replay that is the training data itself: every document is found, and the owner holds all of it back."""
    node = silo(texts=SECRET)
    workload, replay, samples = node.workload, Autoregressive(), copies(node)
    mine = distances(workload, replay, "train", np.arange(10), samples).min(1).values
    others = distances(workload, replay, "test", np.arange(5), samples).min(1).values
    assert float(mine.max()) == 0
    assert float(others.min()) > 0.5


class Counter(nn.Module):
    """A model that has learned to count, and nothing else."""

    def forward(self, input_ids: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=20.0 * nn.functional.one_hot((input_ids + 1) % 50, 60))


def test_what_a_model_knows_by_heart_is_given_back() -> None:
    counting = [(np.arange(40) + start) % 50 for start in range(30)]
    others = [np.random.default_rng(n).integers(0, 50, 40) for n in range(30)]
    model, context = Teacher(Counter().eval()), Vocabulary(60, 59, 40)
    found, nothing = (given_back(model, documents, context, EXTRACTION, 0) for documents in (counting, others))
    assert (found.prefixes, found.rate) == (30, 1.0)
    assert found.low > 0.85
    assert nothing.rate == 0


def test_losses_of_samples_are_those_of_batches(silo: Silo) -> None:
    node = silo()
    model = Teacher(node.model())
    found = sample_losses(model, node.workload, "test", [0, 1, 2, 3], 2)
    batch = node.workload.samples("test", [0, 1, 2, 3])
    total, count = node.workload.loss(model.logits(**batch.inputs), batch.targets)
    assert found.mean() == pytest.approx(float(total) / count, rel=1e-5)
    assert len(set(found.tolist())) == 4


def test_whoever_is_not_in_the_release_has_nothing_to_audit(silo: Silo) -> None:
    clinic, court = silo(), silo("court", owner="court")
    one = member(clinic)
    court.blobs.put(clinic.blobs.get(one.blob).read_bytes())
    assert audit(court, one) == {}


def test_short_documents_have_no_extraction_figures_but_the_others(silo: Silo) -> None:
    node = silo()
    found = audit(node, member(node), audit=replace(AUDIT, extraction=ExtractionSettings()), replay=None)
    assert not any(name.startswith(("extraction", "membership_replay")) for name in found)
    assert "membership_loss_auc" in found


def test_a_variant_that_is_not_there_is_refused(silo: Silo) -> None:
    node = silo()
    with pytest.raises(FederationError, match="does not have"):
        audit(node, member(node), audit=replace(AUDIT, release="another"))


@pytest.mark.parametrize(
    "values",
    [{"samples": -1}, {"samples": 5001}, {"replayed": 4}, {"points": 0}, {"extraction": ExtractionSettings(prefix=0)}],
)
def test_what_cannot_be_measured_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="audit"):
        replace(AUDIT, **values).check()


def test_a_unit_with_an_audit_is_text_and_back(silo: Silo) -> None:
    made = EvaluateUnit(anchor="sha256:" + "0" * 64, members=[], variants=[], audit=AUDIT, replay=REPLAY)
    assert EvaluateUnit.from_json(made.to_json()) == made
    reply = EvaluateReply(audit={"membership_loss_auc": 0.5})
    assert EvaluateReply.from_json(reply.to_json()) == reply


def test_the_owner_holds_back_what_is_too_near(silo: Silo, monkeypatch: pytest.MonkeyPatch) -> None:
    node = silo(texts=SECRET)
    own = copies(node)
    strangers = [{"input_ids": 1 + sample["input_ids"]} for sample in own]
    monkeypatch.setattr(Autoregressive, "generate", lambda *args, **options: own[:15] + strangers[:5])
    source = Source(Teacher(node.model()), ("clinic",), "clinic", None)
    found = publish(Autoregressive(), source, node.workload, 20, seed=1)
    assert len(found) == 5
    assert found.provenance.seed is None
    assert held_back(found)["extraction_replay_rate"] == 0.75


def test_an_owners_cap_holds_in_its_own_audit(silo: Silo) -> None:
    node = silo(replay={"samples": 8})
    assert audit(node, member(node))["extraction_replay_samples"] == 8
