"""What stands in a table of the status, and how digests, moments and what others wrote read in it."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from atoll.coordinator.report.wording import NOTHING, time_text

GOOD, NOTE, BAD = "good", "note", "bad"
"""How a cell is marked; its words say the same."""
_DIGEST = 19
_MIRRORED = set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of text, and so what a line seems to say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: The first line.
        more: Lines below it.
        mark: ``good``, ``note``, ``bad`` or empty.
        moment: ISO 8601, where the text is a moment.
        whole: All of a digest, where the text is the beginning of it.
        share: Steps done and in all, where the text says how far work is.
    """

    text: str
    more: tuple[str, ...] = ()
    mark: str = ""
    moment: str = ""
    whole: str = ""
    share: tuple[int, int] | None = None


def moment_text(moment: str) -> str:
    """A moment for people, to the second."""
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def since_text(moment: str, now: str) -> str:
    """How long ago a moment was."""
    seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(moment)).total_seconds()
    return f"{time_text(round(seconds))} ago".replace(".0 s", " s") if seconds >= 1 else "just now"


def moment_cell(moment: str | None) -> Cell:
    """A moment, if it is known."""
    return Cell(text=NOTHING) if moment is None else Cell(text=moment_text(moment), moment=moment)


def digest_cell(digest: str, *more: str) -> Cell:
    """The beginning of a digest, with lines below it."""
    return Cell(text=short_digest(digest), more=more, whole=clean(digest))


def short_digest(digest: str) -> str:
    """As much of a digest as tells it from others."""
    return clean(digest)[:_DIGEST]


def lines(text: str) -> tuple[str, ...]:
    """What someone said as lines of a cell: one, or none where nothing was said."""
    return (clean(text),) if text.strip() else ()


def counts(counted: Counter[str]) -> str:
    """How many there are of each."""
    return ", ".join(f"{number} {clean(name)}" for name, number in sorted(counted.items())) or "none"


def clean(text: str) -> str:
    """One line, without what moves a terminal's cursor, turns a line around, or cannot be sent."""
    words = " ".join(text.split())
    return "".join(each for each in words if unicodedata.category(each) not in ("Cc", "Cs") and each not in _MIRRORED)
