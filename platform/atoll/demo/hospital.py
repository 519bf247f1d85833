"""A hospital: the ICD-10-CM list of diseases and injuries, one document a category."""

from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from atoll.demo.documents import Document
from atoll.demo.packages import packaged

PACKAGE, VERSION = "simple-icd-10-cm", "1.5.0"
_FILE = "simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"
_NOTES = {
    "inclusionTerm": "Also",
    "includes": "Includes",
    "excludes1": "Excludes1",
    "excludes2": "Excludes2",
    "codeFirst": "Code first",
    "codeAlso": "Code also",
    "useAdditionalCode": "Use additional code",
    "notes": "Note",
    "sevenChrNote": "7th character",
}


def read() -> list[Document]:
    """About 1,900 categories, from A00 to U09: code, name, notes, and the same for every code below."""
    root = ElementTree.parse(packaged(PACKAGE, VERSION, _FILE)).getroot()
    categories = root.findall("./chapter/section/diag")
    return [Document(_text(category, "name"), "\n".join(_lines(category)) + "\n") for category in categories]


def _lines(code: Element) -> Iterator[str]:
    yield f"{_text(code, 'name')} {_text(code, 'desc')}"
    for child in code:
        if child.tag in _NOTES:
            yield f"{_NOTES[child.tag]}: " + "; ".join(_one_line(note) for note in child.findall("note"))
        elif child.tag == "sevenChrDef":
            yield "; ".join(f"{each.get('char')} {_one_line(each)}" for each in child.findall("extension"))
    for child in code.findall("diag"):
        yield from _lines(child)


def _text(parent: Element, tag: str) -> str:
    child = parent.find(tag)
    return "" if child is None else _one_line(child)


def _one_line(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())
