"""``atoll node forget``: the successor is what never having the records gives, and nothing made of them is left."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from filelock import FileLock
from tests.clients.conftest import documents, text_of, write_silo
from typer.testing import CliRunner

from atoll.clients import work
from atoll.clients.commands import app
from atoll.clients.forgotten import open_forgotten
from atoll.clients.gate import forget as forgetting
from atoll.clients.gate.forget import Forgotten, forget
from atoll.clients.gate.gate import Gate
from atoll.clients.gate.offers import offers
from atoll.clients.gate.offline import train_offline
from atoll.clients.gate.policy import Policy
from atoll.clients.node import Node
from atoll.clients.own_experts import own_experts
from atoll.clients.training.kept_checkpoints import keep
from atoll.clients.work import train_expert
from atoll.errors import ConfigError, LedgerError
from atoll.experts.card import ExpertCard
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.statements import Statement
from atoll.workloads.excluded import Excluded
from atoll.workloads.workload import Split

TEXTS = documents("clinic", 240)
SETTINGS = [
    *("expert.kind=lora", "expert.rank=2", "descriptor.documents=60", "descriptor.counted=60"),
    *("training.steps=16", "training.batch=4", "training.evaluate_every=16", "training.checkpoint_every=1"),
    *("training.warmup=2", "training.validation_windows=0"),
]
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, anchor_folder: Path) -> Make:
    """A node's folder, with a key and a policy."""

    def made(name: str, texts: list[str] = TEXTS, **config: Any) -> Path:
        folder = write_silo(tmp_path / name, anchor_folder, texts=texts, **config)
        node = Node(folder)
        rules = {"coordinators": [node.key.public.hex], "training": {"max_share": 1.0}}
        (folder / "policy.yaml").write_text(yaml.safe_dump(rules))
        return folder

    return made


def trained(folder: Path, *overrides: str) -> ExpertPackage:
    train_offline(folder, [*SETTINGS, *overrides])
    return read_package(own_experts(folder)[-1].package, trusted=None)


def successor(said: Forgotten) -> ExpertPackage:
    return read_package(said.package, trusted=None)


def name_of(folder: Path, number: int) -> str:
    return f"notes.jsonl#{number}"


def content(package: ExpertPackage) -> dict[str, Any]:
    """All of a package that its data and training decide: not whom it succeeds."""
    card = replace(package.card, predecessor="", forgotten=0, training={}, owner="x")
    weights = {name: tensor.numpy().tobytes() for name, tensor in package.weights.items()}
    return {"card": card.to_yaml(), "weights": weights, "descriptor": package.descriptor.to_bytes()}


def late(folder: Path, split: Split = "train") -> int:
    """Number of a document that is in a split and, where it is trained on, read late."""
    node = Node(folder)
    first = {}
    for number, text in enumerate(TEXTS):
        one = Excluded(bytes(32)).having([text.strip().encode()])
        held = node.workload.holding(one)
        if split != "train" and held[split]:
            return number
        samples = set(held["train"])
        for step in range(16):
            if samples & set(node.workload.batch_indices(step, 4, 0)):
                first[number] = step
                break
    return max((step, number) for number, step in first.items() if step > 3)[1]


@pytest.mark.parametrize("kind", ["lora", "ffn"])
def test_anew_is_as_if_they_had_never_been_there(make: Make, kind: str) -> None:
    folder, never = make("node"), make("never", [text for place, text in enumerate(TEXTS) if place not in (7, 100)])
    before = trained(folder, f"expert.kind={kind}")
    said = forget(folder, [], [name_of(folder, 7), name_of(folder, 100)], anew=True)
    after = successor(said)
    assert content(after) == content(trained(never, f"expert.kind={kind}"))
    assert content(after)["weights"] != content(before)["weights"]
    card = after.card
    assert (card.predecessor, card.forgotten, card.training["continued_from"]) == (before.digest, 2, 0)
    assert ExpertCard.from_yaml(card.to_yaml()) == card
    assert (said.records, said.predecessors, said.successor) == (2, [before.digest], after.digest)


def test_from_a_checkpoint_that_had_not_seen_them(make: Make) -> None:
    folder = make("node", checkpoints=5)
    number = late(folder)
    trained(folder)
    kept = own_experts(folder)[-1].package.parent / "checkpoints"
    assert len(list(kept.glob("*.pt"))) == 5
    states = {int(path.stem): path.read_bytes() for path in kept.glob("*.pt")}
    unit = own_experts(folder)[-1].unit
    assert unit is not None
    said = forget(folder, [], [name_of(folder, number)])
    after = successor(said)
    assert after.card.training["continued_from"] == said.step > 0
    # The same by hand: the checkpoint, put where a training on the other documents goes on from.
    never = Node(make("never", [text for place, text in enumerate(TEXTS) if place != number]))
    policy = Policy(coordinators=[], training=replace(Policy(coordinators=[]).training, max_share=1.0))
    place = never.folder / "work" / work._identity(never, unit, policy.limits, None)
    place.mkdir(parents=True)
    (place / "checkpoint.pt").write_bytes(states[said.step])
    _, package = train_expert(never, unit, lambda *_: None, policy.limits)
    assert content(after) == content(read_package(package, trusted=None))


def test_no_checkpoint_is_used_that_knows_of_them(make: Make) -> None:
    """Neither one that was taken after they were read, nor any where the validation split held one of them."""
    folder = make("node", checkpoints=15)
    number, looked_at = late(folder), late(folder, "validation")
    trained(folder)
    node = Node(folder)
    held = node.workload.holding(Excluded(bytes(32)).having([TEXTS[number].strip().encode()]))["train"]
    first = next(step for step in range(16) if set(held) & set(node.workload.batch_indices(step, 4, 0)))
    assert forget(folder, [], [name_of(folder, number)]).step == first
    assert forget(folder, [], [name_of(folder, looked_at)]).step == 0


def test_what_they_hold_has_no_influence(make: Make) -> None:
    number = 50
    texts = [place_text if place != number else "".join(reversed(place_text)) for place, place_text in enumerate(TEXTS)]
    texts[number] = next(text for text in _of_the_same_split(texts[number]) if text not in TEXTS)
    made = []
    for name, own in (("one", TEXTS), ("other", texts)):
        folder = make(name, own)
        trained(folder)
        made.append(content(successor(forget(folder, [], [name_of(folder, number)], anew=True))))
    assert made[0] == made[1]


def _of_the_same_split(text: str) -> list[str]:
    from atoll.workloads.text.split import split_of

    wanted = split_of(TEXTS[50], validation=0.15, test=0.15)
    texts = (f"{text} {number:03d}" for number in range(100))
    return [each for each in texts if split_of(each, validation=0.15, test=0.15) == wanted]


def test_nothing_that_was_made_of_them_is_left(make: Make, tmp_path: Path) -> None:
    """Not as text, not as tokens, not as cached states: only the data itself, where its owner left it there."""
    folder = make("node", checkpoints=3)
    before = trained(folder)
    blob = own_experts(folder)[-1].blob
    train_offline(folder, [*SETTINGS, "seed=1"])
    (folder / "notes.jsonl").rename(tmp_path / "notes.jsonl")
    config = yaml.safe_load((folder / "node.yaml").read_text())
    config["data"]["paths"] = [str(tmp_path / "notes.jsonl")]
    (folder / "node.yaml").write_text(yaml.safe_dump(config))
    text = TEXTS[7].encode()
    tokens = np.frombuffer(text[:24], dtype=np.uint8).astype("<u2").tobytes()
    assert any(tokens in path.read_bytes() for path in folder.rglob("*.tokens")) or _merged(folder, TEXTS[7])
    said = forget(folder, [], [name_of(folder, 7)])
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert not any(text in path.read_bytes() for path in left)
    assert not _merged(folder, TEXTS[7])
    weights = [tensor.numpy().tobytes() for tensor in before.weights.values() if tensor.numel() > 8]
    assert not any(mark in path.read_bytes() for path in left for mark in weights)
    assert not (folder / "outgoing" / blob.removeprefix("sha256:")).exists()
    assert len(own_experts(folder)) == 1
    assert len(said.predecessors) == 2
    listed = json.loads((folder / "forgotten.json").read_text())["digests"]
    assert len(listed) == 1
    assert (folder / "forgotten.key").stat().st_mode & 0o077 == 0


def _merged(folder: Path, text: str) -> bool:
    """Whether any token file holds the document as the anchor's tokenizer reads it."""
    ids = text_of(Node(folder)).tokenizer(text, add_special_tokens=False)["input_ids"]
    mark = np.array(ids, dtype="<u2").tobytes()
    return any(mark in path.read_bytes() for path in folder.rglob("*.tokens"))


def test_they_stay_out_when_they_come_back(make: Make) -> None:
    folder = make("node")
    trained(folder)
    forget(folder, [], [name_of(folder, 7)])
    counts = Node(folder).workload.counts
    with (folder / "notes.jsonl").open("a", encoding="utf-8") as data:
        data.write(json.dumps({"text": f"  {TEXTS[7]}\n"}) + "\n")
    assert Node(folder).workload.counts == counts
    assert open_forgotten(folder).holds(TEXTS[7].strip().encode())


def test_files_need_not_be_part_of_the_data(make: Make, tmp_path: Path) -> None:
    folder = make("node")
    trained(folder)
    (tmp_path / "letters.jsonl").write_text("".join(json.dumps({"text": TEXTS[place]}) + "\n" for place in (3, 4, 5)))
    said = forget(folder, [str(tmp_path / "letters.jsonl")], [])
    assert (said.records, successor(said).card.forgotten) == (3, 3)
    (tmp_path / "letters.jsonl").write_text(json.dumps({"text": "nobody has this"}) + "\n")
    said = forget(folder, [str(tmp_path / "letters.jsonl")], [])
    assert (said.records, said.samples, said.successor) == (1, 0, "")
    with pytest.raises(ConfigError, match="name the records"):
        forget(folder, [], [])


def test_a_crash_in_between_is_taken_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("node")
    before = trained(folder)

    def crash(*_: Any) -> Any:
        raise KeyboardInterrupt

    for place in ("write_forgotten", "train_allowed", "offer", "_clean"):
        monkeypatch.setattr(forgetting, place, crash)
        with pytest.raises(KeyboardInterrupt):
            forget(folder, [], [name_of(folder, 7)] if place == "write_forgotten" else [])
        monkeypatch.undo()
    said = forget(folder, [], [])
    assert successor(said).card.predecessor == before.digest
    assert open_forgotten(folder).holds(TEXTS[7].strip().encode())
    assert len(list((folder / "statements").glob("*.json"))) == 1
    never = make("never", [text for place, text in enumerate(TEXTS) if place != 7])
    assert content(successor(said)) == content(trained(never))


def test_a_node_that_runs_is_stopped_first(make: Make) -> None:
    folder = make("node")
    with FileLock(folder / ".lock"), pytest.raises(LedgerError, match="stop it first"):
        forget(folder, [], [name_of(folder, 7)])


def test_the_command_withdraws_and_offers(make: Make) -> None:
    folder = make("node")
    before = trained(folder)
    done = CliRunner().invoke(app, ["forget", str(folder), "--record", name_of(folder, 7)])
    assert done.exit_code == 0, done.output
    files = [Path(line.split("FOLDER ")[1]) for line in done.output.splitlines() if "accept FOLDER" in line]
    said = Statement.load(files[0])
    assert (said.expert, said.purposes, said.public_key) == (before.digest, [], Node(folder).key.public.hex)
    after = read_package(files[1], trusted=Node(folder).key.public)
    (offered,) = offers(folder)
    assert (offered.expert, offered.size) == (after.digest, files[1].stat().st_size)
    gate = Gate(folder, "clinic", Node(folder).key, lambda: Policy(coordinators=[]))
    assert gate.works.outgoing.get(offered.blob).read_bytes() == files[1].read_bytes()


def test_kept_checkpoints_are_spread_and_bounded(tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(b"state")
    for number in (0, 1, 3, 7):
        for step in range(5, 101, 5):
            keep(tmp_path / "c.pt", step, 5, 100, number)
        kept = sorted(int(path.stem) for path in (tmp_path / "checkpoints").glob("*.pt"))
        assert len(kept) <= number
        assert all(step < 100 for step in kept)
        for path in (tmp_path / "checkpoints").glob("*.pt"):
            path.unlink()
