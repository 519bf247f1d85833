import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from atoll.errors import DataError
from atoll.workloads.text import TextConfig
from atoll.workloads.text.sources import Document, documents


def texts(path: Path, **values: Any) -> list[str]:
    return [document.text for document in documents(TextConfig(paths=[str(path)], **values))]


def lines(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return path


def table(path: Path, **columns: Any) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def test_plain_text_is_one_document_a_file(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes("Größe\r\n\r\n東京 🦜".encode())
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfwith a mark")
    (tmp_path / "c.txt").write_text(" \n\n ")
    (tmp_path / "d.txt").write_bytes(b"")
    name = tmp_path.name
    assert list(documents(TextConfig(paths=[str(tmp_path)]))) == [
        Document(f"{name}/a.txt#0", "with a mark", 14),
        Document(f"{name}/b.txt#0", "Größe\n\n東京 🦜", 22),
    ]


def test_paragraphs_are_grouped_at_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(b"\n1234\n5678\n\nab\n \t\n\ncdefghijkl\r\n\r\nlast")
    assert texts(path, document="paragraphs", paragraph_characters=11) == [
        "\n1234\n5678\n\n",
        "ab\n \t\n\ncdefghijkl\n\n",
        "last",
    ]


@given(text=st.text(alphabet="ab \n", max_size=200), least=st.integers(1, 30))
def test_no_character_is_lost_between_paragraphs(
    tmp_path_factory: pytest.TempPathFactory, text: str, least: int
) -> None:
    path = tmp_path_factory.mktemp("p") / "t.txt"
    path.write_text(text, "utf-8")
    groups = texts(path, document="paragraphs", paragraph_characters=least)
    assert "".join(groups) == (text if text.strip() else "")
    assert all(len(group) >= least for group in groups[:-1])


def test_json_lines(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"body": "naïve\nline"}, {"body": ""}, {"body": "two", "text": 3})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n   \n" + b'{"body": "\\u00e9"}')
    found = list(documents(TextConfig(paths=[str(path)], field="body")))
    assert [document.text for document in found] == ["naïve\nline", "two", "é"]
    assert [document.id for document in found] == ["a.jsonl#0", "a.jsonl#1", "a.jsonl#2"]
    assert found[-1].read == path.stat().st_size


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "cut', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"text": "x"} {"text": "y"}', "not valid JSON"),
        ('["text"]', "a JSON array, not an object"),
        ('"text"', "a JSON string, not an object"),
        ('{"txt": "x", "id": 1}', r"no field 'text': there are txt, id; did you mean field=txt\?"),
        ("{}", "no field 'text': there are none"),
        ('{"text": null}', "field 'text' is a JSON null, not a string"),
        ('{"text": 5}', "field 'text' is a JSON number, not a string"),
        ('{"text": ["x"]}', "field 'text' is a JSON array, not a string"),
        (r'{"text": "ab\ud800"}', "field 'text' has half of a surrogate pair at character 2"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "good"}\n\n' + line + "\n")
    with pytest.raises(DataError, match=rf"bad\.jsonl:3: {reason}"):
        texts(path)


@pytest.mark.parametrize("document", ["file", "paragraphs"])
def test_bytes_that_are_not_utf8(tmp_path: Path, document: str) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes(b"first\n\nGr\xf6sse\n")
    with pytest.raises(DataError, match=r"old\.txt: byte 9 \(0xf6\) is not UTF-8.*iconv -f WINDOWS-1252 -t UTF-8"):
        texts(path, document=document)
    path.write_bytes("\ufefftext".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"old\.txt: byte 0 \(0xff\) is not UTF-8.*iconv -f UTF-16 -t UTF-8"):
        texts(path, document=document)
    path.write_bytes(b"ab\n\0")
    with pytest.raises(DataError, match=r"old\.txt: byte 3 is zero.*leave the file out"):
        texts(path, document=document)


def test_bytes_of_a_mark_count_in_the_offset(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\0")
    with pytest.raises(DataError, match="byte 4 is zero"):
        texts(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\xff")
    with pytest.raises(DataError, match=r"byte 4 \(0xff\)"):
        texts(tmp_path)


def test_undecodable_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n')
    with pytest.raises(DataError, match=r"byte 24 \(0xff\) is not UTF-8"):
        texts(path)


def test_parquet(tmp_path: Path) -> None:
    values = [f"Zeile {number} ü" for number in range(1000)]
    path = table(tmp_path / "a.parquet", id=list(range(1000)), body=values)
    found = list(documents(TextConfig(paths=[str(path)], field="body")))
    assert [document.text for document in found] == values
    assert [found[0].id, found[999].id] == ["a.parquet#0", "a.parquet#999"]
    assert found[-1].read == path.stat().st_size


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_other_kinds_of_strings(tmp_path: Path, kind: Any) -> None:
    path = table(tmp_path / "a.parquet", text=pa.array(["x", "y", "x"]).cast(kind))
    assert texts(path) == ["x", "y", "x"]


def test_bad_parquet(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", txt=["x"], id=[1], holes=["x", None][:1], raw=[b"x"])
    with pytest.raises(DataError, match=r"a\.parquet: no column 'text': there are txt, id, holes, raw; did you.*txt"):
        texts(path)
    with pytest.raises(DataError, match="column 'id' holds int64, not strings"):
        texts(path, field="id")
    with pytest.raises(DataError, match="column 'raw' holds binary, not strings"):
        texts(path, field="raw")
    table(path, text=["x", "y", None])
    with pytest.raises(DataError, match=r"a\.parquet: row 2 of column 'text' is null"):
        texts(path)
    table(path, text=["x" * 50] * 5000)
    raw = path.read_bytes()
    for broken in (
        b"",
        b"PAR1",
        raw[:-20],
        b"nothing of the sort",
        raw[:8] + bytes(len(raw) // 2) + raw[len(raw) // 2 :],
    ):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"a\.parquet: no readable Parquet file"):
            texts(path)


def test_bytes_in_a_parquet_string_that_are_not_utf8(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"a\xff"]).buffers())
    path = table(tmp_path / "a.parquet", text=bad)
    with pytest.raises(DataError, match="no readable Parquet file"):
        texts(path)


def test_a_file_that_disappears(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("x")
    reading = documents(TextConfig(paths=[str(tmp_path)]))
    next(reading)
    (tmp_path / "b.txt").unlink()
    with pytest.raises(DataError, match=r"b\.txt: cannot be read"):
        next(reading)
