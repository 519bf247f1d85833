"""A node of pictures: experts of both kinds, with and without privacy, what is kept for replay, an audit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from atoll.clients.node import Node
from atoll.clients.work import evaluate, train_expert
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.privacy_config import PrivacyConfig
from atoll.federation.units import Choice, EvaluateUnit, MemberRef, Variant
from atoll.privacy.audit_config import AuditConfig
from atoll.testing import toy_image_anchor, toy_pictures
from atoll.workloads.classification import ClassList

from .conftest import quiet, train_unit

REPLAY = Choice(name="gaussian")


@pytest.fixture
def clinic(tmp_path: Path) -> Node:
    anchor = toy_image_anchor(tmp_path / "anchor")
    pictures = toy_pictures(tmp_path / "data", ("clinic",), count=150)["clinic"]
    data = {"workload": "images", "paths": pictures.paths, "classes": pictures.classes, "validation": 0.2, "test": 0.2}
    config = {
        "owner": "clinic",
        "domain": "scans",
        "data": data,
        "anchor": str(anchor.path),
        "device": "cpu",
        "replay": {"epsilon": 4.0, "samples": 30},
    }
    folder = tmp_path / "clinic"
    folder.mkdir()
    (folder / "node.yaml").write_text(yaml.safe_dump(config))
    return Node(folder)


def trained(node: Node, kind: str, **changes: Any) -> ExpertPackage:
    unit = train_unit(node, kind, descriptor_counted=0, steps=12, batch=16, patience=0, **changes)
    _, file = train_expert(node, replace(unit, replay=REPLAY), quiet)
    return read_package(file, trusted=node.key.public)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("ffn", {"coordinated": True}),
        ("ffn", {"coordinated": False}),
        ("lora", {"modules": ["gate_proj"]}),
    ],
)
def test_an_expert_of_either_kind_learns(clinic: Node, kind: str, changes: dict[str, Any]) -> None:
    package = trained(clinic, kind, learning_rate=3e-2, **changes)
    metrics = package.card.metrics
    assert metrics["validation_loss_expert"] < 0.8 * metrics["validation_loss_anchor"]
    assert package.card.workload == "images"
    assert package.card.sites == ("model.layers.0.mlp", "model.layers.1.mlp")


def test_what_is_kept_for_replay_is_noised_as_the_owner_says(clinic: Node) -> None:
    package = trained(clinic, "ffn", coordinated=False)
    assert package.prior is not None
    assert package.context is not None
    assert package.prior.epsilon == pytest.approx(4.0)
    assert package.prior.most == 30
    assert ClassList.from_bytes(package.context).names == ("top", "left", "middle")
    assert any("sum of the vectors of each class" in line and "sensitivity 32" in line for line in package.card.replay)


@pytest.mark.parametrize("coordinated", [True, False])
def test_an_expert_is_trained_with_differential_privacy(clinic: Node, coordinated: bool) -> None:
    pytest.importorskip("opacus.accountants", reason="private training needs Opacus")
    package = trained(clinic, "ffn", coordinated=coordinated, privacy=PrivacyConfig(epsilon=8.0))
    assert package.card.privacy is not None
    assert package.card.privacy.epsilon <= 8.0
    assert package.card.metrics == {}, "losses have no noise"


def test_an_audit_of_pictures_ends_with_figures(clinic: Node) -> None:
    unit = train_unit(clinic, "ffn", coordinated=False, descriptor_counted=0)
    reply, file = train_expert(clinic, replace(unit, replay=REPLAY), quiet)
    clinic.blobs.put(file.read_bytes())
    member = MemberRef(owner="clinic", digest=reply.digest, blob=reply.blob, public_key=clinic.key.public.hex)
    asked = EvaluateUnit(
        anchor=clinic.anchor.digest,
        members=[member],
        variants=[
            Variant(
                name="mixture",
                members=["clinic"],
                integrator=Choice(name="flexolmo"),
                router=Choice(name="domain"),
                entitlement=["clinic"],
            )
        ],
        split="test",
        windows=0,
        batch=16,
        audit=AuditConfig(samples=20, replayed=20),
        replay=REPLAY,
    )
    found = evaluate(clinic, asked, quiet)
    assert set(found.scores["mixture"]) >= {"accuracy", "brier", "ece"}
    assert 0 <= found.audit["membership_loss_auc"] <= 1
    assert "extraction_replay_rate" in found.audit
