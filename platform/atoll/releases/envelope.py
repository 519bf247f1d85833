"""The signed envelope of a release: who made it, under which number, after which, and until when it is vouched for.

The smallest form of The Update Framework's ideas (Samuel et al., CCS 2010) that fits: an increasing number against
going back to an older release (rollback), an expiry against being kept on one (freeze), and the release before.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from atoll.errors import FederationError, MixtureError
from atoll.experts.documents import SignedDocument
from atoll.experts.files import write_atomic
from atoll.experts.signing import PublicKey, Signer
from atoll.releases.release import Release

ENVELOPE = "envelope.json"


@dataclass(frozen=True, kw_only=True)
class ReleaseEnvelope(SignedDocument):
    """What a coordinator signs of a release.

    Attributes:
        number: Of the release; the next one's is higher, even where it holds what an earlier one held.
        release: Content digest, :attr:`~atoll.releases.release.Release.digest`.
        description: ``sha256:…`` of the bytes of ``release.json``, and with them of every member's package, key and
            the shared part, which the content digest leaves out in part.
        issued: When it was signed: ISO 8601, UTC.
        expires: From when on it is refused, in the same form; empty for never.
        head: Where the ledger stood, ``number:digest``; empty where there is none.
        previous: :attr:`identity` of the envelope of the release before; empty for the first.
    """

    number: int
    release: str
    description: str
    issued: str
    expires: str
    head: str
    previous: str

    @property
    def identity(self) -> str:
        """Digest of what an envelope keeps when it is signed anew: all but its times, its ledger head and signature."""
        kept = [self.public_key, self.number, self.release, self.description, self.previous]
        raw = json.dumps(kept, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(b'atoll release envelope 1' + raw.encode()).hexdigest()}"

    @property
    def signer(self) -> PublicKey:
        """Whose signature it bears."""
        return PublicKey.from_hex(self.public_key)

    def expired(self, now: datetime) -> bool:
        """Whether it is vouched for no more at ``now``."""
        return bool(self.expires) and now >= datetime.fromisoformat(self.expires)

    def check(self) -> None:
        """Also that its times are times."""
        super().check()
        try:
            times = [datetime.fromisoformat(text) for text in (self.issued, self.expires) if text]
        except ValueError as error:
            raise FederationError(f"its times are none: {error}") from error
        if any(time.tzinfo is None for time in times):
            raise FederationError("its times lack a zone")


@dataclass(frozen=True, slots=True)
class Issuer:
    """How releases are signed.

    Attributes:
        key: The coordinator's.
        days: How long a signature holds; 0 for ever.
        head: Where the ledger stands, ``number:digest``; empty where there is none.
        previous: Identity of the envelope before; empty for none.
    """

    key: Signer
    days: int = 0
    head: str = ""
    previous: str = ""

    def sign(self, release: Release, description: bytes) -> ReleaseEnvelope:
        """The envelope of a release whose ``release.json`` has these bytes."""
        issued = datetime.now(UTC)
        expires = (issued + timedelta(days=self.days)).isoformat(timespec="seconds") if self.days else ""
        unsigned = ReleaseEnvelope(
            public_key=self.key.public.hex,
            number=release.number,
            release=release.digest,
            description=digest_of(description),
            issued=issued.isoformat(timespec="seconds"),
            expires=expires,
            head=self.head,
            previous=self.previous,
        )
        return unsigned.signed(self.key)


def renewed(folder: Path, issuer: Issuer) -> ReleaseEnvelope:
    """Sign a release's envelope anew with fresh times and ledger head; its identity stays.

    Raises:
        MixtureError: it has none, or it is another signer's.
    """
    envelope = read_envelope(folder)
    if envelope is None or envelope.public_key != issuer.key.public.hex:
        raise MixtureError(f"{folder}: has no envelope of this signer's, so it is not signed anew")
    issued = datetime.now(UTC)
    made = replace(
        envelope,
        issued=issued.isoformat(timespec="seconds"),
        expires=(issued + timedelta(days=issuer.days)).isoformat(timespec="seconds") if issuer.days else "",
        head=issuer.head,
    ).signed(issuer.key)
    made.save(folder / ENVELOPE)
    return made


def write_envelope(folder: Path, envelope: ReleaseEnvelope) -> None:
    """Write it beside ``release.json``."""
    write_atomic(folder / ENVELOPE, envelope.to_json().encode())


def read_envelope(folder: Path) -> ReleaseEnvelope | None:
    """The envelope, its signature checked against the key that it names; ``None`` where there is none.

    Raises:
        MixtureError: it cannot be read, or was changed.
    """
    if not (folder / ENVELOPE).exists():
        return None
    try:
        return ReleaseEnvelope.load(folder / ENVELOPE)
    except FederationError as error:
        raise MixtureError(f"{error}; get the release's folder again from its coordinator") from error


def digest_of(data: bytes) -> str:
    """``sha256:…`` of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
