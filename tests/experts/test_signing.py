from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from atoll.errors import ConfigError
from atoll.experts.signing import OwnerKey, PublicKey


def test_a_saved_key_signs_the_same(tmp_path: Path) -> None:
    key = OwnerKey.generate()
    key.save(tmp_path / "owner.key")
    again = OwnerKey.load(tmp_path / "owner.key")
    assert again.public == key.public
    assert again.sign(b"x") == key.sign(b"x")
    assert (tmp_path / "owner.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["owner.key"]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "owner.key"
    first = OwnerKey.generate()
    first.save(path)
    with pytest.raises(ConfigError, match="never overwritten"):
        OwnerKey.generate().save(path)
    assert OwnerKey.load(path).public == first.public
    assert [found.name for found in tmp_path.iterdir()] == ["owner.key"]


def test_only_the_signed_data_and_the_signer_verify() -> None:
    key, other = OwnerKey.generate(), OwnerKey.generate()
    signature = key.sign(b"data")
    assert key.public.verify(signature, b"data")
    assert not key.public.verify(signature, b"Data")
    assert not other.public.verify(signature, b"data")
    assert not key.public.verify(signature[:-1], b"data")
    assert not key.public.verify(b"", b"data")


def test_public_keys_travel_as_hex(tmp_path: Path) -> None:
    public = OwnerKey.generate().public
    public.save(tmp_path / "a.pub")
    assert PublicKey.load(tmp_path / "a.pub") == public == PublicKey.from_hex(public.hex)
    assert public.fingerprint != OwnerKey.generate().public.fingerprint


@pytest.mark.parametrize("text", ["", "ab", "AB" * 32, "zz" * 32, "ab" * 33, "ab" * 32 + "\n"])
def test_other_text_is_no_public_key(text: str) -> None:
    with pytest.raises(ConfigError, match="64 lower-case hexadecimal digits"):
        PublicKey.from_hex(text)


def test_unusable_key_files_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(ConfigError, match="key new"):
        OwnerKey.load(path)
    with pytest.raises(ConfigError, match="no public key"):
        PublicKey.load(path)
    path.write_bytes(b"\xffnonsense")
    with pytest.raises(ConfigError, match="PEM"):
        OwnerKey.load(path)
    with pytest.raises(ConfigError, match=r"\.pub"):
        PublicKey.load(path)
    other = generate_private_key(SECP256R1())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(other.private_bytes(*form, serialization.NoEncryption()))
    with pytest.raises(ConfigError, match="not Ed25519"):
        OwnerKey.load(path)
    path.write_bytes(other.private_bytes(*form, serialization.BestAvailableEncryption(b"secret")))
    with pytest.raises(ConfigError, match="password"):
        OwnerKey.load(path)
    with pytest.raises(ConfigError, match="cannot be written"):
        OwnerKey.generate().save(tmp_path / "no" / "folder")


def test_a_key_does_not_print_its_secret() -> None:
    key = OwnerKey.generate()
    assert repr(key) == f"OwnerKey({key.public.fingerprint})"
