"""Make ``public_text.jsonl.gz``, the excerpts that ship with Atoll: ``python -m atoll.benchmarks.anchor.sample``."""

import argparse
import gzip
import hashlib
import json
from pathlib import Path

from atoll.benchmarks.anchor.corpus import documents, fetch

_SOURCES = ("speeches", "novels", "mathematics", "manuals")
_EACH = 80
_CHARACTERS = 1500


def main() -> None:
    """Fetch the text and write the excerpts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/atoll/anchor-corpus")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    fetch(args.cache)
    by_domain = documents(args.cache)
    picked = {source: _pick(by_domain[source]) for source in _SOURCES}
    with args.out.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as handle:
        for row in zip(*picked.values(), strict=True):
            for source, text in zip(_SOURCES, row, strict=True):
                handle.write(json.dumps({"source": source, "text": text}).encode() + b"\n")


def _pick(texts: list[str]) -> list[str]:
    """Excerpts of documents chosen by hash, from the first sentence end after their middle."""
    chosen = sorted((t for t in texts if len(t) > 400), key=lambda t: hashlib.sha256(t.encode()).digest())[:_EACH]
    excerpts = []
    for text in chosen:
        start = text.find(". ", len(text) // 2 if len(text) > 2 * _CHARACTERS else 0) + 2
        excerpts.append(text[start : start + _CHARACTERS] if len(text) > 2 * _CHARACTERS else text[:_CHARACTERS])
    return excerpts


if __name__ == "__main__":
    main()
