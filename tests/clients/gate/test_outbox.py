"""What left is known to the byte, whatever happened while it was written down."""

import hashlib
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.clients.gate import outbox as module
from atoll.clients.gate.outbox import Outbox, Sent, sent
from atoll.clients.gate.report import outbox_table
from atoll.errors import ConfigError

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.jsonl"


def said(nonce: str, text: str = "ε ≤ 2", chunk: bytes = b"") -> Sent:
    return sent("co-ord", "fetch", nonce, text, chunk, "sha256:b" if chunk else "", 3 if chunk else 0)


def nonces(path: Path) -> list[str]:
    return [entry.nonce for entry in Outbox(path).entries()]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As on a disk that is full: a write stops in its middle, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.binary(max_size=40)), max_size=6))
def test_every_message_comes_back_and_every_byte_is_counted(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("outbox") / "outbox.jsonl"
    box, written = Outbox(path), [said(str(number), *each) for number, each in enumerate(messages)]
    for each in written:
        box.write(each)
    assert list(Outbox(path).entries()) == written
    total = sum(len(text.encode()) + len(chunk) for text, chunk in messages)
    assert box.today() == Outbox(path).today() == total
    assert sum(each.bytes for each in written) == total


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_off_at_any_byte_it_keeps_every_whole_line_and_takes_the_next(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("outbox") / "outbox.jsonl"
    box, ends = Outbox(path), [0]
    for number in range(3):
        box.write(said(str(number), data.draw(TEXTS)))
        ends.append(path.stat().st_size)
    cut = data.draw(st.integers(0, ends[-1]))
    path.write_bytes(path.read_bytes()[:cut])
    whole = [str(number) for number, end in enumerate(ends[1:]) if end <= cut]
    again = Outbox(path)
    assert [entry.nonce for entry in again.entries()] == whole
    assert [str(number) for number in range(3) if again.answered(str(number))] == whole
    again.write(said("next"))
    assert nonces(path) == [*whole, "next"]


def test_a_message_whose_letters_were_cut_through_never_left(path: Path) -> None:
    Outbox(path).write(said("1"))
    line = path.read_bytes()
    path.write_bytes(line + line[: line.index("ε".encode()) + 1])
    assert nonces(path) == ["1"]


@pytest.mark.parametrize("room", [0, 1, 60, 150])
def test_a_disk_that_was_full_leaves_no_torn_line_to_swallow_the_next(path: Path, room: int) -> None:
    box = Outbox(path)
    box.write(said("1"))
    before = path.read_bytes()
    with largest_file(len(before) + room), pytest.raises(OSError, match="too large"):
        box.write(said("lost", "x" * 500))
    assert path.read_bytes() == before
    assert not box.answered("lost")
    box.write(said("2"))
    assert nonces(path) == ["1", "2"]


def test_what_cannot_be_made_to_last_is_not_said_to_have_left(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    box = Outbox(path)
    box.write(said("1"))
    counted = box.today()
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            box.write(said("2"))
    assert box.today() == counted
    assert nonces(path) == ["1"]


def test_answered_requests_are_known_after_a_restart(path: Path) -> None:
    box = Outbox(path)
    assert not box.answered("a")
    box.write(said("a"))
    assert box.answered("a")
    assert Outbox(path).answered("a")
    assert not Outbox(path).answered("b")


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"at": "x", "evil": 1}', "\udcff"])
def test_a_line_that_is_no_entry_is_named(path: Path, line: str) -> None:
    Outbox(path).write(said("1"))
    with path.open("ab") as handle:
        handle.write(line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(ConfigError, match="line 2 is no entry"):
        Outbox(path)


def test_a_day_counts_from_midnight(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Outbox(path)
    box.write(said("1", "abc", b"12345"))
    assert box.today() == 8
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    monkeypatch.setattr(module, "_day", lambda: tomorrow)
    assert box.today() == 0
    assert Outbox(path).today() == 0
    box.write(said("2", "abcd"))
    assert box.today() == 4


def test_a_line_holds_one_message_whatever_is_in_it(path: Path) -> None:
    Outbox(path).write(said("1", "one\ntwo\r\u2028three\u0085four"))
    (line,) = path.read_bytes().split(b"\n")[:-1]
    assert json.loads(line)["text"] == "one\ntwo\r\u2028three\u0085four"
    assert nonces(path) == ["1"]


def test_the_table_adds_up(path: Path) -> None:
    box = Outbox(path)
    box.write(said("1", "abc", b"12345"))
    box.write(said("2", "abcd"))
    table = outbox_table(box)
    assert [str(column.footer) for column in table.columns][3:] == ["2", "7", "5"]


def test_full_files_are_set_aside_and_nothing_is_forgotten(path: Path) -> None:
    box = Outbox(path, largest=2000)
    names = [f"n{number}" for number in range(60)]
    for name in names:
        box.write(said(name, "x" * 100))
    assert path.stat().st_size < 4000 if path.exists() else True
    assert len(list(path.with_suffix("").glob("*.jsonl.gz"))) > 3
    assert nonces(path) == names
    total = box.today()
    path.with_suffix(".index").unlink()
    for again in (Outbox(path, largest=2000), Outbox(path, largest=2000)):
        assert all(again.answered(name) for name in names)
        assert not again.answered("n60")
        assert again.today() == total
    path.with_suffix(".index").write_bytes(b"no database" * 100)
    assert all(Outbox(path).answered(name) for name in names)


def test_opening_reads_what_is_new_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Outbox(path)
    for number in range(300):
        first.write(said(str(number)))
    read: list[object] = []
    real = json.loads

    def counting(text: bytes) -> object:
        read.append(text)
        return real(text)

    monkeypatch.setattr("json.loads", counting)
    again = Outbox(path)
    assert again.answered("299")
    assert again.answered("0")
    assert not read, "what is indexed is not read again, however long the outbox is"


def test_each_thing_is_written_where_it_belongs(path: Path) -> None:
    """Receiver, request and nonce are all texts: one in another's place would be read as it is."""
    entry = sent("receiver", "request", "nonce", "text", b"chunk", "sha256:blob", 7)
    Outbox(path).write(entry)
    (line,) = path.read_text("utf-8").splitlines()
    told = json.loads(line)
    assert told.pop("at").startswith(datetime.now(UTC).date().isoformat()[:4])
    assert told == {
        "to": "receiver",
        "asks": "request",
        "nonce": "nonce",
        "text": "text",
        "chunk": 5,
        "chunk_sha256": hashlib.sha256(b"chunk").hexdigest(),
        "blob": "sha256:blob",
        "offset": 7,
    }
