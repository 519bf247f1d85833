"""A fact: a value with a strict JSON form. Files that declare facts register them by :func:`known_fact`."""

import abc
import dataclasses
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from atoll.config.decode import FOREIGN, decode_json, encode_json
from atoll.errors import DataError, FederationError, LedgerError
from atoll.experts.documents import SignedDocument

KINDS: dict[str, type["Fact"]] = {}
"""Every fact that this version knows, by its kind."""
_WRITTEN = dataclasses.replace(FOREIGN, clamp=True)
"""What earlier versions wrote of an infinite harm is read as the largest: a ledger must open, and compare."""
_F = TypeVar("_F", bound="Fact")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Base of all facts; ``kind`` names each in the ledger, and never changes its meaning."""

    kind: ClassVar[str]

    def to_json(self) -> str:
        """Sorted and compact, so that equal facts are equal text.

        Raises:
            LedgerError: a number is not finite.
        """
        try:
            return encode_json(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        except DataError as error:
            raise LedgerError(f"a fact '{self.kind}' {error}") from error


@dataclass(frozen=True, kw_only=True)
class SignedFact(Fact, abc.ABC):
    """Base of facts that are a document with its signature, word for word.

    Whether the signer may say so is for the fold: see :meth:`atoll.ledger.state.State.signer`.

    Attributes:
        document: The canonical line of a signed document (:meth:`SignedDocument.to_line`).
    """

    document: str

    @abc.abstractmethod
    def read(self) -> SignedDocument:
        """The document, its signature verified.

        Raises:
            LedgerError: it is another kind of document, is not in canonical form, or its signature does not fit.
        """


_D = TypeVar("_D", bound=SignedDocument)


def read_document(text: str, kind: type[_D]) -> _D:
    """A signed document from its canonical line, verified.

    Raises:
        LedgerError: it is another kind of document, is not in canonical form, or its signature does not fit.
    """
    try:
        found = kind.from_json(text)
    except FederationError as error:
        raise LedgerError(f"no {kind.__name__} that is signed as it should be: {error}") from error
    if found.to_line() != text or found.signature != found.signature.lower():
        raise LedgerError(f"a {kind.__name__} is not written in its canonical form")
    return found


def known_fact(fact: type[_F]) -> type[_F]:
    """Class decorator: ledgers may hold this fact."""
    assert KINDS.setdefault(fact.kind, fact) is fact, f"two facts are called {fact.kind}"
    return fact


def fact_from_json(kind: str, text: str) -> Fact:
    """Read :meth:`Fact.to_json`.

    Raises:
        LedgerError: an unknown kind, or not a fact of this kind.
    """
    if kind not in KINDS:
        raise LedgerError(f"there is no fact '{kind}' in this version of Atoll: it knows {', '.join(KINDS)}")
    try:
        fact = decode_json(text, KINDS[kind], kind, _WRITTEN)
    except DataError as error:
        raise LedgerError(f"what is written is no {kind}: {error}") from error
    assert isinstance(fact, Fact)
    return fact
