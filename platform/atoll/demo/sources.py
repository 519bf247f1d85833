"""The four silos of the demo: whose text, how much of it, in which form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atoll.demo import hospital, law_firm, library, software_house
from atoll.demo.documents import Document
from atoll.demo.formats import write_files, write_jsonl, write_parquet


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """How one silo is made.

    Attributes:
        name: The silo's name: lower case and hyphens.
        domain: What the text is, in a few words.
        package: What the text is taken from, and its ``version``.
        licence: Of the text, and of the package where it differs.
        characters: How much text the silo gets at scale 1.
        format: ``text``, ``jsonl`` or ``parquet``.
        field: The field or column with the text; empty for ``text``.
        files: Glob of the data below the silo's ``data`` folder.
        read: All documents of the source.
        write: Lays documents down in a folder.
    """

    name: str
    domain: str
    package: str
    version: str
    licence: str
    characters: int
    format: str
    field: str
    files: str
    read: Callable[[], list[Document]]
    write: Callable[[Path, Sequence[Document]], None]


SOURCES = (
    Source(
        name="hospital",
        domain="diseases and injuries (ICD-10-CM)",
        package=hospital.PACKAGE,
        version=hospital.VERSION,
        licence="public domain (US government); package MIT",
        characters=1_200_000,
        format="jsonl",
        field="text",
        files="*.jsonl",
        read=hospital.read,
        write=write_jsonl,
    ),
    Source(
        name="law-firm",
        domain="licences and terms of service",
        package=law_firm.PACKAGE,
        version=law_firm.VERSION,
        licence="CC-BY-4.0 (collection by nexB Inc. and others)",
        characters=4_000_000,
        format="text",
        field="",
        files="*.txt",
        read=law_firm.read,
        write=write_files,
    ),
    Source(
        name="library",
        domain="scripture (King James Bible)",
        package=library.PACKAGE,
        version=library.VERSION,
        licence="public domain (Crown rights in the United Kingdom); package MIT",
        characters=2_400_000,
        format="parquet",
        field="text",
        files="*.parquet",
        read=library.read,
        write=write_parquet,
    ),
    Source(
        name="software-house",
        domain="program code (Python's standard library)",
        package=software_house.PACKAGE,
        version=software_house.VERSION,
        licence="PSF-2.0",
        characters=6_000_000,
        format="text",
        field="",
        files="**/*.py",
        read=software_house.read,
        write=write_files,
    ),
)
