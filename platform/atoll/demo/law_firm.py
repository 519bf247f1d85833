"""A law firm: licences, end-user agreements and terms of service, one document each."""

import re

from atoll.demo.documents import Document
from atoll.demo.packages import packaged

PACKAGE, VERSION = "licensedcode-data", "32.1.0"
_FOLDER = "licensedcode/data/licenses"
_FRONT_MATTER = re.compile(r"---\n(.*?)\n---\n(.*)", re.S)
_OTHER_LANGUAGE = re.compile(r"^language: (?!en\b)", re.M)
_SHORTEST = 1_000


def read() -> list[Document]:
    """The English texts of at least 1,000 characters; the YAML at their head is not part of them."""
    documents = []
    for path in sorted(packaged(PACKAGE, VERSION, _FOLDER).glob("*.LICENSE")):
        match = _FRONT_MATTER.match(path.read_text("utf-8"))
        if match and not _OTHER_LANGUAGE.search(match[1]) and len(match[2].strip()) >= _SHORTEST:
            documents.append(Document(f"{path.stem}.txt", match[2].strip() + "\n"))
    return documents
