import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from atoll.errors import ConfigError, FederationError
from atoll.experts.signing import SMALL_ORDER, OwnerKey, PublicKey, is_protected
from atoll.experts.statements import Enrolment


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
    with pytest.raises(ConfigError, match="passphrase"):
        OwnerKey.load(path)
    with pytest.raises(ConfigError, match="cannot be written"):
        OwnerKey.generate().save(tmp_path / "no" / "folder")


def test_a_key_does_not_print_its_secret() -> None:
    key = OwnerKey.generate()
    assert repr(key) == f"OwnerKey({key.public.fingerprint})"


IDENTITY = bytes([1]) + bytes(31)
ATTACK = IDENTITY + bytes(32)
"""R the neutral element and s = 0: verifies for every text under the neutral element as a key."""
PRIME = 2**255 - 19
D = -121665 * pow(121666, -1, PRIME) % PRIME


def add(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """The sum of two points of Edwards25519 (RFC 8032, section 5.1.4, in affine coordinates)."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME)
    return x % PRIME, y % PRIME


def points_at(y: int) -> list[tuple[int, int]]:
    """The points with this y, none, one or two."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    root = pow(square, (PRIME + 3) // 8, PRIME)
    if (root * root - square) % PRIME:
        root = root * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    return [(x, y) for x in {root, -root % PRIME}] if (root * root - square) % PRIME == 0 else []


def test_the_library_alone_lets_anybody_sign_for_a_key_of_small_order() -> None:
    """Why such keys are refused: OpenSSL verifies, as RFC 8032 lets it."""
    Ed25519PublicKey.from_public_bytes(IDENTITY).verify(ATTACK, b"whatever anybody likes")


def test_all_points_of_small_order_are_refused_in_every_form() -> None:
    small = [point for y in SMALL_ORDER for point in points_at(y)]
    assert len(small) == 8, "the torsion subgroup of Edwards25519 has order 8"
    assert len({add(one, other) for one in small for other in small}) == 8, "and it is closed"
    forms = {y | sign << 255 for _, y in small for sign in (0, 1)}
    forms |= {(y + PRIME) | sign << 255 for y in range(19) for sign in (0, 1)}
    for form in forms:
        with pytest.raises(ConfigError, match=r"small order|one form"):
            PublicKey.from_hex(form.to_bytes(32, "little").hex())


def test_nobody_signs_a_document_for_a_key_of_small_order(tmp_path: Path) -> None:
    forged = Enrolment(public_key=IDENTITY.hex(), owner="clinic", domain="x", node_key="k", signature=ATTACK.hex())
    with pytest.raises(FederationError, match="signature"):
        Enrolment.from_json(forged.to_json())
    (tmp_path / "owner.pub").write_text(IDENTITY.hex())
    with pytest.raises(ConfigError):
        PublicKey.load(tmp_path / "owner.pub")


def test_a_key_with_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, key = tmp_path / "owner.key", OwnerKey.generate()
    key.save(path, b"four words of mine")
    assert is_protected(path)
    assert key._private.private_bytes_raw() not in path.read_bytes()
    with pytest.raises(ConfigError, match="ATOLL_KEY_PASSPHRASE"):
        OwnerKey.load(path)
    with pytest.raises(ConfigError, match="with that passphrase"):
        OwnerKey.load(path, b"three words")
    monkeypatch.setenv("ATOLL_KEY_PASSPHRASE", "four words of mine")
    assert OwnerKey.load(path).public == key.public
    monkeypatch.delenv("ATOLL_KEY_PASSPHRASE")
    (tmp_path / "word").write_text("four words of mine\n")
    monkeypatch.setenv("ATOLL_KEY_PASSPHRASE_FILE", str(tmp_path / "word"))
    assert OwnerKey.load(path).sign(b"x") == key.sign(b"x")
    monkeypatch.setenv("ATOLL_KEY_PASSPHRASE_FILE", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="gone"):
        OwnerKey.load(path)


def test_a_fingerprint_is_half_of_the_keys_digest_in_groups_of_four() -> None:
    """People compare it by telephone, with what earlier versions printed."""
    key = PublicKey.from_hex("00" * 31 + "01")
    digits = hashlib.sha256(bytes(31) + b"\x01").hexdigest()
    assert key.fingerprint.replace("-", "") == digits[:32]
    assert [len(group) for group in key.fingerprint.split("-")] == [4] * 8
