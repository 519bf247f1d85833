"""The forms in which silos keep text. The demo's silos differ on purpose, so that it shows all of them."""

import json
from collections.abc import Sequence
from pathlib import Path

from atoll.demo.documents import Document
from atoll.errors import DataError


def write_jsonl(folder: Path, documents: Sequence[Document]) -> None:
    """One file of records with the fields ``code`` and ``text``."""
    with (folder / "records.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            file.write(json.dumps({"code": document.key, "text": document.text}, ensure_ascii=False) + "\n")


def write_parquet(folder: Path, documents: Sequence[Document]) -> None:
    """One table with the columns ``chapter`` and ``text``."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError("Parquet needs pyarrow, which is not installed; run: pip install 'atoll[text]'") from None
    table = pa.table({"chapter": [each.key for each in documents], "text": [each.text for each in documents]})
    pq.write_table(table, folder / "chapters.parquet", row_group_size=256)


def write_files(folder: Path, documents: Sequence[Document]) -> None:
    """One file a document; its key is the relative path."""
    for document in documents:
        path = folder / document.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document.text, encoding="utf-8", newline="\n")
