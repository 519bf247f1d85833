"""TLS certificates for a coordinator whose operator has none: a small authority of its own, by ``cryptography``."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from atoll.errors import ConfigError
from atoll.experts.files import write_atomic

_BACK = timedelta(days=2)
"""A clock that is behind must not refuse a certificate of today."""
_AUTHORITY_DAYS, _SERVER_DAYS = 3650, 825


@dataclass(frozen=True, slots=True)
class Tls:
    """Where a server's certificates are.

    Attributes:
        ca: PEM of the authority; nodes trust it.
        certificate: PEM of the server.
        key: Of the server's certificate.
    """

    ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, hosts: Sequence[str]) -> Tls:
    """Make what is missing: an authority once and for all, and a certificate for these hosts.

    Args:
        folder: New, or from an earlier call: its authority stays, so nobody's trust has to be renewed.
        hosts: Names and addresses by which nodes reach the server.

    Raises:
        ConfigError: a host that cannot be in a certificate, or an authority that cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = Tls(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    names = [_name(host) for host in hosts]
    if not made.ca.exists() or not (folder / "ca.key").exists():
        if made.ca.exists():
            raise ConfigError(
                f"{folder / 'ca.key'} is missing, and making another authority would lock every node out; put it back, "
                "or give certificates of your own: --certificate, --key and --ca"
            )
        _make_authority(folder)
    if not made.certificate.exists() or _hosts(made.certificate) != sorted(map(str, names)):
        _make_server(folder, names)
    return made


def expires(certificate: Path) -> datetime:
    """The moment from which a certificate is refused.

    Raises:
        ConfigError: there is no certificate.
    """
    return _load(certificate).not_valid_after_utc


def check_certificate(certificate: Path, key: Path) -> None:
    """Raise ConfigError where an operator's own certificate and key are none, or not each other's."""
    found = _load(certificate)
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{key}: holds no PEM private key without a password") from error
    if _public(private.public_key()) != _public(found.public_key()):
        raise ConfigError(f"{key} is not the key of {certificate}; give the pair that belongs together")


def _make_authority(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Atoll coordinator {key_digits(key)}")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(name, name, key.public_key(), _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    write_atomic(folder / "ca.key", _pem(key), mode=0o600)
    write_atomic(folder / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _make_server(folder: Path, names: Sequence[x509.GeneralName]) -> None:
    authority = _load(folder / "ca.crt")
    signer = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value)[:64])])
    certificate = (
        _builder(subject, authority.subject, key.public_key(), _SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA384())
    )
    write_atomic(folder / "server.key", _pem(key), mode=0o600)
    write_atomic(folder / "server.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACK)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not 0 < len(name) < 254:
        raise ConfigError(f"'{host[:80]}' is neither a host name nor an address")
    return x509.DNSName(name)


def _hosts(certificate: Path) -> list[str]:
    names = _load(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(map(str, names))


def _load(certificate: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{certificate}: holds no PEM certificate") from error


def key_digits(key: ec.EllipticCurvePrivateKey) -> str:
    """Eight digits that tell one authority from another."""
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:8]


def make_node_key(path: Path) -> bytes:
    """The key by which SuperLink knows a node; made where it is missing.

    Returns:
        The public half, PEM.
    """
    if not path.exists():
        key = ec.generate_private_key(ec.SECP384R1())
        write_atomic(path, _bytes(key, serialization.PrivateFormat.OpenSSH), mode=0o600)  # the form that Flower reads
    return _public(serialization.load_ssh_private_key(path.read_bytes(), password=None).public_key())


def _public(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return _bytes(key, serialization.PrivateFormat.PKCS8)


def _bytes(key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
