"""Who an owner is, by the word of others: members who co-sign its key, or an institution's certificate authority.

A coordinator can admit whom it likes, itself under other names included (puppets). What is signed here, it cannot make:
k members must each have signed the newcomer's key, or an authority that the reader names must have certified it.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from atoll.errors import ConfigError, FederationError
from atoll.experts.checks import SLUG
from atoll.experts.documents import SignedDocument
from atoll.experts.signing import PublicKey
from atoll.experts.statements import KeyRotation

_PROOF = b"atoll identity 1\n"
_CHAIN = 1 << 16
Key = tuple[str, str]
"""An owner's name and the hex of its key."""


@dataclass(frozen=True, kw_only=True)
class CoSignature(SignedDocument):
    """From a member: this key is that newcomer's, I have compared it with them.

    Attributes:
        by: The member, who signs.
        owner: The newcomer.
        owner_key: Hex of its key.
    """

    by: str
    owner: str
    owner_key: str

    def check(self) -> None:
        """Also that names can be names, the key a key, and that nobody vouches for itself."""
        super().check()
        _check_key(self.owner, self.owner_key)
        if not SLUG.fullmatch(self.by) or self.by == self.owner:
            raise FederationError("nobody vouches for its own key")


@dataclass(frozen=True, kw_only=True)
class CertifiedKey(SignedDocument):
    """From an owner: my key, signed with the key of a certificate of my institution.

    Attributes:
        owner: Short name; ``public_key`` is its key, and signs.
        chain: PEM: the certificate, and those between it and the authority.
        proof: Hex of the signature by the certificate's key over :func:`certified_text`.
    """

    owner: str
    chain: str
    proof: str

    def check(self) -> None:
        """Also that the certificate's key signed the owner's; who signed the certificate, :func:`subject_of` says."""
        super().check()
        _check_key(self.owner, self.public_key)
        if len(self.chain) > _CHAIN:
            raise FederationError("its chain of certificates is longer than any that is one")
        try:
            leaf = x509.load_pem_x509_certificates(self.chain.encode())[0]
            _verify(leaf.public_key(), bytes.fromhex(self.proof), certified_text(self.owner, self.public_key))
        except (ValueError, IndexError, InvalidSignature) as error:
            raise FederationError("the key of its certificate did not sign the owner's key") from error


def certified_text(owner: str, public_key: str) -> bytes:
    """What the key of a certificate signs for an owner."""
    return _PROOF + json.dumps([owner, public_key]).encode()


def certify(chain: Path, key: Path, owner: str, public_key: str, password: bytes | None = None) -> CertifiedKey:
    """An owner's key with its institution's certificate, not yet signed by the owner itself.

    Args:
        chain: PEM of the certificate, and of those between it and the authority.
        key: PEM of the certificate's private key: RSA, elliptic curve or Ed25519.
        owner: Short name.
        public_key: Hex of the owner's key.
        password: Of the private key's file.

    Raises:
        ConfigError: files that cannot be used, or do not belong together.
    """
    try:
        leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
        private = serialization.load_pem_private_key(key.read_bytes(), password=password)
        proof = _sign(private, certified_text(owner, public_key))
        _verify(leaf.public_key(), proof, certified_text(owner, public_key))
    except InvalidSignature as error:
        raise ConfigError(f"{key}: is not the key of the certificate in {chain}") from error
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise ConfigError(f"{chain}, {key}: a certificate and its private key in PEM are needed ({error})") from error
    return CertifiedKey(public_key=public_key, owner=owner, chain=chain.read_text("ascii"), proof=proof.hex())


def read_roots(path: Path) -> list[x509.Certificate]:
    """The authorities that a file names.

    Raises:
        ConfigError: it holds no certificate.
    """
    try:
        found = x509.load_pem_x509_certificates(path.expanduser().read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: holds no PEM certificates of authorities") from error
    return found


def subject_of(document: CertifiedKey, roots: Sequence[x509.Certificate], at: datetime) -> str:
    """Whom an authority certified: the subject of the certificate, as RFC 4514 writes it.

    Args:
        document: The owner's, already checked.
        roots: The authorities that are trusted.
        at: For which the certificates must hold.

    Raises:
        FederationError: no chain of certificates leads to one of them.
    """
    leaf, *between = x509.load_pem_x509_certificates(document.chain.encode())
    # A client certificate, a mail certificate or a seal will do: what counts is who is named, and by whom.
    leaves = ExtensionPolicy.permit_all()
    try:
        builder = PolicyBuilder().store(Store(list(roots))).time(at)
        builder = builder.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaves)
        builder.build_client_verifier().verify(leaf, between)
    except (VerificationError, ValueError) as error:
        raise FederationError(f"no authority that is trusted here certified '{document.owner}': {error}") from error
    return leaf.subject.rfc4514_string()


def read_proof(text: str) -> CoSignature | CertifiedKey | KeyRotation:
    """One of the three kinds of documents that say whose a key is.

    Raises:
        FederationError: it is none, or its signature does not fit.
    """
    kinds = {kind.__name__: kind for kind in (CoSignature, CertifiedKey, KeyRotation)}
    try:
        named = json.loads(text).get("paper")
    except (ValueError, AttributeError, RecursionError) as error:
        raise FederationError(f"it is no proof of whose a key is: {error}") from error
    if named not in kinds:
        raise FederationError("it is no proof of whose a key is")
    return kinds[named].from_json(text)


Proof = CoSignature | CertifiedKey | KeyRotation
"""A document that says whose a key is."""


@dataclass(frozen=True, kw_only=True)
class Vouching:
    """How many words make an owner known.

    Attributes:
        cosigners: Members that must have signed a newcomer's key; members are those who are known themselves.
        roots: Authorities whose certificate is enough.
    """

    cosigners: int
    roots: Sequence[x509.Certificate] = ()


def known_keys(
    given: Collection[Key],
    proofs: Iterable[Proof],
    vouching: Vouching,
    at: datetime,
) -> set[Key]:
    """Everyone who is known: those given, those certified, and whom enough of the known signed, over and over.

    A certificate's subject stands for one owner only, the first by name: else whoever has one could certify puppets.
    So does a name for one key: a given one stays, whatever others sign, unless its own key signed another.

    Args:
        given: Known from the start.
        proofs: Checked documents.
        vouching: What makes an owner known.
        at: The time at which certificates must hold.
    """
    proofs = list(proofs)
    known = set(given)
    names = {owner for owner, _ in given}
    for key in _certified(proofs, vouching.roots, at):
        if key[0] not in names:
            known.add(key)
            names.add(key[0])
    words: dict[Key, set[str]] = {}
    while True:
        before = len(known)
        for proof in proofs:
            if isinstance(proof, KeyRotation) and (proof.owner, proof.public_key) in known:
                known.add((proof.owner, proof.new_key))
            elif isinstance(proof, CoSignature) and (proof.by, proof.public_key) in known:
                words.setdefault((proof.owner, proof.owner_key), set()).add(proof.by)
        for key, members in sorted(words.items()):
            if len(members) >= vouching.cosigners and key[0] not in names:
                known.add(key)
                names.add(key[0])
        if len(known) == before:
            return known


def proofs_digest(texts: Iterable[str]) -> str:
    """What two sides compare to see whether they have the same documents."""
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:32]


def _certified(proofs: Iterable[Proof], roots: Sequence[x509.Certificate], at: datetime) -> list[Key]:
    """Owners that an authority certified, one for each subject."""
    by_subject: dict[str, Key] = {}
    documents = [proof for proof in proofs if isinstance(proof, CertifiedKey)]
    for document in sorted(documents, key=lambda each: (each.owner, each.public_key)) if roots else ():
        try:
            subject = subject_of(document, roots, at)
        except FederationError:
            continue
        by_subject.setdefault(subject, (document.owner, document.public_key))
    return list(by_subject.values())


def _check_key(owner: str, key: str) -> None:
    try:
        PublicKey.from_hex(key)
    except ConfigError as error:
        raise FederationError(str(error)) from error
    if not SLUG.fullmatch(owner):
        raise FederationError(f"'{owner[:80]}' cannot be an owner's name")


def _sign(key: object, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    raise ValueError("the key is neither RSA, nor elliptic curve, nor Ed25519")


def _verify(key: object, signature: bytes, data: bytes) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, data)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        raise InvalidSignature("neither RSA, nor elliptic curve, nor Ed25519")
