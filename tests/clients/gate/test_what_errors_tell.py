"""Errors at a node whose files are named after patients: codes go out, details stay in its log.

A real gate with the real worker's code, and a real coordinator's conversation, ledger and status beside it.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flwr.app import Context, Error, Message, Metadata, RecordDict
from flwr.common.constant import ErrorCode
from flwr.supercore.task_identity import TaskIdentity
from tests.clients.conftest import documents, write_silo
from tests.coordinator.server.conftest import KEYS
from tests.coordinator.server.conftest import anchor as anchor
from tests.coordinator.server.conftest import shop as shop
from tests.coordinator.server.test_conversation import Line, talk

from atoll.clients import app as worker
from atoll.clients.gate import works as works_module
from atoll.clients.gate.failure_codes import SENTENCES
from atoll.clients.gate.gate import Gate
from atoll.clients.gate.policy import Policy
from atoll.clients.gate.setup import NodeFolder
from atoll.clients.node import open_node
from atoll.coordinator.server.calls import call_training
from atoll.coordinator.server.desk import Desk
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.status.snapshot import reader
from atoll.errors import PackageError, PluginError
from atoll.federation.progress import Progress

PLANTED = "MEIER-Hans-1962"
SETTINGS = ["expert.kind=lora", "expert.rank=2", "training.steps=2", "training.batch=2", "training.evaluate_every=1"]
SETTINGS += ["training.validation_windows=2", "descriptor.documents=8", "descriptor.counted=0"]


class InProcess:
    """The worker's code without a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._config = {"folder": str(folder), "outgoing": str(folder / "outgoing")}
        self.dies = 0

    def create_message(self, content: RecordDict, message_type: str, node: int, group: str) -> Message:
        metadata = Metadata(1, "1", 1, node, "", group, time.time(), 3600, message_type)
        return Message(content=content, metadata=metadata)  # type: ignore[call-overload, no-any-return]

    def send_and_receive(self, messages: list[Message]) -> list[Message]:
        if self.dies:
            self.dies -= 1
            reason = f"its worker died (signal 9); see /data/{PLANTED}/worker.log"
            return [Message(Error(ErrorCode.CLIENT_APP_CRASHED, reason), reply_to=messages[0])]
        context = Context(1, 2, {**self._config}, RecordDict(), {})
        return [worker.app(message, context) for message in messages]

    def close(self) -> None:
        pass


class Case:
    """One node and its coordinator."""

    def __init__(self, shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        open_node.cache_clear()
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        self.folder, self.shop, self.monkeypatch = folder, shop, monkeypatch
        self.file = folder / f"{PLANTED}.jsonl"
        write_silo(folder, shop.anchor.path, texts=documents("clinic", 60))
        (folder / "notes.jsonl").rename(self.file)
        config = yaml.safe_load((folder / "node.yaml").read_text())
        config["data"]["paths"] = [str(self.file)]
        (folder / "node.yaml").write_text(yaml.safe_dump(config))
        rules = {"coordinators": [shop.key.public.hex], "min_documents": 1, "training": {"max_share": 1.0}}
        (folder / "policy.yaml").write_text(yaml.safe_dump(rules))
        KEYS["clinic"].save(folder / "owner.key")
        self.grid = InProcess(folder)
        self.policy: Callable[[], Policy] = NodeFolder(folder).read_policy
        monkeypatch.setattr(works_module, "_PAUSE", 0.0)
        monkeypatch.setattr(works_module, "_BACKOFF", 0.0)
        monkeypatch.setattr(works_module.Works, "_new_grid", lambda _: self.grid)

    def run(self) -> str:
        """A training is called for; what the coordinator is told became of it."""
        call_training(self.shop.ledger, self.shop.anchor.digest, ["clinic"], SETTINGS)
        Desk(self.shop).turn()
        line = Line(self.folder, self.shop.key.public)

        def open_gate() -> None:
            line._gate = Gate(self.folder, "clinic", KEYS["clinic"], self.policy)

        line.open = open_gate  # type: ignore[method-assign]
        talk(self.shop, line, self.monkeypatch, turns=3)  # hello, and the unit is taken on
        for _ in range(8):
            line._gate.works._progress("clinic", Progress(done=1, total=2, note=f"reads {PLANTED}.jsonl", unit="train"))
            self.turn(line._gate.works)
        gate = line._gate
        line.open = lambda: None  # type: ignore[method-assign]
        talk(self.shop, line, self.monkeypatch, turns=6)
        state = self.shop.ledger.state()
        told = [fact.failure for fact in state.done.values()]
        return told[0] if told else next(iter(gate.works._taken.values())).reply.note

    def turn(self, works: Any) -> None:
        try:
            works._turn()
        except Exception as error:
            works._note_trouble(error)

    def left(self, caplog: pytest.LogCaptureFixture) -> str:
        """All that is outside the institution now."""
        outside = [path.read_bytes().decode("utf-8", "replace") for path in self.folder.glob("outbox*")]
        outside += [path.read_bytes().decode("latin-1") for path in (self.shop.folder.root).glob("*.db*")]
        outside += [repr(self.shop.live.view()), reader(self.shop.ledger, self.shop.live)().to_json()]
        outside += [record.getMessage() for record in caplog.records if record.name.startswith("atoll.coordinator")]
        return "\n".join(outside)


def bad_json(case: Case) -> None:
    case.file.write_text('{"text": "x"}\n{"text": ' + PLANTED)


def wrong_encoding(case: Case) -> None:
    case.file.write_bytes(b'{"text": "M\xfcller ' + PLANTED.encode() + b'"}\n')


def missing_file(case: Case) -> None:
    case.file.unlink()


def a_folder_in_its_place(case: Case) -> None:
    case.file.unlink()
    case.file.mkdir()


def too_little(case: Case) -> None:
    case.file.write_text(json.dumps({"text": PLANTED}) + "\n")


def configuration(case: Case) -> None:
    path = case.folder / "node.yaml"
    path.write_text(path.read_text() + f"{PLANTED}: true\n")


def raising(error: Exception) -> Callable[[Case], None]:
    def break_it(case: Case) -> None:
        def fail(*_: Any) -> Any:
            raise error

        case.monkeypatch.setattr(worker, "train_expert", fail)

    return break_it


def no_space(case: Case) -> None:
    raising(OSError(28, "No space left on device", f"/data/{PLANTED}"))(case)


def corrupted_package(case: Case) -> None:
    real = worker.__dict__["train_expert"]

    def damage(*arguments: Any) -> Any:
        reply, package = real(*arguments)
        broken = package.with_name(f"{PLANTED}.atoll")
        broken.write_bytes(package.read_bytes()[:-40])
        return replace(reply, blob="sha256:" + "0" * 64, digest=f"sha256:{PLANTED}"), broken

    case.monkeypatch.setattr(worker, "train_expert", damage)


def worker_killed(case: Case) -> None:
    case.grid.dies = 100


def policy_typo(case: Case) -> None:
    real = worker.__dict__["train_expert"]

    def meanwhile(*arguments: Any) -> Any:
        (case.folder / "policy.yaml").write_text(f"coordinatros: [{PLANTED}]\n")
        return real(*arguments)

    case.monkeypatch.setattr(worker, "train_expert", meanwhile)


CASES: dict[str, tuple[Callable[[Case], None], str]] = {
    "bad JSON": (bad_json, "data"),
    "wrong encoding": (wrong_encoding, "data"),
    "missing file": (missing_file, "configuration"),
    "a folder in its place": (a_folder_in_its_place, "data"),
    "too little": (too_little, "data"),
    "configuration": (configuration, "configuration"),
    "a plug-in's exception": (raising(ValueError(f"could not convert {PLANTED!r}")), "internal"),
    "a plug-in's own error": (raising(PluginError(f"'{PLANTED}' is not registered")), "plug-in"),
    "a divergent training": (raising(RuntimeError(f"loss is nan at {PLANTED}")), "internal"),
    "a refused package": (raising(PackageError(f"/data/{PLANTED}: is not signed")), "package"),
    "no space": (no_space, "disk-full"),
    "a corrupted package": (corrupted_package, "internal"),
    "a killed worker": (worker_killed, "worker-died"),
    "a typo in the policy": (policy_typo, "policy"),
}


@pytest.mark.parametrize("name", CASES)
def test_codes_go_out_and_details_stay_in(
    name: str, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    break_it, code = CASES[name]
    case = Case(shop, tmp_path / "node", monkeypatch)
    break_it(case)
    told = case.run()
    assert f"{code}: {SENTENCES[code]}" in told, told
    assert PLANTED not in case.left(caplog)
    assert str(tmp_path / "node") not in case.left(caplog)
    own = [record for record in caplog.records if record.name.startswith("atoll.clients")]
    reference = told.split("under ")[1].rstrip(")")
    assert any(reference in record.getMessage() for record in own), "the node's log has the details"


def test_undisturbed_it_is_done(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    case = Case(shop, tmp_path / "node", monkeypatch)
    case.grid.dies = 2
    case.run()
    assert shop.ledger.state().experts, "a worker that was killed twice is started a third time"
    assert PLANTED not in case.left(caplog)
