"""Of a silo's text nothing leaves but weights, the descriptor and figures."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from atoll.clients.node import Node
from atoll.clients.work import evaluate, train_expert
from atoll.experts import archive
from atoll.experts.card import ExpertCard
from atoll.experts.package import read_package
from atoll.experts.signing import OwnerKey
from atoll.federation.units import Choice, EvaluateUnit, MemberRef, TrainReply, Variant
from atoll.privacy.audit_config import AuditConfig

from .conftest import Silo, documents, quiet, text_of, train_unit

LETTERS = 10
TOKENS = 6
DTYPES = ("uint8", "uint16", "int32", "int64", "float32", "float64")


def pieces(data: bytes, length: int) -> set[bytes]:
    return {data[start : start + length] for start in range(len(data) - length + 1)}


def traces(node: Node, sent: bytes) -> set[bytes]:
    """Pieces of the silo's documents that are in ``sent``, as text or as runs of token ids in any number format."""
    found: set[bytes] = set()
    letters = pieces(sent, LETTERS)
    for text in documents(node.config.owner):
        found |= pieces(text.encode(), LETTERS) & letters
    runs = []
    for split in ("train", "validation", "test"):
        ids = np.concatenate([text_of(node).window(split, i).numpy() for i in range(text_of(node).windows(split))])
        runs += [ids[start : start + TOKENS] for start in range(len(ids) - TOKENS + 1)]
    for dtype in DTYPES:
        size = TOKENS * np.dtype(dtype).itemsize
        there = pieces(sent, size)
        found |= {run.astype(dtype).tobytes() for run in runs if run.max() < 256 or dtype != "uint8"} & there
    found |= {bytes(str(run.tolist())[1:-1], "ascii") for run in runs} & pieces_of_lists(sent)
    return found


def pieces_of_lists(sent: bytes) -> set[bytes]:
    """Runs of numbers written as text."""
    words = sent.replace(b",", b" ").split()
    return {b", ".join(words[start : start + TOKENS]) for start in range(len(words))}


@pytest.mark.parametrize("kind", ["lora", "ffn"])
def test_no_text_and_no_tokens_are_in_a_reply_or_its_package(silo: Silo, kind: str) -> None:
    node = silo()
    reply, file = train_expert(node, train_unit(node, kind), quiet)
    assert not traces(node, reply.to_json().encode())
    assert not traces(node, file.read_bytes())


def test_the_search_finds_what_it_looks_for(silo: Silo) -> None:
    node = silo()
    text = documents("clinic")[3].encode()
    window = text_of(node).window("test", 0).numpy()
    noise = bytes(range(256)) * 9
    assert traces(node, noise + text[5:30] + noise)
    for dtype in DTYPES[1:]:
        assert traces(node, noise + window[3:20].astype(dtype).tobytes() + noise), dtype
    assert traces(node, json.dumps({"ids": [0, *window[3:20].tolist(), 0]}).encode())
    assert not traces(node, noise)


@pytest.mark.parametrize("kind", ["lora", "ffn"])
def test_a_package_holds_just_what_is_documented(silo: Silo, kind: str) -> None:
    node = silo()
    reply, file = train_expert(node, train_unit(node, kind), quiet)
    assert set(json.loads(reply.to_json())) == {"digest", "blob", "metrics", "missing"}
    assert reply.missing == []
    assert set(reply.metrics) == {"validation_loss_anchor", "validation_loss_expert"}
    members = archive.decode(file.read_bytes())
    weights = {"lora": {"adapter_model.safetensors", "adapter_config.json"}, "ffn": {"expert.safetensors"}}
    assert set(members) == {"card.yaml", "descriptor.safetensors", "signature.json", *weights[kind]}
    package = read_package(file, trusted=node.key.public)
    # The router is the coordinator's own word, of what it asked for.
    asked = {"router"} if package.card.settings.get("coordinated") else set()
    assert set(package.card.training) == {"steps", "best_step", "tokens_seen", "seed"} | asked
    assert package.card.metrics == reply.metrics
    assert {field.name for field in dataclasses.fields(TrainReply)} == {"digest", "blob", "metrics", "missing"}
    assert package.descriptor.samples <= 16
    card, counts = package.card, text_of(node).counts
    assert (card.owner, card.domain, card.licence) == ("clinic", "words of a clinic", "not stated")
    assert (card.workload, card.privacy) == ("text", None)
    assert card.documents == {split: count.documents for split, count in counts.items()}
    assert card.tokens == {split: count.tokens for split, count in counts.items()}


def test_no_path_and_no_name_of_the_machine_leaves(silo: Silo, tmp_path: Path, anchor_folder: Path) -> None:
    node = silo()
    reply, file = train_expert(node, train_unit(node), quiet)
    sent = reply.to_json().encode() + file.read_bytes()
    for path in (tmp_path, anchor_folder, Path.home()):
        assert str(path).encode() not in sent
    assert b"notes.jsonl" not in sent


def test_the_key_stays(silo: Silo) -> None:
    node = silo()
    _, file = train_expert(node, train_unit(node), quiet)
    secret = (node.folder / "owner.key").read_bytes()
    assert secret.splitlines()[1] not in file.read_bytes()
    key = node.key
    assert isinstance(key, OwnerKey)
    assert key._private.private_bytes_raw() not in file.read_bytes()


def test_evaluating_says_figures_only(silo: Silo) -> None:
    node = silo()
    trained, file = train_expert(node, train_unit(node, "ffn"), quiet)
    member = MemberRef(
        owner="clinic", digest=trained.digest, blob=node.blobs.put(file.read_bytes()), public_key=node.key.public.hex
    )
    mixture = Variant(
        name="mixture", members=["clinic"], integrator=Choice(name="flexolmo"), router=Choice(name="naive-bayes")
    )
    unit = EvaluateUnit(anchor=node.anchor.digest, members=[member], variants=[mixture], windows=3)
    found = evaluate(node, unit, quiet)
    fields = {"missing", "loss", "tokens", "scores", "shares", "audit", "documents", "step", "noise", "left_out"}
    assert set(json.loads(found.to_json())) == fields
    assert (found.scores, found.audit, found.left_out) == ({}, {}, {})
    assert (found.documents, found.step, found.noise) == (0, 0.0, 0.0), "it is exact, and of no node's gate"
    assert set(found.loss) == {"mixture"}
    assert set(found.shares["mixture"]) == {"anchor", "clinic"}
    assert not traces(node, found.to_json().encode())


def test_a_prior_holds_counts_and_says_so(silo: Silo) -> None:
    node = silo()
    unit = dataclasses.replace(train_unit(node, "ffn"), replay=Choice(name="autoregressive"))
    _, file = train_expert(node, unit, quiet)
    assert not traces(node, file.read_bytes())
    package = read_package(file, trusted=node.key.public)
    assert package.prior is not None
    assert set(package.prior.tensors) <= {"first_token", "length"}
    assert all(declared.epsilon is not None for declared in package.prior.declared.values())
    assert package.card.replay == package.prior.lines()


def test_an_audit_says_numbers_only(silo: Silo) -> None:
    node = silo()
    trained, file = train_expert(node, train_unit(node, "ffn"), quiet)
    member = MemberRef(
        owner="clinic", digest=trained.digest, blob=node.blobs.put(file.read_bytes()), public_key=node.key.public.hex
    )
    mixture = Variant(name="mixture", members=["clinic"], integrator=Choice(name="soup"), router=Choice(name="top-k"))
    unit = EvaluateUnit(
        anchor=node.anchor.digest,
        members=[member],
        variants=[mixture],
        windows=3,
        audit=AuditConfig(samples=20, replayed=5),
        replay=Choice(name="autoregressive"),
    )
    found = evaluate(node, unit, quiet)
    assert {name.split("_")[0] for name in found.audit} == {"membership", "extraction"}
    assert {type(value) for value in found.audit.values()} == {float}
    assert not traces(node, found.to_json().encode())


def test_the_card_has_no_field_that_nobody_looked_at() -> None:
    """A new field of the card must be looked at here: may it leave?"""
    assert {field.name for field in dataclasses.fields(ExpertCard)} == {
        *("format", "owner", "domain", "anchor", "kind", "sites", "targets", "settings", "workload"),
        *("documents", "tokens", "training", "metrics", "privacy", "licence", "consent"),
        *("predecessor", "forgotten"),  # digest of an earlier expert of the owner's, and a number of records
        *("replay", "audit"),  # what the prior declares, in words; figures, and only beside a release
    }
