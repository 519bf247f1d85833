"""The coordinator's small authority: made once, trusted for what it signed, and for nothing else."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from atoll.errors import ConfigError
from atoll.federation.certificates import check_certificate, expires, make_certificates, make_node_key


def verifies(folder: Path, host: str, authority: Path) -> bool:
    store = Store([x509.load_pem_x509_certificate(authority.read_bytes())])
    server = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
    try:
        PolicyBuilder().store(store).build_server_verifier(x509.DNSName(host)).verify(server, [])
    except VerificationError:
        return False
    return True


def test_the_authority_is_made_once_and_the_server_follows_its_hosts(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["one.example", "127.0.0.1"])
    authority, server = made.ca.read_bytes(), made.certificate.read_bytes()
    assert verifies(tmp_path, "one.example", made.ca)
    assert not verifies(tmp_path, "two.example", made.ca)
    make_certificates(tmp_path, ["one.example", "127.0.0.1"])
    assert made.certificate.read_bytes() == server
    make_certificates(tmp_path, ["two.example"])
    assert made.ca.read_bytes() == authority
    assert verifies(tmp_path, "two.example", made.ca)
    ssl.create_default_context(cafile=str(made.ca))


def test_another_authority_does_not_do(tmp_path: Path) -> None:
    make_certificates(tmp_path / "a", ["x.example"])
    other = make_certificates(tmp_path / "b", ["x.example"])
    assert not verifies(tmp_path / "a", "x.example", other.ca)


def test_a_lost_authority_is_not_replaced_silently(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["x.example"])
    (tmp_path / "ca.key").unlink()
    before = made.ca.read_bytes()
    with pytest.raises(ConfigError, match="lock every node out"):
        make_certificates(tmp_path, ["x.example"])
    assert made.ca.read_bytes() == before


def test_clocks_that_are_behind_take_it_and_it_ends_some_day(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["x.example"])
    for path in (made.ca, made.certificate):
        begins = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_before_utc
        assert begins < datetime.now(UTC) - timedelta(hours=24)
    assert expires(made.certificate) < expires(made.ca)


def test_keys_are_for_this_user_only_and_stay(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["x.example"])
    public = make_node_key(tmp_path / "node.key")
    assert public == make_node_key(tmp_path / "node.key")
    for path in (made.key, tmp_path / "ca.key", tmp_path / "node.key"):
        assert path.stat().st_mode & 0o077 == 0


def test_an_operators_pair_must_be_one(tmp_path: Path) -> None:
    one, other = (make_certificates(tmp_path / name, ["x.example"]) for name in "ab")
    check_certificate(one.certificate, one.key)
    with pytest.raises(ConfigError, match="not the key of"):
        check_certificate(one.certificate, other.key)
    with pytest.raises(ConfigError, match="no PEM"):
        check_certificate(one.key, one.key)


@pytest.mark.parametrize("host", ["", "a..b", "x" * 300])
def test_odd_hosts_are_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="host name"):
        make_certificates(tmp_path, [host])
