"""Blobs that come in pieces: whole and right in the end, or not there."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll.errors import FederationError
from atoll.federation.blobs import BlobStore, blob_digest


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(min_size=1, max_size=300), st.lists(st.tuples(st.integers(0, 320), st.integers(0, 90)), max_size=30))
def test_any_pieces_in_any_order_never_make_another_blob(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, pieces: list[tuple[int, int]]
) -> None:
    store = BlobStore(tmp_path_factory.mktemp("store"))
    digest = blob_digest(content)
    for offset, length in pieces:
        partial = store.incoming(digest, len(content))  # every time anew, as after a crash
        before = partial.have
        partial.add(offset, content[offset : offset + length])
        assert partial.have >= before
    # Whatever came before, the rest in order makes it whole.
    while not store.there(digest):
        partial = store.incoming(digest, len(content))
        partial.add(partial.have, content[partial.have : partial.have + 50])
    assert store.get(digest).read_bytes() == content
    assert store.incoming(digest, len(content)).have == len(content)


def test_other_content_is_refused_and_gone(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digest = blob_digest(b"right")
    with pytest.raises(FederationError, match="other content"):
        store.incoming(digest, 5).add(0, b"wrong")
    assert store.incoming(digest, 5).have == 0
    store.incoming(digest, 5).add(0, b"right")
    assert store.has(digest)


def test_more_than_was_said_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="more came"):
        BlobStore(tmp_path).incoming(blob_digest(b"x"), 3).add(0, b"xxxx")


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(200))
    partial = BlobStore(tmp_path).incoming(blob_digest(content), 200)
    partial.add(0, content[:100])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            partial.add(100, content[100:])
    assert partial.have == 100
    partial.add(100, content[100:])
    assert BlobStore(tmp_path).has(blob_digest(content))


@pytest.mark.parametrize("name", ["../owner.key", "sha256:" + "../" * 21, "", "sha256:zz"])
def test_only_digests_are_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(FederationError, match="no digest"):
        BlobStore(tmp_path).incoming(name, 3)
