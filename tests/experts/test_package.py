import dataclasses
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from atoll.errors import PackageError
from atoll.experts.package import pack_folder, read_package, unpack
from atoll.experts.signing import OwnerKey, PublicKey
from atoll.plugins import load

if TYPE_CHECKING:
    from tests.experts.conftest import Example


def test_what_was_written_is_read(example: "Example", key: OwnerKey, tmp_path: Path) -> None:
    path = tmp_path / "a.atoll"
    digest = example.write(path, key)
    for source in (path, path.read_bytes()):
        package = read_package(source, trusted=key.public, anchor=example.card.anchor, expected_shapes=example.shapes)
        assert package.card == example.card
        assert package.digest == digest
        assert package.public_key == key.public
        assert package.extra == example.extra
        assert package.descriptor.to_bytes() == example.descriptor.to_bytes()
        assert list(package.weights) == sorted(example.weights)
        assert all(torch.equal(package.weights[name], value) for name, value in example.weights.items())
    assert [found.name for found in tmp_path.iterdir()] == ["a.atoll"]


def test_equal_content_gives_equal_bytes(example: "Example", key: OwnerKey, tmp_path: Path) -> None:
    # Another order, and columns in memory where there were rows.
    weights = {
        name: torch.atleast_2d(value).T.contiguous().T.reshape_as(value) for name, value in example.weights.items()
    }
    turned = dataclasses.replace(example, weights=dict(reversed(weights.items())))
    assert example.write(tmp_path / "a", key) == turned.write(tmp_path / "b", key)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_digest_is_of_the_content_not_of_the_key(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    digest = ffn.write(tmp_path / "a", key)
    assert ffn.write(tmp_path / "b", OwnerKey.generate()) == digest
    name = next(iter(ffn.weights))
    changed = dataclasses.replace(ffn, weights={**ffn.weights, name: ffn.weights[name] + 1})
    assert changed.write(tmp_path / "c", key) != digest
    assert dataclasses.replace(ffn, card=dataclasses.replace(ffn.card, domain="x")).write(tmp_path / "d", key) != digest


def test_views_and_shared_tensors_are_stored_apart(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    weights = {"a": base, "b": base.T, "c": base[0], "d": base.to(torch.bfloat16), "e": base.half()}
    dataclasses.replace(ffn, weights=weights).write(tmp_path / "a", key)
    found = read_package(tmp_path / "a", trusted=None).weights
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in weights.items())


def test_any_zip_reader_can_list_and_check_it(example: "Example", key: OwnerKey, tmp_path: Path) -> None:
    example.write(tmp_path / "a.atoll", key)
    with zipfile.ZipFile(tmp_path / "a.atoll") as archive:
        assert archive.testzip() is None
        weights = load("atoll.experts", example.card.kind).weights_file
        expected = {"card.yaml", "descriptor.safetensors", "signature.json", weights, *example.extra}
        assert archive.namelist() == sorted(expected)
        assert archive.read("card.yaml") == example.card.to_yaml()
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}


def test_unpacked_and_packed_again_it_is_the_same(example: "Example", key: OwnerKey, tmp_path: Path) -> None:
    digest = example.write(tmp_path / "a.atoll", key)
    unpack(tmp_path / "a.atoll", tmp_path / "folder", trusted=key.public)
    assert read_package(tmp_path / "folder", trusted=key.public).digest == digest
    assert pack_folder(tmp_path / "folder", tmp_path / "b.atoll", key) == digest
    assert (tmp_path / "a.atoll").read_bytes() == (tmp_path / "b.atoll").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.atoll", "b.atoll", "folder"}


def test_pack_accepts_a_card_written_by_hand(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    digest = ffn.write(tmp_path / "a.atoll", key)
    folder = tmp_path / "folder"
    unpack(tmp_path / "a.atoll", folder)
    (folder / "signature.json").unlink()
    card = (folder / "card.yaml").read_text("utf-8")
    (folder / "card.yaml").write_text("# by hand\n" + card.replace("owner: st-mary", 'owner:   "st-mary"'), "utf-8")
    assert pack_folder(folder, tmp_path / "b.atoll", key) == digest


def test_unpack_does_not_touch_what_is_there(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    ffn.write(tmp_path / "a.atoll", key)
    folder = tmp_path / "folder"
    folder.mkdir()
    unpack(tmp_path / "a.atoll", folder)  # empty is as good as new
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(PackageError, match="not an empty folder"):
        unpack(tmp_path / "a.atoll", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(PackageError, match="not by the trusted key"):
        unpack(tmp_path / "a.atoll", tmp_path / "other", trusted=OwnerKey.generate().public)
    assert {path.name for path in tmp_path.iterdir()} == {"a.atoll", "folder"}


def test_a_folder_with_anything_else_is_refused(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    ffn.write(tmp_path / "a.atoll", key)
    folder = tmp_path / "folder"
    unpack(tmp_path / "a.atoll", folder)
    (folder / "model.pkl").write_bytes(b"\x80\x04.")
    for refuse in (lambda: read_package(folder, trusted=None), lambda: pack_folder(folder, tmp_path / "b", key)):
        with pytest.raises(PackageError, match=r"model\.pkl"):
            refuse()
    (folder / "model.pkl").unlink()
    secret = tmp_path / "secret.yaml"
    (folder / "card.yaml").rename(secret)
    (folder / "card.yaml").symlink_to(secret)
    with pytest.raises(PackageError, match="link"):
        pack_folder(folder, tmp_path / "b", key)
    assert not (tmp_path / "b").exists()


def test_unreadable_sources_are_refused_with_their_name(tmp_path: Path) -> None:
    missing = tmp_path / "missing.atoll"
    with pytest.raises(PackageError, match=r"missing\.atoll: cannot be read"):
        read_package(missing, trusted=None)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PackageError, match="no regular file"):
        read_package(tmp_path / "pipe", trusted=None)
    with pytest.raises(PackageError, match="cannot be read"):
        read_package(Path("a\0b"), trusted=None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackageError, match="not signed"):
        read_package(tmp_path / "empty", trusted=None)
    with pytest.raises(PackageError, match=r"^package: does not begin"):
        read_package(b"", trusted=None)


def test_writing_refuses_what_reading_would(ffn: "Example", lora: "Example", key: OwnerKey, tmp_path: Path) -> None:
    path = tmp_path / "a.atoll"
    name = next(iter(ffn.weights))
    path.write_bytes(b"the older one")
    for bad, message in [
        (dataclasses.replace(ffn, weights={**ffn.weights, name: torch.full((3, 2), torch.nan)}), "NaN"),
        (dataclasses.replace(ffn, weights={name: torch.ones(2, dtype=torch.int64)}), "int64"),
        (dataclasses.replace(ffn, weights={}), "no tensor"),
        (dataclasses.replace(ffn, weights={"../x": torch.ones(1)}), "letters, digits"),
        (dataclasses.replace(ffn, extra={"adapter_config.json": b"{}"}), "no part of a package of kind 'ffn'"),
        (dataclasses.replace(ffn, extra={"../up.json": b"{}"}), "outside the package"),
        (dataclasses.replace(lora, extra={}), r"adapter_config\.json' is missing"),
        (dataclasses.replace(ffn, card=dataclasses.replace(ffn.card, sites=("other",))), "other sites"),
        (dataclasses.replace(ffn, card=dataclasses.replace(ffn.card, kind="magic")), "not installed"),
    ]:
        with pytest.raises(PackageError, match=message):
            bad.write(path, key)
        assert path.read_bytes() == b"the older one"
    with pytest.raises(PackageError, match="cannot be read or written"):
        ffn.write(tmp_path / "no" / "folder.atoll", key)
    assert [found.name for found in tmp_path.iterdir()] == ["a.atoll"]


class Nobody:
    """Signs with the key that everybody's signature fits: the neutral element, as the library alone would take it."""

    @property
    def public(self) -> PublicKey:
        key = object.__new__(PublicKey)
        object.__setattr__(key, "raw", bytes([1]) + bytes(31))
        return key

    def sign(self, data: bytes) -> bytes:
        return bytes([1]) + bytes(63)


def test_a_package_under_a_key_of_small_order_is_refused(ffn: "Example", tmp_path: Path) -> None:
    """The writer reads what it wrote, with the checks of every reader."""
    with pytest.raises(PackageError, match="small order"):
        ffn.write(tmp_path / "p.atoll", Nobody())
