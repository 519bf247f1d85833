"""After a withdrawal nothing of the expert is left where anyone can be asked; what is left is named with its reason.

On the commit before issue 14 packages, releases, exports, other owners' nodes and backups all kept the bytes.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity
from tests.coordinator.server.conftest import KEYS, package
from tests.coordinator.server.test_desk import have, release
from tests.signed_facts import admitted, stated
from typer.testing import CliRunner

from atoll.anchors import Anchor
from atoll.cli.coordinator import app as coordinator_app
from atoll.cli.copies_tables import ERASED, IN_USE, REMAINS, copy_rows
from atoll.cli.ledger import app as ledger_app
from atoll.cli.mixture import app as mixture_app
from atoll.clients.gate.gate import Gate
from atoll.clients.gate.offers import offer
from atoll.clients.gate.policy import Policy
from atoll.coordinator.backup.archive import read_backup, write_backup
from atoll.coordinator.erasure import inventory
from atoll.coordinator.erasure.eraser import Eraser, Holdings
from atoll.coordinator.erasure.exports import MARK
from atoll.coordinator.erasure.inventory import record_copy, withdrawn_since
from atoll.coordinator.server.accept import accept_file
from atoll.coordinator.server.calls import call_evaluation
from atoll.coordinator.server.conversation import Conversation
from atoll.coordinator.server.desk import Desk
from atoll.coordinator.server.own_releases import own_trust
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.tracking import Tracker, open_store
from atoll.errors import FederationError, MixtureError, PackageError
from atoll.experts.erasure import ErasureStatement
from atoll.experts.package import read_package, write_package
from atoll.experts.signing import OwnerKey
from atoll.federation.blobs import BlobStore
from atoll.federation.sealed_blobs import seal, unseal
from atoll.federation.talk import HELLO
from atoll.federation.units import Choice, MemberRef
from atoll.ledger import Ledger, Released, Transferred, UseRestricted
from atoll.ledger.copies import CopyErased
from atoll.releases.folder import release_folder, write_release
from atoll.releases.opening import open_release
from atoll.releases.release import make_release

CLINIC, COURT = "clinic", "court"


def holdings(shop: Shop) -> Holdings:
    return Holdings(shop.folder.root, shop.packages, shop.folder.releases, shop.key)


def erase(shop: Shop) -> None:
    Eraser(shop.ledger, holdings(shop)).turn()


def withdraw(shop: Shop, owner: str, number: int = 1, expert: str = "") -> None:
    shop.ledger.record(stated(owner, number, expert, key=KEYS[owner]))


def found_in(folder: Path, file: bytes) -> list[str]:
    """Files below a folder that hold the whole package, or the beginning of any of its tensors."""
    package = read_package(file, trusted=None)
    tensors = [*package.weights.values(), package.descriptor.mean]
    marks = [file, *(tensor.contiguous().numpy().tobytes()[:64] for tensor in tensors)]
    there = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in there if any(mark in path.read_bytes() for mark in marks))


class Nodes:
    """Other owners' gates, on a line to the coordinator; ``away`` ones do not answer."""

    def __init__(self, shop: Shop, root: Path, owners: Iterable[str]) -> None:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        self.shop, self.root, self.away = shop, root, set[str]()
        policy = Policy(coordinators=[shop.key.public.hex])
        for owner in owners:
            (root / owner).mkdir(parents=True, exist_ok=True)
        self.gates = {owner: Gate(root / owner, owner, KEYS[owner], lambda: policy) for owner in owners}
        self._answers: list[Message] = []
        self._count = 0
        self._now = ""
        self.talks = {owner: Conversation(shop, self, owner, 1) for owner in owners}  # type: ignore[arg-type]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        names = []
        for message in messages:
            self._count += 1
            names.append(f"message {self._count}")
            message.metadata.__dict__["_message_id"] = names[-1]
            if self._now not in self.away:
                self._answers.append(self.gates[self._now].handle(message))
        return names

    def talk(self, rounds: int = 3) -> None:
        for _ in range(rounds):
            for owner, talk in self.talks.items():
                self._now = owner
                talk._due = {what: at for what, at in talk._due.items() if what == HELLO}  # a second one would wait
                talk.speak(self.shop.ledger.state())
                answers, self._answers = self._answers, []
                for answer in answers:
                    talk.hear(answer)


def show(shop: Shop, owner: str) -> dict[str, str]:
    """What ``atoll ledger show --owner`` says of the copies."""
    return {f"{row.holder}: {row.copy}": row.state for row in copy_rows(shop.ledger.state(), owner)}


def test_nothing_is_left_where_anyone_can_be_asked(shop: Shop, tmp_path: Path) -> None:
    digests = have(shop, tmp_path, CLINIC, COURT)
    release(shop)
    clinic = (tmp_path / "clinic.atoll").read_bytes()
    court = (tmp_path / "court.atoll").read_bytes()
    folder = release_folder(shop.folder.releases, 1)
    shown = ["--key", shop.key.public.hex, "--older"]
    done = CliRunner().invoke(mixture_app, ["export", str(folder), str(tmp_path / "out"), *shown])
    assert done.exit_code == 0, done.output
    nodes = Nodes(shop, tmp_path / "nodes", [COURT])
    blob = shop.ledger.state().experts[digests[CLINIC]].accepted.blob
    nodes.gates[COURT].works.incoming.put(clinic)
    shop.ledger.record(Transferred(owner=COURT, blob=blob, to_owner=True, size=len(clinic)))
    for place in (shop.folder.root, tmp_path / "out", tmp_path / "nodes"):
        assert found_in(place, clinic), place
    assert set(show(shop, CLINIC).values()) == {IN_USE}

    withdraw(shop, CLINIC)
    assert set(show(shop, CLINIC).values()) == {REMAINS}
    erase(shop)
    nodes.talk()

    for place in (shop.folder.root, tmp_path / "out", tmp_path / "nodes"):
        assert not found_in(place, clinic), place
    assert found_in(shop.folder.root, court)
    assert found_in(tmp_path / "out", court), "another owner's adapter is its own"
    states = show(shop, CLINIC)
    copies = {name for name, state in states.items() if state == ERASED}
    assert copies == {
        f"coordinator: package {blob}",
        "coordinator: release 1",
        f"coordinator: export {tmp_path / 'out' / CLINIC}",
        f"court: blob {blob}",
    }
    assert [name for name, state in states.items() if state == REMAINS] == ["coordinator: entries in the ledger"]
    assert set(show(shop, COURT).values()) == {IN_USE}
    shop.ledger.verify()

    opened = open_release(folder, own_trust(shop.key))
    assert opened.release.owners == (COURT,)
    assert opened.made == shop.ledger.state().releases[1].released.digest
    assert "release 2 of court" in release(shop)


def test_statements_are_signed_by_who_held_it(shop: Shop, tmp_path: Path) -> None:
    digest = have(shop, tmp_path, CLINIC)[CLINIC]
    nodes = Nodes(shop, tmp_path / "nodes", [COURT])
    withdraw(shop, CLINIC)
    erase(shop)
    nodes.talk()
    said = [event.fact().read() for event in shop.ledger.events() if event.kind == "copy-erased"]  # type: ignore[attr-defined]
    assert {(each.holder, each.public_key) for each in said} == {
        ("coordinator", shop.key.public.hex),
        (COURT, KEYS[COURT].public.hex),
    }
    # Nobody can say it in another holder's name.
    thief = OwnerKey.generate()
    forged = ErasureStatement(
        public_key=thief.public.hex, holder="yard", expert=digest, copies=["blob x"], at="2026-11-30T00:00:00+00:00"
    ).signed(thief)
    with pytest.raises(Exception, match="not signed by the key"):
        shop.ledger.record(CopyErased(document=forged.to_line()))
    with pytest.raises(Exception, match="signature"):
        shop.ledger.record(CopyErased(document=replace(forged, holder=COURT).to_line()))


def test_a_node_that_is_away_stays_listed_and_is_asked_when_it_comes_back(shop: Shop, tmp_path: Path) -> None:
    digest = have(shop, tmp_path, CLINIC)[CLINIC]
    nodes = Nodes(shop, tmp_path / "nodes", [COURT])
    clinic = (tmp_path / "clinic.atoll").read_bytes()
    blob = nodes.gates[COURT].works.incoming.put(clinic)
    shop.ledger.record(Transferred(owner=COURT, blob=blob, to_owner=True, size=len(clinic)))
    withdraw(shop, CLINIC)
    nodes.away = {COURT}
    nodes.talk()
    rows = {row.holder: row for row in copy_rows(shop.ledger.state(), CLINIC) if row.copy.startswith("blob")}
    assert rows[COURT].state == REMAINS
    assert "not reached since the withdrawal" in rows[COURT].why
    nodes.away = set()
    nodes.talks[COURT] = Conversation(shop, nodes, COURT, 1)  # type: ignore[arg-type]
    nodes.talk()
    assert show(shop, CLINIC)[f"court: blob {blob}"] == ERASED
    assert digest in shop.ledger.state().experts
    assert not found_in(tmp_path / "nodes", clinic)


def test_a_node_keeps_its_own_whatever_it_is_asked(shop: Shop, tmp_path: Path) -> None:
    """A coordinator cannot have an owner's own expert erased in its node; nor half a blob be left of another's."""
    from atoll.federation.talk import Erase

    nodes = Nodes(shop, tmp_path / "nodes", [CLINIC, COURT])
    file = package(shop.anchor, CLINIC, tmp_path / "clinic.atoll").read_bytes()
    blob = nodes.gates[CLINIC].works.outgoing.put(file)
    with pytest.raises(FederationError, match="own"):
        nodes.gates[CLINIC]._erase(Erase(expert="sha256:" + "0" * 64, blob=blob))
    assert found_in(tmp_path / "nodes" / CLINIC, file)
    half = nodes.gates[COURT].works.incoming.incoming(blob, len(file))
    half.add(0, file[: len(file) // 2])
    assert list((tmp_path / "nodes" / COURT / "blobs").glob(".incoming-*"))
    nodes.gates[COURT]._erase(Erase(expert="sha256:" + "0" * 64, blob=blob))
    assert not list((tmp_path / "nodes" / COURT / "blobs").iterdir())


def test_partial_withdrawals_and_endings_erase_nothing(shop: Shop, tmp_path: Path) -> None:
    digest = have(shop, tmp_path, CLINIC)[CLINIC]
    release(shop)
    clinic = (tmp_path / "clinic.atoll").read_bytes()
    before = found_in(shop.folder.root, clinic)
    shop.ledger.record(stated(CLINIC, 1, digest, ["research"], until="2020-01-01", key=KEYS[CLINIC]))
    shop.ledger.record(
        UseRestricted(owner=CLINIC, expert=digest, purposes=["teaching"], until=None, reason="a letter", **operator())
    )
    assert not shop.ledger.state().experts[digest].consents.now.purposes
    assert withdrawn_since(shop.ledger.state(), digest) is None
    erase(shop)
    assert found_in(shop.folder.root, clinic) == before


def operator() -> dict[str, str]:
    return {"operator": "ann"} if "operator" in UseRestricted.__dataclass_fields__ else {}


def test_what_was_changed_by_hand_or_lies_elsewhere_is_left_and_said(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = have(shop, tmp_path, CLINIC)
    names = ("changed", "unmarked", "gone")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
        from atoll.coordinator.erasure.exports import mark

        experts = [digests[CLINIC]]
        record_copy(shop.ledger, what="export", where=tmp_path / name, experts=experts, content=mark(tmp_path / name))
    monkeypatch.setattr(inventory, "this_machine", lambda: "another")
    record_copy(shop.ledger, what="export", where=tmp_path / "far", experts=list(digests.values()), content="x")
    monkeypatch.undo()
    (tmp_path / "changed" / "notes.txt").write_text("added by hand")
    (tmp_path / "unmarked" / MARK).unlink()
    shutil.rmtree(tmp_path / "gone")
    withdraw(shop, CLINIC)
    erase(shop)
    rows = {row.copy: row for row in copy_rows(shop.ledger.state(), CLINIC)}
    why = {name: rows[f"export {tmp_path / name}"] for name in names}
    assert (why["changed"].state, why["unmarked"].state, why["gone"].state) == (REMAINS, REMAINS, ERASED)
    assert "changed after it was written" in why["changed"].why
    assert "no export that Atoll wrote" in why["unmarked"].why
    assert "machine 'another'" in rows[f"export {tmp_path / 'far'} on another"].why
    assert (tmp_path / "changed" / "model.safetensors").exists()
    (tmp_path / "changed" / "notes.txt").unlink()
    erase(shop)
    assert not (tmp_path / "changed").exists()


def test_a_ledger_entry_cannot_have_any_folder_deleted(shop: Shop, tmp_path: Path) -> None:
    from atoll.coordinator.erasure.exports import content_digest

    digests = have(shop, tmp_path, CLINIC)
    (tmp_path / "homes").mkdir()
    (tmp_path / "homes" / "letter.txt").write_text("dear")
    (tmp_path / "link").symlink_to(tmp_path / "homes")
    for name in ("homes", "link"):
        record_copy(
            shop.ledger,
            what="export",
            where=tmp_path / name,
            experts=list(digests.values()),
            content=content_digest(tmp_path / "homes"),
        )
    withdraw(shop, CLINIC)
    erase(shop)
    assert (tmp_path / "homes" / "letter.txt").exists()


def test_backups_become_unreadable(shop: Shop, tmp_path: Path) -> None:
    digests = have(shop, tmp_path, CLINIC, COURT)
    keys = holdings(shop).expert_keys
    for owner, digest in digests.items():
        seal(tmp_path / f"{owner}.atoll", tmp_path / f"{owner}.sealed", keys.key_of(digest), digest)
    record_copy(shop.ledger, what="backup", where=tmp_path / "backup.tar", experts=list(digests.values()))
    withdraw(shop, CLINIC)
    erase(shop)
    assert keys.known(digests[CLINIC]) is None
    court = keys.known(digests[COURT])
    assert court is not None
    unseal(tmp_path / "court.sealed", tmp_path / "again", court, digests[COURT])
    rows = {row.copy: row for row in copy_rows(shop.ledger.state(), CLINIC)}
    assert rows[f"backup {tmp_path / 'backup.tar'}"].state == ERASED
    assert "key was thrown away" in rows[f"backup {tmp_path / 'backup.tar'}"].why


def test_what_the_backup_command_wrote_is_registered_and_becomes_noise(shop: Shop, tmp_path: Path) -> None:
    digests = have(shop, tmp_path, CLINIC, COURT)
    write_backup(shop.folder, tmp_path / "backup.tar", shop.key)
    assert show(shop, CLINIC)[f"coordinator: backup {tmp_path / 'backup.tar'}"] == IN_USE
    withdraw(shop, CLINIC)
    erase(shop)
    assert show(shop, CLINIC)[f"coordinator: backup {tmp_path / 'backup.tar'}"] == ERASED
    read_backup(tmp_path / "backup.tar", tmp_path / "unpacked")
    for owner in (CLINIC, COURT):
        blob = shop.ledger.state().experts[digests[owner]].accepted.blob.removeprefix("sha256:")
        key = holdings(shop).expert_keys.known(digests[owner])
        assert (key is None) == (owner == CLINIC)
        if key is not None:
            unseal(tmp_path / "unpacked" / "experts" / f"{blob}.sealed", tmp_path / "again", key, digests[owner])
    assert not found_in(tmp_path / "unpacked", (tmp_path / "clinic.atoll").read_bytes())


def test_a_crash_anywhere_is_made_good(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was done before the crash is done again, or found done; the statement comes when all is gone."""
    have(shop, tmp_path, CLINIC, COURT)
    release(shop)
    clinic = (tmp_path / "clinic.atoll").read_bytes()
    withdraw(shop, CLINIC)
    record_all = shop.ledger.record_all
    monkeypatch.setattr(Ledger, "record_all", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        erase(shop)
    monkeypatch.undo()
    assert not found_in(shop.folder.root, clinic)
    assert REMAINS in show(shop, CLINIC).values()
    erase(shop)
    assert show(shop, CLINIC)["coordinator: release 1"] == ERASED
    # A backup of the disk that is put back is erased again.
    shop.packages.put(clinic)
    (release_folder(shop.folder.releases, 1) / "experts" / "clinic.atoll").write_bytes(clinic)
    (shop.folder.releases / "release-0009" / "experts").mkdir(parents=True)
    (shop.folder.releases / "release-0009" / "experts" / "clinic.atoll").write_bytes(clinic)
    erase(shop)
    assert not found_in(shop.folder.root, clinic)
    assert record_all is not None


def test_it_is_taken_again_only_when_its_owner_permits_it_again(shop: Shop, tmp_path: Path) -> None:
    digest = have(shop, tmp_path, CLINIC, COURT)[CLINIC]
    release(shop)
    clinic = (tmp_path / "clinic.atoll").read_bytes()
    withdraw(shop, CLINIC, expert=digest)
    erase(shop)
    with pytest.raises(PackageError, match="withdrawn"):
        accept_file(shop.ledger, shop.anchor, shop.packages, tmp_path / "clinic.atoll")
    assert not found_in(shop.folder.root, clinic)
    shop.ledger.record(stated(CLINIC, 2, digest, ["any"], key=KEYS[CLINIC]))
    assert accept_file(shop.ledger, shop.anchor, shop.packages, tmp_path / "clinic.atoll") == digest
    erase(shop)
    assert found_in(shop.folder.root, clinic)
    assert "release 1 of clinic, court" in release(shop)
    assert open_release(release_folder(shop.folder.releases, 1), own_trust(shop.key)).release.owners == (CLINIC, COURT)
    withdraw(shop, CLINIC, number=3, expert=digest)
    erase(shop)
    assert not found_in(shop.folder.root, clinic)


def test_a_release_of_whom_nobody_is_left_says_so(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, CLINIC)
    release(shop)
    withdraw(shop, CLINIC)
    erase(shop)
    folder = release_folder(shop.folder.releases, 1)
    with pytest.raises(MixtureError, match="nobody is left"):
        open_release(folder, own_trust(shop.key))
    # A statement of somebody else's is none: then it is a package that is missing.
    thief = OwnerKey.generate()
    said = ErasureStatement.load(folder / "erased" / "clinic.json")
    replace(said, public_key=thief.public.hex).signed(thief).save(folder / "erased" / "clinic.json")
    with pytest.raises(PackageError, match="not there"):
        open_release(folder, own_trust(shop.key))


def test_work_that_needs_it_comes_to_nothing(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, CLINIC, COURT)
    nodes = Nodes(shop, tmp_path / "nodes", [COURT])
    call = call_evaluation(shop.ledger, [COURT])
    Desk(shop).turn()
    nodes.talk(1)
    withdraw(shop, CLINIC)
    erase(shop)
    nodes.talk(4)
    Desk(shop).turn()
    unit = shop.ledger.state().calls[call.call].units[COURT]
    assert "permits no use" in shop.ledger.state().done[COURT, unit].failure
    assert shop.ledger.state().calls[call.call].finished is not None


def test_tracking_stores_lose_it_too(shop: Shop, tmp_path: Path) -> None:
    digests = have(shop, tmp_path, CLINIC, COURT)
    release(shop)
    clinic, court = ((tmp_path / f"{owner}.atoll").read_bytes() for owner in (CLINIC, COURT))
    with Tracker(tmp_path / "run") as tracker:
        tracker.log_artifact(release_folder(shop.folder.releases, 1), under="release")
        tracker.log_artifact(tmp_path / "clinic.atoll")
        tracker.register_release(tmp_path / "run", digest="sha256:r", members=digests, guarantee="exact")
    record_copy(shop.ledger, what="tracked", where=tmp_path / "run", experts=list(digests.values()))
    assert len(found_in(tmp_path / "run", clinic)) == 2
    withdraw(shop, CLINIC)
    erase(shop)
    assert not found_in(tmp_path / "run", clinic)
    assert found_in(tmp_path / "run", court)
    (version,) = open_store(tmp_path / "run").search_model_versions("name = 'atoll-release'")
    assert version.tags["erased.clinic"] == digests[CLINIC]
    assert "erased.court" not in version.tags
    assert show(shop, CLINIC)[f"coordinator: tracked {tmp_path / 'run'}"] == ERASED


def test_a_successor_that_is_offered_arrives_and_is_recorded(shop: Shop, tmp_path: Path) -> None:
    """Without a call; and only of an expert that is known here."""
    digest = have(shop, tmp_path, CLINIC)[CLINIC]
    nodes = Nodes(shop, tmp_path / "nodes", [CLINIC, COURT])
    made = {}
    for owner, predecessor in ((CLINIC, digest), (COURT, "sha256:" + "0" * 64)):
        before = read_package(package(shop.anchor, owner, tmp_path / f"{owner}-1.atoll"), trusted=None)
        card = replace(before.card, predecessor=predecessor, forgotten=3)
        file = tmp_path / f"{owner}-2.atoll"
        extra = dict(before.extra)
        made[owner] = write_package(
            file, card=card, weights=before.weights, descriptor=before.descriptor, key=KEYS[owner], extra=extra
        )
        offer(tmp_path / "nodes" / owner, made[owner], file)
    nodes.talk(6)
    state = shop.ledger.state()
    assert made[CLINIC] in state.experts
    assert made[COURT] not in state.experts
    assert (state.copies.successors[made[CLINIC]].predecessor, state.copies.successors[made[CLINIC]].forgotten) == (
        digest,
        3,
    )
    withdraw(shop, CLINIC, expert=digest)
    assert show(shop, CLINIC)[f"clinic: successor {made[CLINIC]}"] == IN_USE


def test_a_runs_folder_is_erased_by_command(anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `atoll run` leaves, after a withdrawal: its store of packages, its releases, its tracking store."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root, packages = tmp_path / "run", BlobStore(tmp_path / "run" / "packages")
    files = {owner: package(anchor, owner, tmp_path / f"{owner}.atoll") for owner in (CLINIC, COURT)}
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        members = []
        for owner, file in files.items():
            ledger.record(admitted(owner, key=KEYS[owner]))
            digest = accept_file(ledger, anchor, packages, file)
            blob = packages.put(file.read_bytes())
            members.append(MemberRef(owner=owner, digest=digest, blob=blob, public_key=KEYS[owner].public.hex))
        made = make_release(1, anchor, "lora", Choice(name="flexolmo"), Choice(name="uniform"), members)
        folder = write_release(made, files, root / "releases")
        ledger.record(Released(number=1, digest=made.digest, guarantee="exact", members=[m.digest for m in members]))
        ledger.record(stated(CLINIC, 1, key=KEYS[CLINIC]))
    shutil.copyfile(tmp_path / "ledger.db", root / "ledger.db")
    done = CliRunner().invoke(coordinator_app, ["erase", str(root)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "erased" in done.output
    assert not found_in(root, files[CLINIC].read_bytes())
    assert open_release(folder).release.owners == (COURT,)
    assert CliRunner().invoke(coordinator_app, ["erase", str(tmp_path / "home")]).exception is not None


def test_the_command_says_what_remains_and_why(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, CLINIC)
    withdraw(shop, CLINIC)
    erase(shop)
    ledger = str(shop.folder.root / "ledger.db")
    said = CliRunner().invoke(ledger_app, ["show", ledger, "--owner", CLINIC], env={"COLUMNS": "220"}).output
    assert "Copies of experts of clinic" in said
    assert "signed by coordinator" in said
    found = json.loads(CliRunner().invoke(ledger_app, ["show", ledger, "--owner", CLINIC, "--json"]).output)
    assert {copy["state"] for copy in found["copies"]} == {ERASED, REMAINS}
    assert all(copy["why"] for copy in found["copies"])
    assert read_package(tmp_path / "clinic.atoll", trusted=KEYS[CLINIC].public).card.owner == CLINIC
