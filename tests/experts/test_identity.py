"""Who is known by the word of others, and that puppets of a coordinator are not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import ConfigError, FederationError
from atoll.experts.identity import (
    CertifiedKey,
    CoSignature,
    Proof,
    Vouching,
    certify,
    known_keys,
    read_proof,
    read_roots,
    subject_of,
)
from atoll.experts.signing import OwnerKey
from atoll.experts.statements import KeyRotation, rotation

NOW = datetime.now(UTC)
KEYS = {name: OwnerKey.generate() for name in ("clinic", "court", "yard", "mill", "puppet-1", "puppet-2", "puppet-3")}
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def key_of(owner: str) -> tuple[str, str]:
    return owner, KEYS[owner].public.hex


def cosigned(by: str, owner: str, key: OwnerKey | None = None) -> CoSignature:
    named = (key or KEYS[owner]).public.hex
    return CoSignature(public_key=KEYS[by].public.hex, by=by, owner=owner, owner_key=named).signed(KEYS[by])


class Authority:
    """A small certificate authority."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = (
            self._builder(self.subject, self.key, 3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.root = folder / f"{name}.pem"
        self.root.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: Private, days: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=days))
        )

    def issue(self, organisation: str, key: Private) -> tuple[Path, Path]:
        """A certificate for an institution, and its key: files."""
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = self._builder(subject, key, 365).add_extension(issuer, critical=False)
        made = builder.sign(self.key, hashes.SHA256())
        chain, file = self.folder / f"{organisation}.crt", self.folder / f"{organisation}.key"
        chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        file.write_bytes(key.private_bytes(*form))
        return chain, file


def certified(authority: Authority, owner: str, organisation: str = "", key: Private | None = None) -> CertifiedKey:
    files = authority.issue(organisation or owner, key or ec.generate_private_key(ec.SECP256R1()))
    return certify(*files, owner, KEYS[owner].public.hex).signed(KEYS[owner])


def known(given: list[str], proofs: list[Proof], cosigners: int = 2, roots: Authority | None = None) -> set[str]:
    vouching = Vouching(cosigners=cosigners, roots=read_roots(roots.root) if roots else ())
    return {owner for owner, _ in known_keys([key_of(name) for name in given], proofs, vouching, NOW)}


def test_enough_members_make_a_newcomer_a_member() -> None:
    proofs = [cosigned("clinic", "yard"), cosigned("court", "yard")]
    assert known(["clinic", "court"], [proofs[0]]) == {"clinic", "court"}
    assert known(["clinic", "court"], [proofs[0], proofs[0]]) == {"clinic", "court"}, "one member has one word"
    assert known(["clinic", "court"], [*proofs]) == {"clinic", "court", "yard"}
    # And then it has a word itself.
    more = [*proofs, cosigned("yard", "mill"), cosigned("court", "mill")]
    assert known(["clinic", "court"], [*more]) == {"clinic", "court", "yard", "mill"}


def test_puppets_vouch_for_each_other_in_vain() -> None:
    names = ["puppet-1", "puppet-2", "puppet-3"]
    ring: list[Proof] = [cosigned(one, other) for one in names for other in names if one != other]
    assert known(["clinic", "court"], ring) == {"clinic", "court"}
    # Nor with the name of a member and a key of their own.
    forged = CoSignature(
        public_key=KEYS["puppet-2"].public.hex, by="court", owner="puppet-1", owner_key=KEYS["puppet-1"].public.hex
    ).signed(KEYS["puppet-2"])
    assert known(["clinic", "court"], [forged, cosigned("clinic", "puppet-1")]) == {"clinic", "court"}


def test_a_known_name_stays_with_its_key() -> None:
    other = OwnerKey.generate()
    proofs: list[Proof] = [cosigned("clinic", "yard", other), cosigned("court", "yard", other)]
    found = known_keys([key_of(name) for name in ("clinic", "court", "yard")], proofs, Vouching(cosigners=2), NOW)
    assert ("yard", other.public.hex) not in found
    moved = rotation("yard", KEYS["yard"], other)
    found = known_keys([key_of("yard")], [moved], Vouching(cosigners=2), NOW)
    assert found == {key_of("yard"), ("yard", other.public.hex)}


@given(
    st.lists(st.tuples(st.sampled_from(sorted(KEYS)), st.sampled_from(sorted(KEYS))), max_size=20), st.integers(1, 3)
)
def test_nobody_is_known_without_the_words_of_so_many_known(pairs: list[tuple[str, str]], cosigners: int) -> None:
    proofs: list[Proof] = [cosigned(by, owner) for by, owner in pairs if by != owner]
    found = known(["clinic", "court"], proofs, cosigners)
    for owner in found - {"clinic", "court"}:
        words = {by for by, whom in pairs if whom == owner and by in found and by != owner}
        assert len(words) >= cosigners
    assert found == known(["clinic", "court"], proofs[::-1], cosigners), "the order of arrival changes nothing"


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_an_authoritys_certificate_is_enough(tmp_path: Path, kind: str) -> None:
    keys: dict[str, Private] = {
        "ec": ec.generate_private_key(ec.SECP384R1()),
        "rsa": rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    authority, other = Authority(tmp_path, "health"), Authority(tmp_path, "other")
    document = certified(authority, "mill", key=keys[kind])
    assert read_proof(document.to_line()) == document
    assert subject_of(document, read_roots(authority.root), NOW) == "O=mill"
    assert known(["clinic"], [document], roots=authority) == {"clinic", "mill"}
    assert known(["clinic"], [document], roots=other) == {"clinic"}
    assert known(["clinic"], [document]) == {"clinic"}, "no authority is trusted that nobody named"
    with pytest.raises(FederationError, match="no authority"):
        subject_of(document, read_roots(authority.root), NOW + timedelta(days=400))


def test_one_certificate_certifies_one_owner(tmp_path: Path) -> None:
    """Whoever runs the coordinator may have a certificate too: it makes one owner of it, and no crowd."""
    authority = Authority(tmp_path, "health")
    crowd: list[Proof] = [certified(authority, name, "Operator") for name in ("puppet-1", "puppet-2", "puppet-3")]
    assert known(["clinic"], crowd, roots=authority) == {"clinic", "puppet-1"}


def test_a_certificate_of_somebody_else_is_no_proof(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "health")
    genuine = certified(authority, "mill")
    stolen = CertifiedKey(
        public_key=KEYS["puppet-1"].public.hex, owner="puppet-1", chain=genuine.chain, proof=genuine.proof
    ).signed(KEYS["puppet-1"])
    with pytest.raises(FederationError, match="did not sign"):
        read_proof(stolen.to_line())
    chain, _ = authority.issue("one", ec.generate_private_key(ec.SECP256R1()))
    _, key = authority.issue("two", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ConfigError, match="not the key"):
        certify(chain, key, "mill", KEYS["mill"].public.hex)
    with pytest.raises(ConfigError, match="PEM"):
        certify(tmp_path / "gone", key, "mill", KEYS["mill"].public.hex)
    with pytest.raises(ConfigError, match="authorities"):
        read_roots(key)


def test_what_is_no_proof_is_refused() -> None:
    for text in ("", "[]", "{}", '{"paper": "Enrolment"}'):
        with pytest.raises(FederationError):
            read_proof(text)
    with pytest.raises(FederationError, match="own key"):
        read_proof(cosigned("clinic", "clinic").to_line())
    stolen = KeyRotation(
        public_key=KEYS["puppet-1"].public.hex,
        owner="puppet-1",
        new_key=KEYS["mill"].public.hex,
        proof=rotation("yard", KEYS["yard"], KEYS["mill"]).proof,
    ).signed(KEYS["puppet-1"])
    with pytest.raises(FederationError, match="takes over"):
        read_proof(stolen.to_line())
