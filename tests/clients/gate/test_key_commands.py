"""What an institution and an operator type when keys are replaced, protected, stolen, or vouched for."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from atoll.cli.app import app
from atoll.clients.gate.setup import NodeFolder
from atoll.errors import AtollError
from atoll.experts.signing import PublicKey, is_protected
from atoll.ledger import Ledger, State


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def run(*arguments: object) -> str:
    done = invoke(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def refused(*arguments: object) -> str:
    done = invoke(*arguments)
    assert isinstance(done.exception, AtollError), (done.output, done.exception)
    return str(done.exception)


class World:
    """A coordinator's folder, and those of institutions."""

    def __init__(self, root: Path, anchor: Path) -> None:
        self.root, self.coordinator = root, root / "coordinator"
        run("coordinator", "init", self.coordinator, "--host", "localhost", "--anchor", anchor)

    def node(self, owner: str) -> Path:
        folder, data = self.root / owner, self.root / f"{owner}.txt"
        data.write_text("a note of the day\n" * 40)
        terms = ["--owner", owner, "--domain", "x", "--data", data]
        run("node", "init", folder, "--invitation", self.coordinator / "invitation.json", *terms)
        return folder

    def state(self) -> State:
        with Ledger.open(self.coordinator / "ledger.db") as ledger:
            return ledger.state()

    def key(self, owner: str) -> str:
        return self.state().owners[owner].admitted.public_key


@pytest.fixture
def world(tmp_path: Path, anchor_folder: Path) -> World:
    return World(tmp_path, anchor_folder)


def fingerprint(folder: Path) -> str:
    return PublicKey.load(folder / "owner.pub").fingerprint


def test_a_stolen_folder_is_recovered_by_the_documented_path(world: World) -> None:
    node = world.node("hospital")
    run("coordinator", "approve", world.coordinator, node / "enrolment.json")
    run("node", "withdraw", node)
    run("coordinator", "accept", world.coordinator, node / "statements" / "000001.json")
    thief, before = world.root / "thief", fingerprint(node)
    shutil.copytree(node, thief)
    run("coordinator", "revoke", world.coordinator, "hospital", "--reason", "its folder was stolen")
    # The thief does what the institution does; with the same fingerprint, which it had before, it is not let in.
    run("node", "enrol", thief, "--renew", "--keep-owner-key")
    assert "whoever stole it" in refused("coordinator", "approve", world.coordinator, thief / "enrolment.json")
    run("node", "key", "rotate", thief)
    assert "revoked" in refused("coordinator", "accept", world.coordinator, thief / "rotations" / "000001.json")
    # The institution makes new keys of both kinds, and reads another fingerprint out.
    said = run("node", "enrol", node, "--renew")
    assert fingerprint(node) in said
    assert fingerprint(node) != before
    assert "is admitted" in run("coordinator", "approve", world.coordinator, node / "enrolment.json")
    assert world.key("hospital") == NodeFolder(node).read_key().public.hex
    owner = world.state().owners["hospital"]
    assert owner.voice.out, "the withdrawal from before holds"
    # What the thief signs now is nobody's word.
    run("node", "permit", thief, "--new", "--purpose", "any")
    for statement in sorted((thief / "statements").glob("*.json"))[1:]:
        assert "not signed by the key" in refused("coordinator", "accept", world.coordinator, statement)


def test_a_key_is_rotated_from_file_to_file(world: World) -> None:
    node = world.node("hospital")
    run("coordinator", "approve", world.coordinator, node / "enrolment.json")
    before = fingerprint(node)
    assert "In force from now on" in run("node", "key", "rotate", node)
    assert fingerprint(node) != before
    assert "accepted" in run("coordinator", "accept", world.coordinator, node / "rotations" / "000001.json")
    assert "before" in run("coordinator", "accept", world.coordinator, node / "rotations" / "000001.json")
    shown = run("node", "key", "show", node)
    assert f"took over from {before}" in shown
    assert world.key("hospital") == PublicKey.load(node / "owner.pub").hex
    run("node", "withdraw", node)
    assert "accepted" in run("coordinator", "accept", world.coordinator, node / "statements" / "000001.json")
    # Enrolled anew with the key in force, it is the same member.
    assert "hospital is admitted" in run("coordinator", "approve", world.coordinator, node / "enrolment.json")


def test_a_key_is_protected_by_a_passphrase(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    node = world.node("hospital")
    word = world.root / "word"
    word.write_text("four words of mine\n")
    run("node", "key", "protect", node, "--file", word)
    assert is_protected(node / "owner.key")
    assert "with a passphrase" in run("node", "key", "show", node)
    assert "ATOLL_KEY_PASSPHRASE" in refused("node", "withdraw", node)
    monkeypatch.setenv("ATOLL_KEY_PASSPHRASE_FILE", str(word))
    run("node", "withdraw", node)
    run("node", "key", "rotate", node)
    assert is_protected(node / "owner.key"), "the next key has the same passphrase"
    run("node", "key", "protect", node, "--remove")
    assert not is_protected(node / "owner.key")
    word.write_text("\n")
    assert "empty" in refused("node", "key", "protect", node, "--file", word)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh-agent with one key that is nowhere else."""
    if not shutil.which("ssh-agent"):
        pytest.skip("there is no ssh-agent on this machine")
    address = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(address)], stdout=subprocess.DEVNULL) as process:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True)
        subprocess.run(
            ["bash", "-c", f"until [ -S {address} ]; do sleep 0.05; done; ssh-add -q {tmp_path / 'k'}"], check=True
        )
        os.unlink(tmp_path / "k")
        yield
        process.terminate()


@pytest.mark.usefixtures("agent")
def test_a_token_takes_over_from_a_file(world: World) -> None:
    node = world.node("hospital")
    run("coordinator", "approve", world.coordinator, node / "enrolment.json")
    run("node", "key", "rotate", node, "--agent")
    assert not (node / "owner.key").exists(), "no private key is in the folder any more"
    assert "agent" in run("node", "key", "show", node)
    run("coordinator", "accept", world.coordinator, node / "rotations" / "000001.json")
    run("node", "withdraw", node)
    assert "accepted" in run("coordinator", "accept", world.coordinator, node / "statements" / "000001.json")
    assert "protected there" in refused("node", "key", "protect", node, "--remove")


def test_members_vouch_and_pin_after_comparing(world: World) -> None:
    nodes = {owner: world.node(owner) for owner in ("hospital", "library", "mill")}
    mill, hospital = nodes["mill"] / "enrolment.json", nodes["hospital"]
    out = world.root / "word.json"
    assert "by telephone" in refused("node", "peer", "cosign", hospital, mill, "--fingerprint", "1-2", "--out", out)
    run("node", "peer", "cosign", hospital, mill, "--fingerprint", fingerprint(nodes["mill"]), "--out", out)
    run("coordinator", "approve", world.coordinator, hospital / "enrolment.json")
    run("coordinator", "approve", world.coordinator, mill, "--proof", out)
    assert len(world.state().proofs) == 1
    library = nodes["library"]
    assert "by telephone" in refused("node", "peer", "add", library, mill)
    rules = library / "policy.yaml"
    rules.write_text(
        rules.read_text().replace("peers: any", "peers: co-signed").replace("cosigners: 2", "cosigners: 1")
    )
    run("node", "peer", "add", library, hospital / "enrolment.json", "--fingerprint", fingerprint(hospital))
    assert "mill" not in run("node", "peer", "list", library)
    run("node", "peer", "add", library, out)
    listed = run("node", "peer", "list", library)
    assert "vouched for" in listed
    assert "pinned" in listed
    assert "no more" in run("node", "peer", "remove", library, "hospital")
    assert "mill" not in run("node", "peer", "list", library)
