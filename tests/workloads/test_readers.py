"""Text as people have it: compressed, quoted, nested, damaged; and what its owner is told of it."""

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from atoll.errors import ConfigError, DataError
from atoll.workloads import compressed
from atoll.workloads.csv_rows import open_csv
from atoll.workloads.reading import ReadReport, Tally
from atoll.workloads.text import TextConfig, json_records
from atoll.workloads.text.check import check
from atoll.workloads.text.config import validate
from atoll.workloads.text.sources import documents

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda raw: gzip.compress(raw, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda raw: pa.Codec("zstd").compress(raw).to_pybytes(),
}
LINES = b'{"text": "one"}\n{"text": "two"}\n'


def texts(path: Path, **values: Any) -> list[str]:
    return [document.text for document in documents(TextConfig(paths=[str(path)], **values))]


def skipping(path: Path, **values: Any) -> tuple[list[str], ReadReport]:
    config = TextConfig(paths=[str(path)], on_error="skip", **values)
    tally = Tally("skip", compare=True)
    return [document.text for document in documents(config, None, tally)], tally.report()


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("suffix", ["own", "none", "misleading"])
def test_compressed_text_is_known_by_its_bytes(tmp_path: Path, name: str, suffix: str) -> None:
    end = {"own": f".jsonl.{name}", "none": ".jsonl", "misleading": ".jsonl.gz"}[suffix]
    path = tmp_path / f"notes{end}"
    path.write_bytes(COMPRESS[name](LINES))
    assert texts(path) == ["one", "two"]
    plain = tmp_path / f"plain.txt.{name}"
    plain.write_bytes(COMPRESS[name]("Größe".encode()))
    assert texts(plain) == ["Größe"]
    plain.write_bytes("Größe".encode())
    assert texts(plain) == ["Größe"]


@pytest.mark.parametrize("name", COMPRESS)
def test_a_stream_that_is_cut_off_is_one_error(tmp_path: Path, name: str) -> None:
    whole = COMPRESS[name](b"".join(b'{"text": "%d"}\n' % number for number in range(3000)))
    path = tmp_path / "notes.jsonl"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataError, match=r"notes\.jsonl: the \w+ file (ends before|is damaged)"):
        texts(path)


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("form", ["text", "jsonl", "csv"])
def test_a_stream_that_expands_beyond_all_measure_is_refused(
    tmp_path: Path, name: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "FREE", 1 << 16)
    path = tmp_path / "bomb"
    path.write_bytes(COMPRESS[name](bytes(1 << 25) if form == "text" else b"x" * (1 << 25)))
    with pytest.raises(DataError, match="expands to more than"):
        texts(path, format=form)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"%PDF-1.7\n1 0 obj", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "a PNG picture"),
        (b"PK\x03\x04" + bytes(22) + b"word/document.xml", "a Word document"),
        (b"PK\x03\x04" + bytes(22) + b"xl/workbook.xml", "an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document"),
        (b"\xff\xd8\xff\xe0", "a JPEG picture"),
        (b"{\\rtf1 text}", "an RTF document"),
        (b"PAR1\x15\x04", "a Parquet table"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (gzip.compress(gzip.compress(b"twice", mtime=0), mtime=0), "a gzip stream"),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a"])
def test_advice_fits_what_was_found(tmp_path: Path, head: bytes, told: str, name: str) -> None:
    (tmp_path / name).write_bytes(head)
    with pytest.raises(DataError, match=rf"this is {told}.*, not text") as error:
        texts(tmp_path)
    assert "1252" not in str(error.value)


CELLS = st.text(alphabet='a,"\n\r\té;', max_size=8)


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5), end=st.booleans(), mark=st.booleans())
def test_csv_of_any_quoting(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], end: bool, mark: bool
) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows([("id", "text"), *rows])
    path = tmp_path_factory.mktemp("c") / "t.csv"
    raw = written.getvalue() if end else written.getvalue()[:-2]
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + raw.encode())
    assert [row for _, row in open_csv(path).rows] == [list(row) for row in rows]


def test_csv_fields_of_any_size(tmp_path: Path) -> None:
    large = "x,\n" * 1_000_000
    path = tmp_path / "t.csv"
    path.write_text(f'id,text\n1,"{large}"\n2,"say ""so"""')
    assert texts(path) == [large, 'say "so"']


def test_a_table_is_no_prose(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,note\n1,fine\n")
    with pytest.raises(DataError, match=r"not read as prose: no column 'text': there are id, note.*field"):
        texts(tmp_path)
    assert texts(tmp_path, field="note") == ["fine"]
    assert texts(tmp_path, format="text") == ["id,note\n1,fine\n"]


def test_bad_csv_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,text\n1,a\n2\n3,"b"c\n4,d\n')
    found, report = skipping(path)
    assert found == ["a", "d"]
    assert report.bad == 2
    path.write_text('id,text\n1,a\n2,"never closed\n')
    with pytest.raises(DataError, match="never closed"):
        texts(path)
    path.write_bytes(b"id,text\n1,Gr\xf6\xdfe\n")
    with pytest.raises(DataError, match="not UTF-8"):
        texts(path)


@pytest.mark.parametrize("records", [[], [{"text": "a"}], [{"text": "x" * 3_000_000}, {"text": 'é"]}'}, {"text": "c"}]])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.json.gz"])
def test_a_json_array_is_a_file_of_records(
    tmp_path: Path, records: list[dict[str, str]], indent: int | None, name: str
) -> None:
    raw = json.dumps(records, indent=indent, ensure_ascii=False).encode()
    (tmp_path / name).write_bytes(COMPRESS["gz"](raw) if name.endswith("gz") else raw)
    assert texts(tmp_path) == [record["text"] for record in records]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(others=st.lists(VALUES, max_size=5), block=st.integers(1, 7), indent=st.none() | st.integers(0, 2))
def test_an_array_may_be_cut_anywhere(
    tmp_path_factory: pytest.TempPathFactory, others: list[Any], block: int, indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("j") / "a.json"
    records = [{"text": f"é{number}", "other": other} for number, other in enumerate(others)]
    path.write_text(json.dumps(records, indent=indent, ensure_ascii=False), "utf-8", errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_records, "_BLOCK", block)
        assert texts(path) == [record["text"] for record in records]


@pytest.mark.parametrize(
    "raw", ['[{"text": "a"},]', '[{"text": "a"}', '[{"text": "a"} {"text": "b"}]', '[{"text": "a"}] x', '[{"text": ']
)
def test_a_broken_array_is_one_error(tmp_path: Path, raw: str) -> None:
    (tmp_path / "a.json").write_text(raw)
    with pytest.raises(DataError, match=r"a\.json"):
        texts(tmp_path)


def test_an_object_that_fills_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"note": {"text": "a"}}, indent=2))
    assert texts(tmp_path, field="note.text") == ["a"]


def test_nested_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"note": {"text": "in", "parts": [{"t": "p"}]}, "note.id": "flat"}\n')
    assert texts(path, field="note.text") == ["in"]
    assert texts(path, field="note.parts.0.t") == ["p"]
    assert texts(path, field="note.id") == ["flat"]
    with pytest.raises(
        DataError, match=r"field 'note\.txt': no field 'txt': there are text, parts; did you mean 'text'"
    ):
        texts(path, field="note.txt")


def test_nested_parquet(tmp_path: Path) -> None:
    table = pa.table({"note": [{"text": "a", "tags": ["x", "y"]}, {"text": "b", "tags": ["z"]}, None]})
    parquet.write_table(table, tmp_path / "t.parquet")
    for field, expected in (("note.text", ["a", "b"]), ("note.tags.0", ["x", "z"])):
        found, report = skipping(tmp_path, field=field)
        assert found == expected
        assert report.skipped == {"null in place of a text": 1}
    with pytest.raises(DataError, match=r"holds struct.*note\.text"):
        texts(tmp_path, field="note")


def test_a_name_that_stands_twice_is_refused_everywhere(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,text\na,b\n")
    (tmp_path / "t.jsonl").write_text('{"text": "a", "text": "b"}\n')
    (tmp_path / "t.json").write_text('[{"text": "c", "inner": {"x": 1, "x": 2}}]')
    parquet.write_table(
        pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array([2])], ["text", "x", "x"]),
        tmp_path / "t.parquet",
    )
    for name in ("t.csv", "t.jsonl", "t.json", "t.parquet"):
        with pytest.raises(DataError, match=r"the name '(text|x)' stands there more than once"):
            texts(tmp_path / name)


def test_bad_records_are_named_up_to_ten_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join('{"text": "ok"}\n{"text": 5}\n' for _ in range(12)) + "{broken\n")
    (tmp_path / "b.txt").write_bytes(b"%PDF-1.4")
    with pytest.raises(DataError, match="14 records") as error:
        texts(tmp_path)
    assert str(error.value).count("a.jsonl:") == 10
    assert "on_error: skip" in str(error.value)
    found, report = skipping(tmp_path)
    assert found == ["ok"] * 12
    assert report.bad == 14
    assert report.skipped["field that is no text"] == 12
    assert report.duplicates == 11
    assert len(report.files_skipped) == 1
    assert len(report.named) == 10
    assert ReadReport.of(json.loads(json.dumps(report.plain()))) == report


def test_skipping_all_is_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"txt": "x"}\n')
    with pytest.raises(DataError, match=r"(?s)no readable document.*record without the field"):
        check(TextConfig(paths=[str(tmp_path)], on_error="skip"))
    with pytest.raises(ConfigError, match="on_error"):
        validate(TextConfig(paths=["x"], on_error="ignore"))
