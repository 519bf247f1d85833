import io
import struct
from pathlib import Path

import pytest
from flwr.app import ConfigRecord
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import FederationError
from atoll.federation.blobs import BlobStore, blob_digest, pack_blobs, unpack_blobs
from atoll.federation.wire import MESSAGE, REPLY, decode, read_frame, write_frame


def test_what_the_other_side_has_is_not_sent(tmp_path: Path) -> None:
    here, there = BlobStore(tmp_path / "here"), BlobStore(tmp_path / "there")
    known, new = here.put(b"known to both"), here.put(b"new")
    there.put(b"known to both")
    record = pack_blobs(here, [known, new], there.digests())
    assert dict(record) == {new: b"new"}
    assert unpack_blobs(record, there) == [new]
    assert there.get(new).read_bytes() == b"new"
    assert dict(pack_blobs(here, [known, new], there.digests())) == {}
    assert there.digests() == sorted([known, new])


def test_content_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with pytest.raises(FederationError, match="other content"):
        unpack_blobs(ConfigRecord({blob_digest(b"this"): b"that"}), store)
    with pytest.raises(FederationError, match="other content"):
        unpack_blobs(ConfigRecord({blob_digest(b"this"): "this"}), store)
    assert store.digests() == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "sha256:../x", "sha256:" + "A" * 64, "", "sha256:" + "0" * 63])
def test_a_name_that_is_no_digest_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FederationError, match="no digest"):
        BlobStore(tmp_path).get(name)


def test_a_damaged_blob_is_noticed_and_can_be_sent_again(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digest = store.put(b"sound")
    store.get(digest).write_bytes(b"rotten")
    assert not store.has(digest)
    assert store.put(b"sound") == digest
    assert store.has(digest)
    (tmp_path / ".partial-1").write_bytes(b"a crash")
    assert store.digests() == [digest]


@given(frames=st.lists(st.tuples(st.sampled_from([MESSAGE, REPLY]), st.binary(max_size=50)), max_size=5))
def test_frames_read_as_they_were_written(frames: list[tuple[bytes, bytes]]) -> None:
    stream = io.BytesIO()
    for tag, payload in frames:
        assert write_frame(stream, tag, payload) == len(payload)
    stream.seek(0)
    assert [read_frame(stream) for _ in frames] == frames
    assert read_frame(stream) is None


@given(cut=st.integers(0, 18))
def test_a_frame_that_was_cut_short_is_the_end(cut: int) -> None:
    stream = io.BytesIO()
    write_frame(stream, MESSAGE, b"ten bytes!")
    assert read_frame(io.BytesIO(stream.getvalue()[:cut])) is None


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\r\n", struct.pack(">cQ", b"M", 5 << 30), struct.pack(">cQ", b"?", 1)])
def test_what_is_no_frame_is_refused(raw: bytes) -> None:
    with pytest.raises(FederationError, match="no frame"):
        read_frame(io.BytesIO(raw))


@given(raw=st.binary(min_size=1, max_size=40))
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(FederationError, match="no Flower message"):
        decode(b"\xff" + raw)
