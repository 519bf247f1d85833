"""What comes as a file is taken after every check, or changes nothing."""

from pathlib import Path

import pytest
from tests.coordinator.server.conftest import KEYS, package

from atoll.coordinator.server.accept import accept_file, accept_statement
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.server.sole import sole_coordinator
from atoll.errors import AtollError, FederationError, LedgerError, PackageError
from atoll.experts.signing import OwnerKey
from atoll.federation.handover import Statement
from atoll.ledger import OwnerRevoked


def test_an_expert_is_taken_once(shop: Shop, tmp_path: Path) -> None:
    file = package(shop.anchor, "clinic", tmp_path / "clinic.atoll")
    digest = accept_file(shop.ledger, shop.anchor, shop.packages, file)
    assert accept_file(shop.ledger, shop.anchor, shop.packages, file) == digest
    state = shop.ledger.state()
    assert list(state.experts) == [digest]
    assert state.bytes_from == {"clinic": file.stat().st_size}
    assert shop.packages.has(state.experts[digest].accepted.blob)


@pytest.mark.parametrize("case", ["another key", "nobody", "revoked", "ended", "noise", "missing"])
def test_what_is_refused_leaves_everything_as_it_was(shop: Shop, tmp_path: Path, case: str) -> None:
    file = tmp_path / "x.atoll"
    if case == "another key":
        package(shop.anchor, "clinic", file, key=OwnerKey.generate())
    elif case == "nobody":
        package(shop.anchor, "stranger", file, key=OwnerKey.generate())
    elif case == "revoked":
        package(shop.anchor, "clinic", file)
        shop.ledger.record(OwnerRevoked(owner="clinic", reason="x"))
    elif case == "ended":
        package(shop.anchor, "clinic", file, until="2020-01-01")
    elif case == "noise":
        file.write_bytes(b"PK\3\4" + bytes(1000))
    head = shop.ledger.state().head
    with pytest.raises((PackageError, FederationError)) as refusal:
        accept_file(shop.ledger, shop.anchor, shop.packages, file)
    assert isinstance(refusal.value, AtollError)
    assert shop.ledger.state().head == head
    assert shop.packages.digests() == []


def test_only_an_owner_speaks_for_itself(shop: Shop, tmp_path: Path) -> None:
    digest = accept_file(shop.ledger, shop.anchor, shop.packages, package(shop.anchor, "clinic", tmp_path / "c.atoll"))

    def statement(owner: str, key: OwnerKey, number: int = 1) -> Statement:
        unsigned = Statement(
            public_key=key.public.hex, owner=owner, number=number, expert=digest, purposes=[], until=None, words=""
        )
        return unsigned.signed(key)

    with pytest.raises(FederationError, match="not signed by the key"):
        accept_statement(shop.ledger, statement("clinic", KEYS["court"]))
    with pytest.raises(LedgerError, match="only an owner decides"):
        accept_statement(shop.ledger, statement("court", KEYS["court"]))
    assert accept_statement(shop.ledger, statement("clinic", KEYS["clinic"]))
    assert not accept_statement(shop.ledger, statement("clinic", KEYS["clinic"]))
    assert shop.ledger.state().experts[digest].consents.now.state == "withdrawn"


def test_a_ledger_has_one_coordinator(tmp_path: Path) -> None:
    place = tmp_path / "ledger.db"
    with sole_coordinator(place), pytest.raises(LedgerError, match="another process works"), sole_coordinator(place):
        pass
    with sole_coordinator(place):
        pass
