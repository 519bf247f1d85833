"""The audit of trajectories speaks of people, and says whose the generated ones are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from atoll.clients.audit.published import distances, replayed_traces, traces
from atoll.clients.node import Node
from atoll.clients.work import evaluate, train_expert
from atoll.experts.package import read_package
from atoll.federation.units import Choice, EvaluateUnit, MemberRef, Variant
from atoll.privacy.audit_config import AuditConfig
from atoll.privacy.uniqueness import matches
from atoll.replay import Sample
from atoll.strategies.replay.movegcl import MoveGCL
from atoll.testing import toy_mobility_anchor
from atoll.workloads.mobility import Mobility

from .conftest import quiet, train_unit

REPLAY = Choice(name="movegcl")


@pytest.fixture
def town(tmp_path: Path) -> Node:
    """A node of sixty generated people in a town of forty places."""
    anchor = toy_mobility_anchor(tmp_path / "mobility")
    generator = {"users": 60, "days": 6, "locations": 40}
    data = {"workload": "mobility", "format": "generated", "city": "Town", "generator": generator, "test": 0.3}
    config = {
        "owner": "town",
        "domain": "walks",
        "data": data,
        "anchor": str(anchor.path),
        "device": "cpu",
        "replay": {"samples": 30},
    }
    folder = tmp_path / "town"
    folder.mkdir()
    (folder / "node.yaml").write_text(yaml.safe_dump(config))
    return Node(folder)


def walks(node: Node) -> Mobility:
    assert isinstance(node.workload, Mobility)
    return node.workload


def copies(there: Mobility, count: int) -> list[Sample]:
    """Training trajectories, as if they had been drawn."""
    found: list[Sample] = []
    for index in range(count):
        window = there.trajectories("train").window(index)
        found.append({name: torch.from_numpy(getattr(window, name).copy()) for name in ("location", "day", "slot")})
    return found


def test_an_audit_of_trajectories_counts_people(town: Node) -> None:
    unit = train_unit(town, "ffn", coordinated=False, last_layers=1, descriptor_counted=0)
    reply, file = train_expert(town, replace(unit, replay=REPLAY), quiet)
    town.blobs.put(file.read_bytes())
    package = read_package(file, trusted=town.key.public)
    assert package.prior is not None
    assert package.context is not None
    key = town.key.public.hex
    member = MemberRef(owner="town", digest=reply.digest, blob=reply.blob, public_key=key)
    variant = Variant(name="mixture", members=["town"], integrator=Choice(name="soup"), router=Choice(name="top-k"))
    asked = EvaluateUnit(
        anchor=town.anchor.digest,
        members=[member],
        variants=[variant],
        windows=4,
        audit=AuditConfig(samples=200, replayed=40),
        replay=REPLAY,
    )
    found = evaluate(town, asked, quiet).audit
    persons = walks(town).persons("test")
    assert found["membership_loss_non_members"] == found["membership_replay_non_members"] == len(np.unique(persons))
    assert found["extraction_replay_samples"] == 30
    assert 0 <= found["uniqueness_generated_unique"] <= found["uniqueness_generated_matched"] <= 1
    assert found["uniqueness_baseline_trajectories"] > 0
    assert not any(name.startswith("extraction_held_out") for name in found)


def test_copies_of_trajectories_are_seen_for_what_they_are(town: Node) -> None:
    there = walks(town)
    samples = copies(there, 12)
    near = distances(there, MoveGCL(), "train", np.arange(12), samples)
    assert float(near.diagonal().max()) == 0
    found = matches(replayed_traces(samples), traces(there.trajectories("train")), 0)
    assert (found[found >= 0] >= 1).all()
    assert (found >= 0).any()
