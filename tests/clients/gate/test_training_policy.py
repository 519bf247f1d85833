"""A training is a question too: what its package rests on, how many there may be, and what they spend."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clients.conftest import documents, text_of, train_unit, write_silo

from atoll.clients.gate.account import Account
from atoll.clients.gate.offline import train_offline
from atoll.clients.gate.policy import Policy, Refusal
from atoll.clients.gate.setup import NodeFolder
from atoll.clients.gate.works import Works
from atoll.clients.node import Node
from atoll.clients.training.basis import training_basis
from atoll.clients.work import plan_training
from atoll.errors import ConfigError
from atoll.experts.card import ExpertCard
from atoll.experts.privacy_config import PrivacyConfig
from atoll.federation.progress import Progress
from atoll.federation.talk import DONE, FAILED, REFUSED, WORKING, Work, WorkReply
from atoll.federation.units import TrainUnit
from atoll.mixture import Descriptor

DOCUMENTS = 400
ENOUGH = ["training.steps=8", "training.batch=8", "training.evaluate_every=8", "training.validation_windows=0"]
Silo = Callable[..., Node]


@pytest.fixture
def silo(tmp_path: Path, anchor_folder: Path) -> Silo:
    """A node's folder with many documents, a key, and the default policy but for what a test changes."""

    def made(name: str = "node", texts: list[str] | None = None, **rules: Any) -> Node:
        folder = write_silo(tmp_path / name, anchor_folder, texts=texts or documents("clinic", DOCUMENTS))
        node = Node(folder)
        (folder / "policy.yaml").write_text(yaml.safe_dump({"coordinators": [node.key.public.hex], **rules}))
        return node

    return made


def trained(node: Node, *overrides: str) -> Path:
    plain = ["expert.kind=lora", "expert.rank=2", "descriptor.documents=60", "descriptor.counted=60"]
    return train_offline(node.folder, [*plain, *ENOUGH, *overrides])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("training.steps=1", "training.batch=1", "training.clip=0"), "training.clip"),
        (("training.steps=1", "training.batch=1"), "min_documents"),
        (("training.clip=0",), "training.clip"),
        (("training.clip=1e-9",), "training.min_clip"),
        (("training.steps=100000", "training.batch=100000"), "max_samples"),
        (("training.steps=64", "training.batch=1", "training.evaluate_every=1"), "min_documents"),
        (
            ("training.warmup=0", "training.schedule=constant", "training.learning_rate=1", "training.weight_decay=1"),
            "max_share",
        ),
        (("descriptor.documents=1",), "the descriptor would rest on fewer"),
        (("descriptor.counted=3",), "token shares would rest on fewer"),
        (
            ("descriptor.documents=1", "descriptor.counted=3", "training.validation_windows=1"),
            "the descriptor would rest on fewer",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_package_that_rests_on_few_documents_is_refused_before_training(
    silo: Silo, overrides: tuple[str, ...], says: str
) -> None:
    node = silo()
    with pytest.raises(Refusal, match=says):
        trained(node, *overrides)
    assert not list(node.folder.glob("work/*")), "it was trained all the same"
    assert not (node.folder / "account.jsonl").exists(), "a refused training was counted"


def test_one_large_document_may_not_make_most_of_the_updates(silo: Silo) -> None:
    book = " ".join(documents("court", 300))
    with pytest.raises(Refusal, match="max_share"):
        trained(silo(texts=[*documents("clinic", DOCUMENTS), *[f"{number} {book}" for number in range(3)]]))


def test_losses_of_few_documents_neither_choose_nor_leave(silo: Silo) -> None:
    card = ExpertCard.from_yaml((trained(silo(), "training.validation_windows=1") / "card.yaml").read_bytes())
    assert card.metrics == {}
    assert card.training["best_step"] == card.training["steps"]


def test_shares_are_told_of_tokens_that_enough_documents_hold(silo: Silo) -> None:
    """An exact count of a token that three documents hold gives them away."""
    node = silo()
    shares = Descriptor.from_bytes((trained(node) / "descriptor.safetensors").read_bytes()).unigram
    assert shares is not None
    held = np.zeros(len(shares), dtype=np.int64)
    for ids, mask in text_of(node).descriptor_batches(60, 8, 1024):
        for row, kept in zip(ids, mask, strict=True):
            held[np.unique(row[kept].numpy())] += 1
    assert set(np.flatnonzero(shares.numpy())) == set(np.flatnonzero(held >= 20))
    assert ((held > 0) & (held < 20)).any(), "there was nothing to hide"


def test_figures_in_the_card_are_rounded(silo: Silo) -> None:
    metrics = ExpertCard.from_yaml((trained(silo()) / "card.yaml").read_bytes()).metrics
    assert metrics
    assert all(round(value, 3) == value for value in metrics.values())


def test_trainings_are_counted_over_all_units_and_the_same_costs_nothing(silo: Silo) -> None:
    node = silo(training={"trainings": 2})
    for seed in (1, 2, 1, 2):
        trained(node, f"seed={seed}")
    with pytest.raises(Refusal, match=r"training\.trainings"):
        trained(node, "seed=3")
    assert list(Account(node.folder, node.key).standing().trainings.values()) == [2]
    Account(node.folder, node.key).renew()
    trained(node, "seed=3")
    assert list(Account(node.folder, node.key).standing().trainings.values()) == [1]


@pytest.mark.parametrize(
    "other", ["descriptor.documents=61", "descriptor.counted=61", "training.validation_windows=40"]
)
def test_two_samples_that_differ_by_a_document_are_refused(silo: Silo, other: str) -> None:
    node = silo()
    trained(node, "training.validation_windows=50")
    with pytest.raises(Refusal, match="two samples"):
        trained(node, "training.validation_windows=50", other, "seed=9")
    trained(node, "training.validation_windows=50", "seed=9")


def test_two_versions_that_differ_by_few_documents_are_refused(silo: Silo) -> None:
    """Descriptors of all documents, with one and without it: the difference of the means is that one's."""
    node = silo()
    trained(node)
    more = [*documents("clinic", DOCUMENTS), *(f"another record {number} of the same ward" for number in range(9))]
    write_silo(node.folder, Path(node.config.anchor), texts=more)
    with pytest.raises(Refusal, match="documents changed since an earlier training"):
        trained(node)
    write_silo(node.folder, Path(node.config.anchor), texts=[*more, *documents("court", 60)])
    trained(node)
    write_silo(node.folder, Path(node.config.anchor), texts=documents("clinic", DOCUMENTS))
    trained(node)
    Account(node.folder, node.key).renew()
    write_silo(node.folder, Path(node.config.anchor), texts=more)
    trained(node)


def test_the_rules_are_checked_and_a_policy_of_before_is_read(silo: Silo) -> None:
    assert Policy(coordinators=[]).training.trainings == 10
    bad: dict[str, Any] = {"max_share": 0, "trainings": -1, "total_epsilon": float("nan"), "min_clip": 99.0}
    for key, value in bad.items():
        with pytest.raises(ConfigError, match=f"training.{key}"):
            replace(Policy(coordinators=[]), training=replace(Policy(coordinators=[]).training, **{key: value})).check()


def slow_basis(node: Node, unit: TrainUnit) -> tuple[int, float]:
    """The last iterate's documents and largest share, token by token."""
    text, training = text_of(node), unit.training
    ends = text._split("train").ends.astype(np.int64)
    owner = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    weight = np.zeros(len(ends))
    length = text.config.sequence_length
    for step in range(training.steps):
        windows = text.batch_indices(step, training.batch, unit.seed)
        tokens = np.concatenate([owner[index * length : (index + 1) * length] for index in windows])
        weight += np.bincount(tokens, minlength=len(weight)) / len(tokens)
    return int((weight > 0).sum()), float(weight.max() / weight.sum())


@given(steps=st.integers(1, 9), batch=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_what_a_training_rests_on_is_what_a_token_by_token_count_says(
    tmp_path_factory: pytest.TempPathFactory, anchor_folder: Path, steps: int, batch: int, seed: int
) -> None:
    node = node_once(tmp_path_factory, anchor_folder)
    unit = train_unit(node, steps=steps, batch=batch, evaluate_every=steps, warmup=0, schedule="constant", seed=seed)
    basis = training_basis(node.workload, unit)
    fewest, share = slow_basis(node, unit)
    assert basis.fewest == fewest
    assert basis.largest_share == pytest.approx(share)


_NODES: dict[Path, Node] = {}


def node_once(factory: pytest.TempPathFactory, anchor: Path) -> Node:
    if anchor not in _NODES:
        _NODES[anchor] = Node(write_silo(factory.mktemp("basis") / "node", anchor, texts=documents("clinic", 80)))
    return _NODES[anchor]


def test_every_step_that_validation_may_choose_is_looked_at(silo: Silo) -> None:
    """A unit of many steps can deliver the first of them, where validation finds it best."""
    node = silo()
    unit = train_unit(node, steps=64, batch=1, evaluate_every=1, validation_windows=0)
    assert training_basis(node.workload, unit).fewest <= 3
    assert training_basis(node.workload, replace(unit, privacy=PrivacyConfig(epsilon=1))).fewest > 20


@pytest.fixture
def works(silo: Silo) -> Iterator[Callable[[], Works]]:
    """The agent with its worker, in a process of its own; again for a restart."""
    node, opened = silo(), list[Works]()

    def start() -> Works:
        for each in opened:
            each.stop()
        policy = NodeFolder(node.folder).read_policy()
        opened.append(Works(node.folder.absolute(), "clinic", lambda: policy, node.key))
        opened[-1].start()
        return opened[-1]

    yield start
    opened[-1].stop()


def answer(works: Works, unit: TrainUnit) -> WorkReply:
    asked = Work(work="train", unit=unit.address, what=unit.to_json(), call="c")
    while (reply := works.ask(asked)).state not in (DONE, FAILED, REFUSED):
        time.sleep(0.05)
    return reply


def test_the_agent_asks_its_worker_and_decides(works: Callable[[], Works], tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    enough = train_unit(
        node, batch=8, steps=8, evaluate_every=8, descriptor_documents=60, descriptor_counted=60, validation_windows=0
    )
    one = replace(enough, training=replace(enough.training, steps=1, batch=1, clip=0.0))
    agent = works()
    refused = answer(agent, one)
    assert (refused.state, refused.blobs) == (REFUSED, {})
    assert "training.clip" in refused.note
    done = answer(agent, enough)
    assert done.state == DONE
    agent = works()
    assert answer(agent, enough).blobs == done.blobs
    standing = agent.account.standing()
    assert list(standing.trainings.values()) == [1]
    assert any(spend.what.startswith("descriptor: mean, variance, unigram") for spend in standing.spends)


def test_a_coordinator_that_asks_how_far_it_is_hears_no_loss(silo: Silo) -> None:
    """The note of a training that was under way said the loss of every step's batch: as many figures as steps."""
    node = silo()
    policy = NodeFolder(node.folder).read_policy()
    agent = Works(node.folder.absolute(), "clinic", lambda: policy, node.key)
    unit = train_unit(node)
    asked = Work(work="train", unit=unit.address, what=unit.to_json(), call="c")
    agent.ask(asked)
    agent._taken[unit.address].reply = WorkReply(state=WORKING)
    agent._progress("clinic", Progress(done=3, total=8, note="loss 3.142 · best validation 2.718", unit="train"))
    reply = agent.ask(asked)
    assert (reply.done, reply.total) == (3, unit.training.steps), "as many as were asked for, whatever a worker says"
    assert not set("0123456789") & set(reply.note)


def test_a_plan_promises_what_the_package_will_spend(silo: Silo) -> None:
    pytest.importorskip("opacus.accountants", reason="private training needs Opacus")
    node = silo(max_epsilon=4.0)
    (spend,) = plan_training(node, train_unit(node, privacy=PrivacyConfig(epsilon=3.0))).spends
    assert 2.9 < spend.epsilon <= 3
    trained(node, "privacy.epsilon=3")
    standing = Account(node.folder, node.key).standing()
    assert standing.total.epsilon == pytest.approx(spend.epsilon, abs=0.05)
    assert [each.what for each in standing.spends if each.mechanism == "no promise"] == [
        "numbers of documents and tokens"
    ]
    assert json.loads((node.folder / "account.head").read_text()) == {"number": 2}
