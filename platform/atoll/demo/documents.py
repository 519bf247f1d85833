"""What a source hands over, without near copies, and a fixed choice of it."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W\d_]+")  # letters only: a copy with other numbers is a copy
_SHINGLE = 8
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Document:
    """One text and what it is called in its source: a code, a chapter, a relative path."""

    key: str
    text: str


def distinct(documents: Iterable[Document], overlap: float = 0.3) -> list[Document]:
    """Drop near copies, so that a document's copy cannot sit in train while the document is in test.

    Licences quote each other and injuries are listed by the limb. A document goes when more than ``overlap`` of its
    runs of eight words stand in documents kept before it. The longest come first, so of a text and a part of it the
    whole text stays. The order of ``documents`` does not matter; the result is sorted by key.
    """
    seen: set[int] = set()
    kept = []
    for document in sorted(documents, key=lambda each: (-len(each.text), each.key)):
        shingles = _shingles(document.text)
        if shingles and sum(shingle in seen for shingle in shingles) <= overlap * len(shingles):
            kept.append(document)
            seen |= shingles
    return sorted(kept, key=lambda each: each.key)


def choose(documents: Iterable[Document], characters: int) -> list[Document]:
    """About ``characters`` of text, the same for everybody: in the order of the keys' hash; the result by key."""
    chosen = []
    for document in sorted(documents, key=lambda each: hashlib.sha256(each.key.encode()).digest()):
        if characters <= 0:
            break
        chosen.append(document)
        characters -= len(document.text)
    return sorted(chosen, key=lambda each: each.key)


def _shingles(text: str) -> set[int]:
    """Hashes of all runs of eight words; of the whole text where it has fewer."""
    words = np.array([_word_hash(word) for word in _WORD.findall(text.lower())], np.uint64)
    run = min(_SHINGLE, len(words))
    if run == 0:
        return set()
    starts = len(words) - run + 1
    hashes: NDArray[np.uint64] = np.zeros(starts, np.uint64)
    for offset in range(run):
        hashes = hashes * _MULTIPLIER + words[offset : offset + starts]
    return set(hashes.tolist())


def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
