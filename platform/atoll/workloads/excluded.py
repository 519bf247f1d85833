"""Records that an owner's data must not hold any more: known by keyed digests of what they hold, by nothing else."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Excluded:
    """A list of records that are passed over wherever the data is read, also when they are added again.

    A digest is of what identifies a record: the text of a document, the number of a person, the values of a row. It is
    keyed, so that whoever sees the list without the key cannot try out what may be on it.

    Attributes:
        key: 32 secret bytes.
        digests: Of the records, hexadecimal.
    """

    key: bytes = field(repr=False)
    digests: frozenset[str] = frozenset()

    def digest(self, content: bytes) -> str:
        """Of one record: BLAKE2b in its keyed mode (RFC 7693), 128 bits."""
        return hashlib.blake2b(content, key=self.key, digest_size=16).hexdigest()

    def holds(self, content: bytes) -> bool:
        """Whether this record is on the list."""
        return bool(self.digests) and self.digest(content) in self.digests

    def having(self, contents: Iterable[bytes]) -> "Excluded":
        """The list of just these records, under the same key."""
        return Excluded(self.key, frozenset(map(self.digest, contents)))

    def joined(self, other: "Excluded") -> "Excluded":
        """What is on either list."""
        return Excluded(self.key, self.digests | other.digests)
