"""Keys that take over, expire, are stolen and are barred; who is admitted by whose word."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity
from tests.coordinator.server.conftest import package

from atoll.clients.gate.gate import Gate
from atoll.clients.gate.policy import Policy
from atoll.clients.gate.statements import Statements
from atoll.clients.owner_keys import KeyInForce, OwnerKeys
from atoll.coordinator.server import conversation
from atoll.coordinator.server.accept import accept_file, accept_statement
from atoll.coordinator.server.admission import admit
from atoll.coordinator.server.conversation import Conversation
from atoll.coordinator.server.owner_keys import accept_rotation
from atoll.coordinator.server.shop import Shop
from atoll.errors import FederationError, LedgerError, PackageError
from atoll.experts.identity import CoSignature
from atoll.experts.signing import OwnerKey, PublicKey, Signer
from atoll.experts.statements import Enrolment, rotation
from atoll.ledger import KeyRotated, Ledger, OwnerRevoked, StatementHeard, admission


def enrolment(owner: str, key: Signer, node: str = "") -> Enrolment:
    made = Enrolment(public_key=key.public.hex, owner=owner, domain="x", node_key=node or f"node key of {owner}")
    return made.signed(key)


class Mill:
    """An institution with a folder, and the coordinator's hello to it."""

    def __init__(self, shop: Shop, root: Path) -> None:
        self.shop, self.root = shop, root
        root.mkdir()
        self.keys = OwnerKeys(root)
        self.keys.make()
        self.policy = Policy(coordinators=[shop.key.public.hex])
        self.answers: list[Message] = []
        admit(shop.ledger, shop.folder.root, enrolment("mill", self.keys.current()))
        self.start()

    def start(self) -> None:
        self.gate = Gate(self.root, "mill", KeyInForce(self.keys), lambda: self.policy)
        self.talk = Conversation(self.shop, self, "mill", 1)  # type: ignore[arg-type]

    def push_messages(self, messages: list[Message]) -> list[str]:
        for message in messages:
            message.metadata.__dict__["_message_id"] = "m"
            self.answers.append(self.gate.handle(message))
        return ["m"]

    def hello(self) -> None:
        self.talk.speak(self.shop.ledger.state())
        answers, self.answers = self.answers, []
        for answer in answers:
            self.talk.hear(answer)

    def state(self, **terms: object) -> Statements:
        statements = Statements(self.root / "statements", "mill", KeyInForce(self.keys))
        values = {"expert": "", "purposes": [], "until": None, "words": "x", **terms}
        statements.say(**values)  # type: ignore[arg-type]
        return statements


@pytest.fixture
def mill(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mill:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    for name in ("_HELLO", "_AFTER_FAILURE", "_GIVE_UP", "_SOONEST"):
        monkeypatch.setattr(conversation, name, -1.0)
    return Mill(shop, tmp_path / "mill")


def failures(shop: Shop) -> str:
    return "; ".join(failure.reason for failure in shop.live.view().failures)


def take(shop: Shop, file: Path) -> str:
    return accept_file(shop.ledger, shop.anchor, shop.packages, file)


def admitted(shop: Shop, owner: str = "mill") -> str:
    return shop.ledger.state().owners[owner].admitted.public_key


def test_a_running_nodes_key_is_replaced_on_its_own_word(mill: Mill, shop: Shop, tmp_path: Path) -> None:
    old = mill.keys.current()
    first = package(shop.anchor, "mill", tmp_path / "old.atoll", key=old)
    take(shop, first)
    mill.hello()
    mill.state()  # a withdrawal that was not heard yet, signed by the old key
    made, _ = mill.keys.rotate("mill")
    mill.hello()
    assert not failures(shop)
    assert admitted(shop) == made.new_key == mill.keys.current().public.hex
    assert shop.ledger.state().owners["mill"].voice.out, "what the old key said is heard before it is replaced"
    # What was before keeps; what is new needs the new key.
    with pytest.raises(PackageError, match="not by the trusted key"):
        take(shop, first)
    mill.state(expert="", purposes=["any"], new=True)
    mill.hello()
    assert not failures(shop)
    assert not shop.ledger.state().owners["mill"].voice.out
    # And it holds for who reads the ledger anew, and after further rotations in a row, unheard.
    mill.keys.rotate("mill")
    mill.keys.rotate("mill")
    mill.hello()
    assert admitted(shop) == mill.keys.current().public.hex
    with Ledger.open(shop.folder.root / "ledger.db") as again:
        assert again.state().owners["mill"].admitted.public_key == mill.keys.current().public.hex


def test_nobody_else_lets_a_key_take_over(mill: Mill, shop: Shop) -> None:
    old, thief = mill.keys.current(), OwnerKey.generate()
    forged = rotation("mill", thief, OwnerKey.generate())
    with pytest.raises(LedgerError, match="not signed by the key"):
        accept_rotation(shop.ledger, forged, 0)
    good = rotation("mill", old, OwnerKey.generate())
    with pytest.raises(FederationError, match="signature"):
        type(good).from_json(replace(good, new_key=thief.public.hex).to_json())
    # A node that answers with a key that nothing leads to is not heard.
    mill.keys.replace()
    mill.hello()
    assert "which is not 'mill's key" in failures(shop)
    assert admitted(shop) == old.public.hex


def test_a_key_that_was_in_force_never_comes_back(mill: Mill, shop: Shop) -> None:
    one = mill.keys.current()
    two, three = OwnerKey.generate(), OwnerKey.generate()
    there = rotation("mill", one, two)
    assert accept_rotation(shop.ledger, there, 0)
    assert not accept_rotation(shop.ledger, there, 0)
    with pytest.raises(LedgerError, match="never"):
        accept_rotation(shop.ledger, rotation("mill", two, one), 0)
    with pytest.raises(LedgerError, match="not signed by the key"):
        accept_rotation(shop.ledger, rotation("mill", one, three), 0)


def test_an_expired_key_withdraws_and_is_replaced_and_does_nothing_else(mill: Mill, shop: Shop, tmp_path: Path) -> None:
    key = mill.keys.current()
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    shop.ledger.record(replace(admission(enrolment("mill", key)), until=yesterday))
    with pytest.raises(LedgerError, match="expired"):
        accept_file(
            shop.ledger, shop.anchor, shop.packages, package(shop.anchor, "mill", tmp_path / "m.atoll", key=key)
        )
    said = mill.state(purposes=["any"], new=True)
    with pytest.raises(LedgerError, match="expired"):
        shop.ledger.record(StatementHeard(document=_line(said.after(0)[0])))
    said = mill.state()
    assert shop.ledger.record(StatementHeard(document=_line(said.after(1)[0])))
    new = OwnerKey.generate()
    assert accept_rotation(shop.ledger, rotation("mill", key, new), 30)
    assert shop.ledger.state().owners["mill"].admitted.until > datetime.now(UTC).date().isoformat()


def _line(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_the_thief_of_a_folder_is_shut_out_for_good(mill: Mill, shop: Shop, tmp_path: Path) -> None:
    shutil.copytree(mill.root, tmp_path / "thief")
    thief = OwnerKeys(tmp_path / "thief")
    stolen = thief.current()
    file = package(shop.anchor, "mill", tmp_path / "m.atoll", key=stolen)
    digest = take(shop, file)
    mill.state()
    mill.hello()
    shop.ledger.record(OwnerRevoked(owner="mill", reason="stolen", bars_keys=True))
    root = shop.folder.root
    # The thief's request under the same fingerprint was let in before, with a new node key.
    with pytest.raises(LedgerError, match="whoever stole it"):
        admit(shop.ledger, root, enrolment("mill", stolen, node="the thief's new node"))
    with pytest.raises(LedgerError, match="revoked"):
        accept_rotation(shop.ledger, thief.rotate("mill")[0], 0)
    with pytest.raises(LedgerError, match="every owner makes one of its own"):
        admit(shop.ledger, root, enrolment("court", stolen, node="another name"))
    permit = Statements(tmp_path / "thief" / "statements", "mill", stolen)
    permit.say(expert="", purposes=[], until=None, words="number 1, which the coordinator has heard from the mill")
    statement, _ = permit.say(expert=digest, purposes=["any"], until=None, words="all is well")
    with pytest.raises(LedgerError, match="revoked"):
        accept_statement(shop.ledger, statement)
    # The institution comes back with another key, and what it said holds.
    mill.keys.replace()
    assert admit(shop.ledger, root, enrolment("mill", mill.keys.current(), node="a new node"))
    with pytest.raises(FederationError, match="not signed by the key"):
        accept_statement(shop.ledger, statement)
    assert not shop.ledger.state().experts[digest].consents.now.purposes
    with pytest.raises(PackageError, match="not by the trusted key"):
        accept_file(
            shop.ledger, shop.anchor, shop.packages, package(shop.anchor, "mill", tmp_path / "n.atoll", key=stolen)
        )


def test_old_revocations_bar_no_key(shop: Shop) -> None:
    """As written by earlier versions, whose owners came back with their key."""
    key = OwnerKey.generate()
    shop.ledger.record(admission(enrolment("mill", key)))
    shop.ledger.record(OwnerRevoked(owner="mill", reason="x"))
    assert shop.ledger.record(admission(enrolment("mill", key, node="another")))


def test_members_must_vouch_where_the_coordinator_says_so(shop: Shop, tmp_path: Path) -> None:
    keys = {name: OwnerKey.generate() for name in ("north", "south", "new")}
    root = shop.folder.root
    for name in ("north", "south"):
        admit(shop.ledger, root, enrolment(name, keys[name]))
    config = shop.folder.config
    config.write_text(config.read_text().replace("cosigners: 0", "cosigners: 2"))
    with pytest.raises(FederationError, match="--proof"):
        admit(shop.ledger, root, enrolment("new", keys["new"]))
    files = []
    for name in ("north", "south"):
        word = CoSignature(
            public_key=keys[name].public.hex, by=name, owner="new", owner_key=keys["new"].public.hex
        ).signed(keys[name])
        files.append(tmp_path / f"{name}.json")
        word.save(files[-1])
    with pytest.raises(FederationError, match="--proof"):
        admit(shop.ledger, root, enrolment("new", keys["new"]), files[:1])
    assert admit(shop.ledger, root, enrolment("new", keys["new"]), files)
    assert len(shop.ledger.state().proofs) == 2
    moved = tmp_path / "moved.json"
    rotation("new", keys["new"], OwnerKey.generate()).save(moved)
    with pytest.raises(FederationError, match="accept"):
        admit(shop.ledger, root, enrolment("new", keys["new"]), [moved])


def test_nodes_are_handed_what_speaks_for_others(mill: Mill, shop: Shop, tmp_path: Path) -> None:
    old, new = OwnerKey.generate(), OwnerKey.generate()
    admit(shop.ledger, shop.folder.root, enrolment("bank", old))
    shop.ledger.record(KeyRotated(document=rotation("bank", old, new).to_line()))
    mill.hello()
    mill.hello()
    mill.hello()
    peers = mill.gate.works.peers
    peers.pin("bank", PublicKey.from_hex(old.public.hex))
    assert ("bank", new.public.hex) in peers.known(replace(mill.policy, peers="pinned"), datetime.now(UTC))
    assert len(list((mill.root / "peers").glob("*.json"))) == 2
