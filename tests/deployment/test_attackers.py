"""Whoever means harm gets nothing done, and everyone else goes on."""

import contextlib
import http.client
import shutil
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.deployment.federation import TRAIN, Federation, atoll, wait

from atoll.anchors import Anchor
from atoll.config import read_config
from atoll.coordinator.server.calls import TrainSettings
from atoll.experts import archive
from atoll.experts.card import ExpertCard
from atoll.experts.signing import OwnerKey
from atoll.experts.verify import CARD, SIGNATURE, content_digest, sign, weights_file
from atoll.federation.blobs import BlobStore
from atoll.federation.talk import DONE, Work, WorkReply
from atoll.federation.units import TrainReply

pytestmark = [pytest.mark.suite, pytest.mark.timeout(600)]
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A federation with one honest member, whose expert has arrived."""
    made = Federation(tmp_path_factory.mktemp("attacked"), ["clinic"])
    try:
        made.start("coordinator", "clinic")
        made.train()
        yield made
    finally:
        made.stop()


def test_bad_packages_are_refused_and_everyone_else_goes_on(fed: Federation) -> None:
    honest = next(iter(fed.state().experts.values())).accepted
    raw = (fed.folder / "packages" / honest.blob.removeprefix("sha256:")).read_bytes()
    plans: dict[str, tuple[Callable[[Members], Members | bytes], str]] = {
        "thief": (lambda members: raw, "not by the trusted key"),
        "impostor": (lambda members: {**members, CARD: archive.decode(raw)[CARD]}, "is 'clinic's, but came from"),
        "nan": (_weights(struct.pack("<f", float("nan"))), "finite"),
        "huge": (_weights(struct.pack("<f", 1e30)), "larger than"),
        "shapes": (_other_targets, "shape"),
        "slip": (_slip, "points outside the package"),
        "liar": (lambda members: raw, "has other content"),
    }
    for owner, (change, _) in plans.items():
        node = fed.make_node(owner, words="some words of no meaning at all here")
        _plant(fed, node, owner, _changed(raw, owner, OwnerKey.load(node / "owner.key"), change), lie=owner == "liar")
        atoll("coordinator", "approve", fed.folder, node / "enrolment.json")
    fed.start(*plans)
    for owner, (_, reason) in plans.items():
        if owner == "liar":  # what it sends is never whole, so it is asked again, and never taken
            wait("it is found out", lambda: "liar" in str(fed.status()["failures"]), 200)
            continue
        finished = wait(f"an end to {owner}'s unit", lambda owner=owner: _finished(fed, owner), 200)  # type: ignore[misc]
        assert finished.failure.startswith("its package is refused"), finished
        assert reason in finished.failure
    assert list(fed.state().experts) == [honest.expert]
    assert "release 1 of clinic:" in fed.call("release")
    assert fed.programs["coordinator"].alive
    for owner in plans:
        fed.programs.pop(owner).stop()


def test_unapproved_node_is_not_let_in(fed: Federation) -> None:
    fed.make_node("stranger", words="nobody knows these words")
    fed.start("stranger")
    fed.wait_said("stranger", "does not let this node in")
    assert "stranger" not in fed.state().owners
    fed.programs.pop("stranger").stop()


def test_revoked_node_is_shut_out_and_let_in_again(fed: Federation) -> None:
    fed.enrol("court")
    fed.start("court")
    wait("its expert", lambda: len(fed.state().experts) == 2, 200)
    atoll("coordinator", "revoke", fed.folder, "court", "--reason", "its key was stolen")
    fed.wait_said("court", "does not let this node in")
    package = next(fed.node("court").glob("outgoing/*"))
    assert "revoked (its key was stolen)" in atoll("coordinator", "accept", fed.folder, package, code=8)
    said = len(fed.said("court"))
    assert "--renew" in atoll("coordinator", "approve", fed.folder, fed.node("court") / "enrolment.json", code=9)
    atoll("node", "enrol", fed.node("court"), "--renew")
    atoll("coordinator", "approve", fed.folder, fed.node("court") / "enrolment.json")
    wait("it is back", lambda: "connected" in fed.said("court")[said:])


def test_another_authority_is_not_talked_to(fed: Federation, tmp_path: Path) -> None:
    other = Federation(tmp_path, ["yard"])
    other.folder.joinpath("coordinator.yaml").unlink()
    shutil.rmtree(other.folder / "flower", ignore_errors=True)
    # The other coordinator's invitation, but this one's address: what a thief of the address would look like.
    atoll(
        *("coordinator", "init", other.folder, "--host", "localhost", "--port", str(fed.port)),
        *("--anchor", str(other.root / "anchor")),
    )
    shutil.copyfile(other.folder / "invitation.json", other.node("yard") / "invitation.json")
    other.start("yard")
    try:
        other.wait_said("yard", "is not the coordinator of the invitation")
        assert not (other.node("yard") / "outbox.jsonl").exists()
    finally:
        other.stop()


def test_plaintext_on_the_tls_port_and_the_closed_control_api(fed: Federation) -> None:
    with socket.create_connection(("127.0.0.1", fed.port), timeout=10) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"200" not in plain.recv(100)
    context = ssl.create_default_context(cafile=str(fed.folder / "tls" / "ca.crt"))
    for path in ("register-node", "start-run", "list-nodes", "stop-run"):
        connection = http.client.HTTPSConnection("localhost", fed.port, context=context, timeout=10)
        connection.request("POST", f"/v1/control/{path}", body=b"", headers={"atoll-control": "guess"})
        assert connection.getresponse().status == 403
        connection.close()
    assert fed.programs["coordinator"].alive


def test_nodes_obey_only_the_coordinator_of_their_policy(fed: Federation) -> None:
    """Whoever gets hold of the server, but not of the coordinator's key, gets nothing out of the nodes."""
    fed.programs.pop("coordinator").stop()
    key, kept = fed.folder / "coordinator.key", fed.folder / "kept.key"
    key.rename(kept)
    OwnerKey.generate().save(key)
    left = _settled(fed.node("clinic") / "outbox.jsonl")
    fed.start("coordinator")
    try:
        fed.wait_said("clinic", "is not among the policy's coordinators", 200)
        assert (fed.node("clinic") / "outbox.jsonl").read_bytes() == left
        wait("the operator sees it", lambda: "refused" in str(fed.status()["failures"]))
    finally:
        fed.programs.pop("coordinator").stop()
        kept.replace(key)
        fed.start("coordinator")


def test_poison_is_flagged_by_the_silo_that_it_harms(tmp_path: Path) -> None:
    fed = Federation(tmp_path, ["court"])
    try:
        # An expert on the clinic's own letters in an order that they never have.
        words = "fever dose chart nurse wound patient ward pulse fracture acute chronic left right unspecified"
        fed.enrol(
            "clinic", documents=3000
        )  # what the noise of its figures leaves visible depends on how many there are
        fed.enrol("poison", " ".join(word[::-1] for word in words.split()))
        fed.start("coordinator", "clinic", "court", "poison")
        training = ["training.steps=150", "training.learning_rate=0.02", "training.batch=8"]
        fed.train("expert.kind=ffn", *training, seconds=500)
        said = fed.call("evaluate", seconds=400)
        assert "3 of 3 owners" in said
        flagged = {expert.accepted.owner: set(expert.flagged) for expert in fed.state().experts.values()}
        assert "clinic" in flagged["poison"]
        released = fed.call("release")
        assert "release 1 of clinic, court" in released
        assert "poison: flagged by clinic (+" in released
        assert "release 2 of clinic, court, poison" in fed.call("release", "--flagged", "poison", "--flagged", "clinic")
        assert any("clinic" in str(expert) for expert in fed.status()["experts"] if expert["owner"] == "poison")
    finally:
        fed.stop()


def _settled(path: Path) -> bytes:
    """A file's content, once nothing has been added to it for a while: what was under way is through then."""
    content, since = path.read_bytes(), time.monotonic()
    while time.monotonic() - since < 3:
        time.sleep(0.2)
        if (now := path.read_bytes()) != content:
            content, since = now, time.monotonic()
    return content


def _finished(fed: Federation, owner: str) -> object:
    return next((fact for (name, _), fact in fed.state().done.items() if name == owner), None)


def _plant(fed: Federation, node: Path, owner: str, package: bytes, *, lie: bool) -> None:
    """Make a node believe that this package is what it trained."""
    unit = read_config(TrainSettings, None, TRAIN).unit(Anchor.open(fed.root / "anchor").digest)
    blob = BlobStore(node / "outgoing").put(package)
    said = TrainReply(digest=blob, blob=blob, metrics={})
    size = 1000 if lie else len(package)
    reply = WorkReply(state=DONE, result=said.to_json(), blobs={blob: size})
    folder = node / "works" / unit.address
    folder.mkdir(parents=True)
    folder.joinpath("work.json").write_text(Work(work="train", unit=unit.address, what=unit.to_json()).to_json())
    folder.joinpath("reply.json").write_text(reply.to_json())


def _changed(raw: bytes, owner: str, key: OwnerKey, change: Callable[[Members], Members | bytes]) -> bytes:
    """A package of another owner, properly signed by it, with something wrong in it."""
    members = {name: bytes(data) for name, data in archive.decode(raw).items()}
    card = replace(ExpertCard.from_yaml(members[CARD]), owner=owner)
    members[CARD] = card.to_yaml()
    made = change(members)
    if isinstance(made, bytes):
        return made
    made.pop(SIGNATURE)
    made[SIGNATURE] = sign(content_digest(made), key)
    return archive.encode(made)


def _weights(number: bytes) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        name = weights_file("lora")
        data = members[name]
        return {**members, name: data[: -len(number)] + number}

    return change


def _other_targets(members: Members) -> Members:
    card = ExpertCard.from_yaml(members[CARD])
    settings: Mapping[str, Any] = {**card.settings, "rank": 3}
    adapter = members["adapter_config.json"].replace(b'"r": 2', b'"r": 3')
    return {**members, CARD: replace(card, settings=settings).to_yaml(), "adapter_config.json": adapter}


def _slip(members: Members) -> bytes:
    encoded = archive.encode(members)
    return encoded.replace(b"card.yaml", b"../a.yaml")
