"""The scorecard of an exit, measured by the node of the owner that leaves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from flwr.app import ConfigRecord, Context, RecordDict
from typer.testing import CliRunner

from atoll.clients.app import app as client_app
from atoll.clients.audit.exit import measure_exit
from atoll.clients.audit.own_exit import ExitReleases, own_exit
from atoll.clients.commands import app
from atoll.clients.node import Node
from atoll.clients.work import train_expert
from atoll.coordinator.assemble import assemble
from atoll.coordinator.crew import EXIT
from atoll.errors import ConfigError, MixtureError
from atoll.federation.exit_unit import ExitUnit, ReleaseModel
from atoll.federation.messages import local_message
from atoll.federation.units import Choice, MemberRef
from atoll.privacy.scorecard import AFTER, BEFORE, NEVER_HAD
from atoll.privacy.unlearning_config import UnlearningConfig
from atoll.releases.trust import Trust
from atoll.testing import toy_image_anchor, toy_pictures

from .conftest import Silo, documents, quiet, train_unit

TEXT = ("loss", "zlib", "min_k", "min_k_plus_plus", "reference", "gradient")
PICTURES = ("loss", "reference", "gradient")
# Random letters: whoever knows one of these documents has seen it.
SECRET = ["".join(np.random.default_rng(n).choice(list("abcdefghijklmnop"), 32)) for n in range(90)]


def member(node: Node, at: Node, kind: str = "ffn", **changes: Any) -> MemberRef:
    """A node's expert, whose package is given to the node that measures."""
    changes = {"descriptor_counted": 0, "coordinated": False, **changes}
    reply, file = train_expert(node, train_unit(node, kind, **changes), quiet)
    at.blobs.put(file.read_bytes())
    return MemberRef(owner=node.config.owner, digest=reply.digest, blob=reply.blob, public_key=node.key.public.hex)


def unit(node: Node, own: MemberRef, other: MemberRef, **changes: Any) -> ExitUnit:
    """Before, under an entitlement without the owner, and never had it."""
    both = ReleaseModel(
        members=[own, other], integrator=Choice(name="flexolmo"), router=Choice(name="top-k", options={"k": 2})
    )
    models = {
        BEFORE: both,
        AFTER: replace(both, entitlement=[other.owner]),
        NEVER_HAD: replace(both, members=[other]),
    }
    return ExitUnit(
        anchor=node.anchor.digest,
        models=models,
        **{"scorecard": UnlearningConfig(documents=24, gradient="always"), **changes},
    )


def against(figures: dict[str, float], model: str) -> dict[str, float]:
    start = f"unlearning_{model}_"
    return {name.removeprefix(start): value for name, value in figures.items() if name.startswith(start)}


@pytest.mark.parametrize("kind", ["ffn", "lora"])
def test_who_leaves_a_mixture_leaves_no_trace_and_was_there_before(silo: Silo, kind: str) -> None:
    clinic, court = silo("clinic", texts=SECRET), silo("court", owner="court", texts=documents("court"))
    by_heart: dict[str, Any] = {
        "steps": 60,
        "batch": 16,
        "learning_rate": 3e-2,
        "evaluate_every": 60,
        "checkpoint_every": 60,
    }
    own, other = member(clinic, clinic, kind, patience=0, rank=16, **by_heart), member(court, clinic, kind, rank=16)
    found = measure_exit(clinic, unit(clinic, own, other), quiet).figures
    before, after, never = (against(found, model) for model in (BEFORE, AFTER, NEVER_HAD))
    assert after == never, "to the bit: nothing of the owner is in it"
    assert after["privacy_leakage"] == 0
    assert after["ks_p"] == 1
    assert {f"auc_{attack}" for attack in TEXT} < before.keys()
    assert "forget_quality" not in before
    assert before["forget_loss"] < after["forget_loss"] - 0.1
    assert before["privacy_leakage"] < -10
    assert before["auc_reference"] > 0.6
    assert before["ks_p"] < 0.01
    assert found["unlearning_forget"] == 24
    assert all(np.isfinite(value) for value in found.values())


def test_the_documents_are_the_nodes_choice_and_the_same_every_time(silo: Silo) -> None:
    clinic, court = silo("clinic", texts=SECRET), silo("court", owner="court", texts=documents("court"))
    asked = unit(clinic, member(clinic, clinic), member(court, clinic))
    first, again = (measure_exit(Node(clinic.folder), asked, quiet) for _ in range(2))
    assert first == again
    less = replace(asked, scorecard=UnlearningConfig(documents=5, gradient="never"))
    figures = measure_exit(clinic, less, quiet).figures
    assert figures["unlearning_holdout"] == 5
    assert not [name for name in figures if "gradient" in name]


def test_without_an_oracle_what_is_held_against_it_is_a_dash(silo: Silo) -> None:
    clinic, court = silo("clinic", texts=SECRET), silo("court", owner="court", texts=documents("court"))
    asked = unit(clinic, member(clinic, clinic), member(court, clinic), scorecard=UnlearningConfig(gradient="never"))
    models = {name: model for name, model in asked.models.items() if name != NEVER_HAD}
    figures = measure_exit(clinic, replace(asked, models=models), quiet).figures
    assert "unlearning_after_auc_min_k" in figures
    assert not [name for name in figures if name.endswith(("privacy_leakage", "ks_p"))]
    with pytest.raises(ConfigError, match="never_had"):
        measure_exit(clinic, replace(asked, models={"odd": asked.models[AFTER]}), quiet)


def test_a_node_says_which_experts_it_lacks(silo: Silo) -> None:
    clinic, court = silo("clinic", texts=SECRET), silo("court", owner="court", texts=documents("court"))
    own, other = member(clinic, clinic), member(court, court)
    reply = measure_exit(clinic, unit(clinic, own, other), quiet)
    assert (reply.missing, reply.figures) == ([other.blob], {})


def test_questions_beside_the_documents_give_a_forget_quality(silo: Silo) -> None:
    clinic, court = silo("clinic", texts=SECRET), silo("court", owner="court", texts=documents("court"))
    asked = [
        {
            "text": text,
            "question": text[:16],
            "paraphrased_answer": text[16:],
            "perturbed_answer": ["abc", "dcb", "ppp"],
        }
        for text in SECRET
    ]
    (clinic.folder / "notes.jsonl").write_text("".join(json.dumps(record) + "\n" for record in asked))
    by_heart: dict[str, Any] = {
        "steps": 60,
        "batch": 16,
        "learning_rate": 3e-2,
        "evaluate_every": 60,
        "checkpoint_every": 60,
    }
    own, other = member(clinic, clinic, patience=0, **by_heart), member(court, clinic)
    scorecard = UnlearningConfig(documents=24, gradient="never")
    found = measure_exit(clinic, unit(clinic, own, other, scorecard=scorecard), quiet).figures
    assert against(found, AFTER)["forget_quality"] == 1
    assert against(found, BEFORE)["forget_quality"] < 0.01


def test_a_question_without_answers_leaves_the_scorecard_out_and_not_the_exit(silo: Silo) -> None:
    clinic, court = silo("clinic", texts=SECRET), silo("court", owner="court", texts=documents("court"))
    records = [{"text": text, "question": "who?", "paraphrased_answer": "me"} for text in SECRET]
    (clinic.folder / "notes.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert measure_exit(clinic, unit(clinic, member(clinic, clinic), member(court, clinic)), quiet).figures == {}


def test_pictures_are_asked_by_loss_reference_and_gradient(tmp_path: Path) -> None:
    anchor = toy_image_anchor(tmp_path / "anchor")
    pictures = toy_pictures(tmp_path / "data", ("clinic", "court"), count=150)
    nodes = {}
    for owner, data in pictures.items():
        folder = tmp_path / owner
        folder.mkdir()
        shares = {"validation": 0.2, "test": 0.2}
        read = {"workload": "images", "paths": data.paths, "classes": data.classes, **shares}
        config = {"owner": owner, "domain": "scans", "data": read, "anchor": str(anchor.path), "device": "cpu"}
        (folder / "node.yaml").write_text(yaml.safe_dump(config))
        nodes[owner] = Node(folder)
    clinic, court = nodes["clinic"], nodes["court"]
    own, other = (member(node, clinic, steps=12, batch=16, learning_rate=3e-2) for node in (clinic, court))
    found = measure_exit(clinic, unit(clinic, own, other), quiet).figures
    before, after = against(found, BEFORE), against(found, AFTER)
    assert {name.removeprefix("auc_") for name in before if name.startswith("auc_")} == set(PICTURES)
    assert after == against(found, NEVER_HAD)
    assert (after["privacy_leakage"], after["ks_p"]) == (0, 1)
    assert before["forget_loss"] != after["forget_loss"]


def test_an_owner_measures_its_own_exit_from_releases_that_it_was_given(
    silo: Silo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command, with nobody asking; the anchor's folder is the node's."""
    monkeypatch.setenv("ATOLL_STATE", str(tmp_path / "state"))
    nodes = [silo("clinic", texts=SECRET), silo("court", owner="court", texts=documents("court"))]
    clinic = nodes[0]
    by_heart: dict[str, Any] = {"steps": 60, "batch": 16, "learning_rate": 3e-2, "evaluate_every": 60}
    files = []
    for node, changes in zip(nodes, ({**by_heart, "checkpoint_every": 60, "patience": 0}, {}), strict=True):
        unit = train_unit(node, "ffn", coordinated=False, descriptor_counted=0, **changes)
        files.append(train_expert(node, unit, quiet)[1])
    top = Choice(name="top-k", options={"k": 2})
    both, less = tmp_path / "both", tmp_path / "less"
    assemble(files, clinic.anchor, both, integrator=Choice(name="flexolmo"), router=top, keys={})
    assemble(files[1:], clinic.anchor, less, integrator=Choice(name="flexolmo"), router=top, keys={})
    asked = ["scorecard", str(clinic.folder), "--before", str(both), "--documents", "24", "--json"]
    masked, released = (CliRunner().invoke(app, asked + more) for more in ([], ["--after", str(less)]))
    assert (masked.exit_code, released.exit_code) == (0, 0), masked.output + released.output
    for result in (masked, released):
        figures = json.loads(result.stdout)
        assert against(figures, AFTER)["privacy_leakage"] == 0
        assert against(figures, AFTER)["ks_p"] == 1
        assert against(figures, BEFORE)["ks_p"] < 0.01
    with pytest.raises(MixtureError, match="has no expert of 'clinic'"):
        own_exit(clinic.folder, ExitReleases(less), UnlearningConfig(), Trust(older=True))
    with pytest.raises(MixtureError, match="still has an expert"):
        own_exit(clinic.folder, ExitReleases(both, after=both), UnlearningConfig(documents=4), Trust(older=True))


def test_the_worker_of_an_institutions_node_measures_no_exit(silo: Silo, tmp_path: Path) -> None:
    """Its gate asks for no such thing; should a message come there all the same, it is refused before data is read."""
    node = silo("clinic", texts=SECRET)
    message = local_message(1, 1, RecordDict({"unit": ConfigRecord({"json": "{}"})}), EXIT, 2, "", None)
    config: dict[str, Any] = {"folder": str(node.folder), "outgoing": str(tmp_path / "outgoing")}
    context = Context(run_id=1, node_id=2, node_config=config, state=RecordDict(), run_config={})
    reply = client_app(message, context)
    assert reply.has_error()
    assert "atoll node scorecard" in str(reply.error.reason)
