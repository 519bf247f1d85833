"""How a federation stands at one moment, as plain values with a strict JSON form; moments are ISO 8601 in UTC."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Self

from atoll.config.decode import decode_json, encode_json

ALIVE, SILENT, NONE, UNKNOWN = "alive", "silent", "none", "unknown"
"""How a node stands; none where the owner hands its packages over as files, unknown where no server is running."""
GIVEN, RESTRICTED, WITHDRAWN = "given", "restricted", "withdrawn"
"""How consent stands."""


@dataclass(frozen=True, kw_only=True)
class OwnerStatus:
    """An institution.

    Attributes:
        owner: Its short name.
        domain: What its data is about, in its own words.
        fingerprint: Of its key; empty where what was written is no key.
        admitted: When.
        revoked: Why it may no longer take part; empty while it may.
        node: ``alive``, ``silent``, ``none`` or ``unknown``.
        seen: When its node answered last; ``None`` where it has not since the server started.
        bytes_from: Bytes that the ledger says came from it.
        bytes_to: Bytes that the ledger says went to it.
        received: Bytes that came from it since the server started; ``None`` where none is running.
        sent: Bytes that went to it since the server started; ``None`` where none is running.
        barred: Why its node is given no work although it answers; empty where it is given some.
    """

    owner: str
    domain: str
    fingerprint: str
    admitted: str
    revoked: str
    node: str
    seen: str | None
    bytes_from: int
    bytes_to: int
    received: int | None
    sent: int | None
    barred: str = ""


@dataclass(frozen=True, kw_only=True)
class ExpertStatus:
    """An accepted expert, and what its owner permits.

    Attributes:
        expert: Digest of the package.
        owner: Whose.
        accepted: When.
        consent: ``given``, ``restricted`` or ``withdrawn``.
        since: When that was said.
        purposes: What for; none where it is withdrawn.
        until: The last day of it; ``None`` for no end.
        statement: In the owner's words.
        usable: Whether any use of it is permitted at this moment.
        flagged: Nats a token that it costs, by the owner on whose data it does harm.
        releases: Numbers of the releases that hold it.
    """

    expert: str
    owner: str
    accepted: str
    consent: str
    since: str
    purposes: list[str]
    until: str | None
    statement: str
    usable: bool
    flagged: dict[str, float]
    releases: list[int]


@dataclass(frozen=True, kw_only=True)
class MemberStatus:
    """An expert of a release.

    Attributes:
        owner: Whose.
        expert: Digest of the package.
        usable: Whether any use of it is permitted at this moment.
    """

    owner: str
    expert: str
    usable: bool


@dataclass(frozen=True, kw_only=True)
class ReleaseStatus:
    """A release.

    Attributes:
        number: Counts up from 1.
        digest: Of what it computes.
        made: When.
        guarantee: What a withdrawal leaves.
        members: By owner.
        usable: Whether every member's owner still permits some use of it.
    """

    number: int
    digest: str
    made: str
    guarantee: str
    members: list[MemberStatus]
    usable: bool


@dataclass(frozen=True, kw_only=True)
class CallStatus:
    """A call for work about which more is to be done.

    Attributes:
        call: Content address of the call.
        work: What kind of work.
        since: When it was called.
        owners: Whom it is for; empty for everyone.
        done: Units of it that are finished.
        open: Units of it that are not.
    """

    call: str
    work: str
    since: str
    owners: list[str]
    done: int
    open: int


@dataclass(frozen=True, kw_only=True)
class WorkStatus:
    """Work that an owner was asked for and that is not finished.

    Attributes:
        owner: Who.
        unit: Content address of the work unit.
        work: What kind of work.
        since: When the server first heard of it; ``None`` where it has not.
        done: Steps done, as far as is known.
        total: Steps in all; 0 where that is not known.
        note: In the node's words.
    """

    owner: str
    unit: str
    work: str
    since: str | None
    done: int
    total: int
    note: str


@dataclass(frozen=True, kw_only=True)
class FailureStatus:
    """Something that went wrong.

    Attributes:
        owner: At whom; empty where it is nobody's.
        what: What was tried.
        reason: Why it failed.
        at: When; ``None`` where the ledger alone knows of it.
    """

    owner: str
    what: str
    reason: str
    at: str | None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All of it.

    Attributes:
        at: When this was so.
        started: When the server started; ``None`` where none is running.
        sequence: How many events the ledger has.
        head: Digest of the last one.
        owners: By name.
        experts: In order of acceptance.
        releases: The newest first.
        calls: In order.
        work: By owner.
        failures: The newest first; those without a time come last.
        failed: How many failures there were since the server started; ``None`` where none is running.
        unready: Why nodes cannot connect or no work is done; empty where they can and it is.
        restarts: How often the server's engine had to be started again.
    """

    at: str
    started: str | None
    sequence: int
    head: str
    owners: list[OwnerStatus]
    experts: list[ExpertStatus]
    releases: list[ReleaseStatus]
    calls: list[CallStatus]
    work: list[WorkStatus]
    failures: list[FailureStatus]
    failed: int | None
    unready: str = ""
    restarts: int = 0

    @property
    def admitted(self) -> list[OwnerStatus]:
        """The owners that may take part."""
        return [owner for owner in self.owners if not owner.revoked]

    @property
    def alive(self) -> int:
        """How many of those have a node that answers."""
        return sum(owner.node == ALIVE for owner in self.admitted)

    @property
    def silent(self) -> int:
        """How many of those have a node that does not."""
        return sum(owner.node == SILENT for owner in self.admitted)

    def to_json(self) -> str:
        """Sorted by name, in ASCII, so that whatever a node said can be sent and printed.

        Half a character, as a file's name may hold, comes out as "?": nobody could read it back.
        """
        whole = json.dumps(dataclasses.asdict(self), ensure_ascii=False).encode(errors="replace")
        return encode_json(json.loads(whole), sort_keys=True, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read :meth:`to_json`.

        Raises:
            DataError: not JSON, an unknown or missing field, a wrong type.
        """
        value = decode_json(text, cls, "status")
        assert isinstance(value, cls)
        return value
