"""What was sealed opens with its key, whole and unchanged, and never again once the key is gone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import FederationError
from atoll.federation import sealed_blobs
from atoll.federation.sealed_blobs import ExpertKeys, seal, unseal

EXPERT, OTHER = (f"sha256:{letter * 64}" for letter in "ab")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_blobs, "_PIECE", 16)


@given(size=st.integers(0, 100))
def test_it_comes_back(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    folder = tmp_path_factory.mktemp("sealed")
    plain, key = bytes(range(size)), ExpertKeys(folder / "keys").key_of(EXPERT)
    (folder / "plain").write_bytes(plain)
    seal(folder / "plain", folder / "sealed", key, EXPERT)
    unseal(folder / "sealed", folder / "again", key, EXPERT)
    assert (folder / "again").read_bytes() == plain
    sealed = (folder / "sealed").read_bytes()
    assert size < 8 or plain[:8] not in sealed


def test_a_key_that_is_thrown_away_never_comes_back(tmp_path: Path) -> None:
    keys = ExpertKeys(tmp_path / "keys")
    key = keys.key_of(EXPERT)
    assert keys.known(EXPERT) == key == keys.key_of(EXPERT)
    assert keys.known(OTHER) is None
    (tmp_path / "plain").write_bytes(b"weights of an expert" * 4)
    seal(tmp_path / "plain", tmp_path / "sealed", key, EXPERT)
    assert keys.throw_away(EXPERT)
    assert not keys.throw_away(EXPERT)
    assert keys.known(EXPERT) is None
    assert not any((tmp_path / "keys").iterdir())
    with pytest.raises(FederationError, match="cannot be opened"):
        unseal(tmp_path / "sealed", tmp_path / "again", keys.key_of(EXPERT), EXPERT)
    assert not (tmp_path / "again").exists()


def test_nothing_can_be_cut_swapped_or_passed_off(tmp_path: Path) -> None:
    key = ExpertKeys(tmp_path / "keys").key_of(EXPERT)
    (tmp_path / "plain").write_bytes(bytes(range(48)))
    seal(tmp_path / "plain", tmp_path / "sealed", key, EXPERT)
    sealed = (tmp_path / "sealed").read_bytes()
    head, pieces = sealed[:22], [sealed[22 + 32 * n : 54 + 32 * n] for n in range(3)]
    bad = {
        "cut": head + pieces[0] + pieces[1],
        "swapped": head + pieces[1] + pieces[0] + pieces[2],
        "twice": sealed + pieces[2],
        "bit": sealed[:-1] + bytes([sealed[-1] ^ 1]),
        "prefix": sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:],
        "no seal": bytes(48),
        "nothing": b"",
    }
    for name, content in bad.items():
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(FederationError):
            unseal(tmp_path / "bad", tmp_path / name, key, EXPERT)
        assert not (tmp_path / name).exists()
    with pytest.raises(FederationError, match="cannot be opened"):
        unseal(tmp_path / "sealed", tmp_path / "again", key, OTHER)
    with pytest.raises(FederationError, match="no digest"):
        ExpertKeys(tmp_path / "keys").key_of("../../etc/passwd")
