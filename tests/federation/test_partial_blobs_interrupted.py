"""A blob that comes in pieces, cut off at any moment: killed, or out of space."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.errors import FederationError
from atoll.federation.blobs import BlobStore, blob_digest

CONTENT = bytes(range(256)) * 24
DIGEST = blob_digest(CONTENT)


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(call: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(call, killed)
        with pytest.raises(Killed):
            yield


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As on a disk that is full: a write stops in its middle, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_it_goes_on_from_any_byte_at_which_it_was_cut_off(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int]
) -> None:
    """As a kill leaves it: the file is as long as the disk says, and every time another object takes it up."""
    store, digest = BlobStore(tmp_path_factory.mktemp("store")), blob_digest(content)
    for cut in sorted({cut % len(content) for cut in cuts}):
        partial = store.incoming(digest, len(content))
        partial.add(partial.have, content[partial.have : cut])
        assert store.incoming(digest, len(content)).have == cut
        assert not store.there(digest)
    have = store.incoming(digest, len(content)).have
    store.incoming(digest, len(content)).add(have, content[have:])
    assert store.get(digest).read_bytes() == content


@pytest.mark.parametrize("call", ["hashlib.file_digest", "os.replace"])
def test_killed_between_the_last_byte_and_its_name_it_is_whole_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = BlobStore(tmp_path)
    with killed_at(call, monkeypatch):
        store.incoming(DIGEST, len(CONTENT)).add(0, CONTENT)
    assert not store.there(DIGEST)
    assert store.incoming(DIGEST, len(CONTENT)).have == len(CONTENT)
    assert store.has(DIGEST), "all bytes are here, so nobody will send another one"


def test_killed_with_all_bytes_of_something_else_it_begins_again(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    path = tmp_path / f".incoming-{DIGEST.removeprefix('sha256:')}"
    path.write_bytes(bytes(len(CONTENT)))
    partial = store.incoming(DIGEST, len(CONTENT))
    assert partial.have == 0
    partial.add(0, CONTENT)
    assert store.has(DIGEST)


@pytest.mark.parametrize("room", [1000, 1001, 4096, 5000, len(CONTENT) - 1])
def test_a_disk_that_fills_in_the_middle_of_a_piece_keeps_what_was_there_and_no_more(tmp_path: Path, room: int) -> None:
    store = BlobStore(tmp_path)
    partial = store.incoming(DIGEST, len(CONTENT))
    partial.add(0, CONTENT[:1000])
    with largest_file(room), pytest.raises(OSError, match="too large"):
        partial.add(1000, CONTENT[1000:])
    assert store.incoming(DIGEST, len(CONTENT)).have == 1000
    partial.add(1000, CONTENT[1000:])
    assert store.get(DIGEST).read_bytes() == CONTENT


def test_repeated_early_and_empty_pieces_change_nothing(tmp_path: Path) -> None:
    partial = BlobStore(tmp_path).incoming(DIGEST, len(CONTENT))
    partial.add(0, CONTENT[:100])
    for offset, piece in ((0, CONTENT[:100]), (50, CONTENT[50:200]), (101, b"x"), (-1, b"x"), (100, b"")):
        partial.add(offset, piece)
    assert partial.have == 100


def test_another_size_than_before_begins_again(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.incoming(DIGEST, len(CONTENT)).add(0, CONTENT[:100])
    assert store.incoming(DIGEST, 99).have == 0


def test_other_content_leaves_no_file_at_all(tmp_path: Path) -> None:
    partial = BlobStore(tmp_path).incoming(DIGEST, 4)
    partial.add(0, b"ab")
    with pytest.raises(FederationError, match="other content"):
        partial.add(2, b"cd")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("how", ["put", "adopt"])
def test_a_copy_that_does_not_fit_leaves_no_rubbish(tmp_path: Path, how: str) -> None:
    store, file = BlobStore(tmp_path / "store"), tmp_path / "file"
    file.write_bytes(CONTENT)
    with largest_file(100), pytest.raises(OSError, match="too large"):
        store.put(CONTENT) if how == "put" else store.adopt(file)
    assert os.listdir(tmp_path / "store") == []
    assert (store.put(CONTENT) if how == "put" else store.adopt(file)) == DIGEST
    assert store.has(DIGEST)
