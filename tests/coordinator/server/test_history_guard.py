"""A ledger that was rolled back stops the coordinator; consent is looked at before every piece of work."""

import shutil
from pathlib import Path

import pytest
from tests.coordinator.server.conftest import KEYS, package
from tests.coordinator.server.test_conversation import Line, asked, line, trained
from tests.coordinator.server.test_desk import have, release
from tests.signed_facts import stated

from atoll.coordinator.permitted import Permitted
from atoll.coordinator.server import conversation
from atoll.coordinator.server.accept import accept_file
from atoll.coordinator.server.calls import call_audit, call_training
from atoll.coordinator.server.conversation import Conversation
from atoll.coordinator.server.desk import Desk
from atoll.coordinator.server.history_guard import check_history
from atoll.coordinator.server.shop import Shop
from atoll.errors import LedgerError
from atoll.ledger import UseRestricted
from atoll.releases.folder import release_folder
from atoll.releases.opening import read_release

__all__ = ["line"]


def talk(shop: Shop, line: Line, *, rounds: int = 8) -> None:
    """Let the coordinator and the clinic's gate exchange what is due."""
    line.open()
    talk = Conversation(shop, line, "clinic", 1)  # type: ignore[arg-type]
    for _ in range(rounds):
        Desk(shop).turn()
        talk.speak(shop.ledger.state())
        while line.answers:
            talk.hear(line.answers.pop(0))
        talk._due.clear()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "_HELLO", 1.0)


def roll_back(shop: Shop, older: Path) -> None:
    """Exchange the ledger for an older copy, with the head that was noted beside it then."""
    shop.ledger.close()
    path = shop.folder.root / "ledger.db"
    for each in shop.folder.root.glob("ledger.db*"):
        each.unlink()
    shutil.copy(older / path.name, path)
    shutil.copy(older / shop.folder.ledger_head.name, shop.folder.ledger_head)
    shop.ledger = shop.folder.open_ledger()


def copied(shop: Shop, folder: Path) -> Path:
    folder.mkdir()
    shop.ledger.close()
    for path in (shop.folder.root / "ledger.db", shop.folder.ledger_head):
        shutil.copy(path, folder / path.name)
    return folder


@pytest.mark.usefixtures("quick")
def test_a_nodes_receipt_stops_a_coordinator_whose_ledger_was_rolled_back(
    shop: Shop, line: Line, tmp_path: Path
) -> None:
    have(shop, tmp_path, "court")
    release(shop)
    made = read_release(release_folder(shop.folder.releases, 1), unsigned=True)
    older = copied(shop, tmp_path / "older")
    talk(shop, line)
    shop.ledger.record(UseRestricted(owner="court", expert="", purposes=[], until=None, reason="letter"))
    talk(shop, line)
    roll_back(shop, older)
    assert Permitted(shop.ledger, made).owners() == ["court"], "in itself the older ledger is sound"
    talk(shop, line)
    with pytest.raises(LedgerError, match="rolled back or rewritten: the node of 'clinic' holds a receipt"):
        Permitted(shop.ledger, made).owners()
    with pytest.raises(LedgerError, match="atoll coordinator restore"):
        check_history(shop.folder, shop.ledger, shop.key.public)


def test_deleting_the_head_file_and_cutting_the_ledger_is_noticed_at_start(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "court")
    older = copied(shop, tmp_path / "older")
    release(shop)
    check_history(shop.folder, shop.ledger, shop.key.public)
    roll_back(shop, older)
    shop.folder.ledger_head.unlink()
    with pytest.raises(LedgerError, match="is gone"):
        check_history(shop.folder, shop.ledger, shop.key.public)
    shutil.copy(older / shop.folder.ledger_head.name, shop.folder.ledger_head)
    with pytest.raises(LedgerError, match=r"release-0001 (names|came after)"):
        check_history(shop.folder, shop.ledger, shop.key.public)


@pytest.mark.usefixtures("quick")
def test_a_package_of_an_owner_who_withdrew_is_not_taken(shop: Shop, line: Line, tmp_path: Path) -> None:
    _, unit = asked(shop)
    trained(shop, tmp_path, unit)
    shop.ledger.record(stated("clinic", 1, key=KEYS["clinic"]))
    talk(shop, line, rounds=10)
    assert shop.ledger.state().experts == {}
    assert "has withdrawn" in shop.ledger.state().done["clinic", unit].failure


def test_a_file_of_an_owner_who_withdrew_is_not_taken_until_it_permits_anew(shop: Shop, tmp_path: Path) -> None:
    file = package(shop.anchor, "clinic", tmp_path / "clinic.atoll")
    shop.ledger.record(stated("clinic", 1, key=KEYS["clinic"]))
    with pytest.raises(LedgerError, match="until it permits anew"):
        accept_file(shop.ledger, shop.anchor, shop.packages, file)
    assert shop.packages.digests() == []
    shop.ledger.record(stated("clinic", 2, purposes=["any"], key=KEYS["clinic"]))
    assert accept_file(shop.ledger, shop.anchor, shop.packages, file) in shop.ledger.state().experts


def test_who_withdrew_is_asked_for_no_expert_until_it_permits_anew(shop: Shop) -> None:
    shop.ledger.record(stated("clinic", 1, key=KEYS["clinic"]))
    call = call_training(shop.ledger, shop.anchor.digest, [], [])
    Desk(shop).turn()
    assert sorted(shop.ledger.state().calls[call.call].units) == ["court", "yard"]
    shop.ledger.record(stated("clinic", 2, purposes=["any"], key=KEYS["clinic"]))
    Desk(shop).turn()
    assert sorted(shop.ledger.state().calls[call.call].units) == ["clinic", "court", "yard"]


@pytest.mark.usefixtures("quick")
def test_work_over_an_expert_that_was_taken_back_since_is_not_sent(shop: Shop, line: Line, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic", "court")
    release(shop)
    call_audit(shop.ledger, [], ["samples=30"])
    Desk(shop).turn()
    (unit,) = {unit for owner, unit in shop.ledger.state().open if owner == "clinic"}
    shop.ledger.record(stated("court", 1, key=KEYS["court"]))
    talk(shop, line)
    assert "court permits no use of its expert any more" in shop.ledger.state().done["clinic", unit].failure
    assert shop.ledger.state().bytes_to.get("clinic", 0) == 0
