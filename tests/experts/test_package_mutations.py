"""Thousands of damaged and hostile packages: each is refused with a PackageError and a reason, never anything else."""

import contextlib
import dataclasses
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from atoll.errors import PackageError
from atoll.experts import archive
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.signing import OwnerKey
from atoll.experts.verify import content_digest, sign

if TYPE_CHECKING:
    from tests.experts.conftest import Example

# The fixtures are values, so it does not matter that Hypothesis makes them once for all examples.
many = settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def good(example: "Example", key: OwnerKey, tmp_path: Path) -> bytes:
    example.write(tmp_path / "good.atoll", key)
    data = (tmp_path / "good.atoll").read_bytes()
    assert isinstance(read_package(data, trusted=key.public), ExpertPackage)
    return data


def refused(data: bytes, key: OwnerKey, **checks: Any) -> str:
    """The reason; fails if the package is accepted, or if anything but PackageError comes."""
    with pytest.raises(PackageError) as caught:
        read_package(data, trusted=key.public, **checks)
    message = str(caught.value)
    assert message.startswith("package: ")
    assert len(message) > 25
    return message


def signed(members: Mapping[str, bytes], key: OwnerKey) -> bytes:
    """What a hostile owner can make: anything at all, under a valid signature."""
    unsigned = {name: data for name, data in members.items() if name != "signature.json"}
    return archive.encode({**unsigned, "signature.json": sign(content_digest(unsigned), key)})


def test_every_flipped_byte_is_noticed(good: bytes, key: OwnerKey) -> None:
    for position in range(len(good)):
        mutated = bytearray(good)
        mutated[position] ^= 1 << position % 8
        refused(bytes(mutated), key)


def test_every_truncation_is_noticed(good: bytes, key: OwnerKey) -> None:
    for length in range(len(good)):
        assert ("cut short" if length >= 4 else "does not begin") in refused(good[:length], key)


@many
@given(data=st.data())
def test_random_damage_is_noticed(good: bytes, key: OwnerKey, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 40))
    inserted = data.draw(st.binary(max_size=40))
    mutated = good[:start] + inserted + good[start + length :]
    if mutated != good:
        refused(mutated, key)


@many
@given(data=st.binary(max_size=300))
def test_noise_is_refused(key: OwnerKey, data: bytes) -> None:
    for prefix in (b"", b"PK\3\4", b"PK\3\4" + struct.pack("<5H3I2H", 20, 0, 0, 0, 33, 0, 4, 4, 9, 0) + b"card.yaml"):
        refused(prefix + data, key)


@settings(many, max_examples=400)
@given(data=st.data())
def test_damage_under_a_valid_signature_is_refused_or_harmless(good: bytes, key: OwnerKey, data: st.DataObject) -> None:
    """Here the checks behind the signature stand alone; what they let through must still be a sane package."""
    members = archive.decode(good)
    name = data.draw(st.sampled_from(sorted(set(members) - {"signature.json"})))
    content = members[name]
    start = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, 8))
    members[name] = content[:start] + data.draw(st.binary(max_size=8)) + content[start + length :]
    with contextlib.suppress(PackageError):
        package = read_package(signed(members, key), trusted=key.public)
        assert all(bool(torch.isfinite(tensor).all()) for tensor in package.weights.values())


@settings(many, max_examples=120)
@given(data=st.data())
def test_swapped_and_renamed_members_are_refused(good: bytes, key: OwnerKey, data: st.DataObject) -> None:
    members = archive.decode(good)
    first, second = data.draw(st.permutations(sorted(members)))[:2]
    swapped = {**members, first: members[second], second: members[first]}
    renamed = {data.draw(st.from_regex(archive.NAME, fullmatch=True)): members[first]}
    renamed |= {name: content for name, content in members.items() if name != first}
    missing = {name: content for name, content in members.items() if name != first}
    for mutated in (swapped, renamed, missing):
        if mutated != members:
            refused(archive.encode(mutated), key)
            if "signature.json" not in (first, second):
                refused(signed(mutated, key), key)


@pytest.mark.parametrize(
    "name", ["../x.yaml", "/etc/x.yaml", "a/b.json", "..\\x.json", "C:\\x.json", "x.pkl", "x.py", ""]
)
@pytest.mark.parametrize("properly_signed", [True, False])
def test_escaping_and_unknown_names_are_refused(good: bytes, key: OwnerKey, name: str, properly_signed: bool) -> None:
    members = {**archive.decode(good), name: b"x"}
    data = signed(members, key) if properly_signed else archive.encode(members)
    assert repr(name) in refused(data, key)


def test_other_zip_files_with_the_same_members_are_refused(good: bytes, key: OwnerKey) -> None:
    members = archive.decode(good)

    def zipped(change: Any = None, compression: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as file:
            for name, content in sorted(members.items()):
                info = zipfile.ZipInfo(name)
                info.compress_type, info.external_attr = compression, 0o100644 << 16
                if change is not None:
                    change(info)
                file.writestr(info, content)
            file.comment = comment
        return stream.getvalue()

    def link(info: zipfile.ZipInfo) -> None:
        info.external_attr = 0o120777 << 16

    def dated(info: zipfile.ZipInfo) -> None:
        info.date_time = (2026, 1, 1, 0, 0, 0)

    assert zipped() == good  # so that each change below is the only one
    assert "compressed" in refused(zipped(compression=zipfile.ZIP_DEFLATED), key)
    assert "compressed" in refused(zipped(compression=zipfile.ZIP_LZMA), key)
    assert "link" in refused(zipped(link), key)
    assert "date" in refused(zipped(dated), key)
    refused(zipped(comment=b"hello"), key)
    encrypted = bytearray(good)
    encrypted[6] |= 1
    assert "encrypted" in refused(bytes(encrypted), key)
    assert "after its end" in refused(good + b"\0", key)
    assert "after its end" in refused(good + good, key)
    assert "does not begin" in refused(b"#!/bin/sh\n" + good, key)
    assert "does not begin" in refused(b"\0" + good, key)


def test_a_member_that_is_there_twice_is_refused(good: bytes, key: OwnerKey) -> None:
    header = good.index(b"card.yaml") - 30
    end = good.index(b"PK\3\4", header + 4)
    assert "'card.yaml' twice" in refused(good[:end] + good[header:end] + good[end:], key)


def test_only_the_owner_can_sign(good: bytes, key: OwnerKey) -> None:
    members, other = archive.decode(good), OwnerKey.generate()
    stranger = signed(members, other)
    assert "not by the trusted key" in refused(stranger, key)
    assert read_package(stranger, trusted=None).public_key == other.public
    unsigned = archive.encode({name: data for name, data in members.items() if name != "signature.json"})
    assert "not signed" in refused(unsigned, key)
    with pytest.raises(PackageError, match="not signed"):
        read_package(unsigned, trusted=None)
    tampered = {**members, "card.yaml": members["card.yaml"].replace(b"st-mary", b"st-marx")}
    with pytest.raises(PackageError, match="does not fit the content"):
        read_package(archive.encode(tampered), trusted=None)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {**s, "algorithm": "none"},
        lambda s: {**s, "signature": ""},
        lambda s: {**s, "signature": s["signature"].upper()},
        lambda s: {**s, "signature": 1},
        lambda s: {**s, "public_key": "00" * 32},
        lambda s: {**s, "public_key": "ff" * 32},
        lambda s: {**s, "more": 1},
        lambda s: {"signature": s["signature"]},
        lambda s: [s],
    ],
)
def test_other_forms_of_signature_are_refused(good: bytes, change: Any) -> None:
    members = archive.decode(good)
    members["signature.json"] = json.dumps(change(json.loads(members["signature.json"])), indent=2).encode() + b"\n"
    with pytest.raises(PackageError, match="signature"):
        read_package(archive.encode(members), trusted=None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_tensors_that_are_not_finite_are_refused(
    ffn: "Example", key: OwnerKey, value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    ffn.write(tmp_path / "a", key)
    members = archive.decode((tmp_path / "a").read_bytes())
    for name in ffn.weights:
        weights = {other: tensor.to(dtype, copy=True) for other, tensor in ffn.weights.items()}
        weights[name].view(-1)[-1] = value
        members["expert.safetensors"] = save(weights)
        assert f"'{name}' has NaN or infinite" in refused(signed(members, key), key)
    members["descriptor.safetensors"] = members["descriptor.safetensors"][:-4] + struct.pack("<f", value)
    members["expert.safetensors"] = save(dict(ffn.weights))
    assert "descriptor.safetensors: descriptor: " in refused(signed(members, key), key)


@settings(many, max_examples=150)
@given(data=st.data())
def test_wrong_shapes_are_named(example: "Example", good: bytes, key: OwnerKey, data: st.DataObject) -> None:
    expected = dict(example.shapes)
    name = data.draw(st.sampled_from(sorted(expected)))
    change = data.draw(st.sampled_from(["missing", "extra", "other"]))
    if change == "missing":
        del expected[name]
    elif change == "extra":
        expected[name := f"{name}.more"] = (1,)
    else:
        expected[name] = (*expected[name], 7)
    assert f"tensor '{name}'" in refused(good, key, expected_shapes=expected)


def test_another_anchor_and_a_large_file_are_refused(
    example: "Example", good: bytes, key: OwnerKey, tmp_path: Path
) -> None:
    other = "sha256:" + "cd" * 32
    message = refused(good, key, anchor=other)
    assert other in message
    assert example.card.anchor in message
    assert "above the limit" in refused(good, key, limit_bytes=len(good) - 1)
    read_package(good, trusted=key.public, limit_bytes=len(good))
    with (tmp_path / "huge.atoll").open("wb") as file:
        file.truncate(2**40)  # a sparse file: reading it would end the test
    with pytest.raises(PackageError, match=r"huge\.atoll: is 1099511627776 bytes, above the limit"):
        read_package(tmp_path / "huge.atoll", trusted=None)


def _header(header: object, body: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


def _torch_file() -> bytes:
    stream = io.BytesIO()
    torch.save({"a": torch.ones(1)}, stream)
    return stream.getvalue()


_ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"a": 1}, 2), "pickle"),
        (pickle.dumps({"a": 1}, 4), "pickle"),
        (_torch_file(), "zip file"),
        (b"", "no safetensors"),
        (b"\xff" * 8 + b"{}", "header would have"),
        (struct.pack("<Q", 2**40) + b"{" + b" " * 99, "header would have"),
        (_header({}), "no tensor"),
        (_header([]), "no safetensors"),
        (_header(b"{" * 50_000), "not JSON"),
        (_header(b'{"a":1,"a":2}'), "twice"),
        (_header({"a": 1}), "without exactly"),
        (_header({"a": {**_ONE, "more": 1}}, b"\0" * 4), "without exactly"),
        (_header({"a": {**_ONE, "dtype": "I64"}}, b"\0" * 4), "'I64'"),
        (_header({"a": {**_ONE, "dtype": ["F32"]}}, b"\0" * 4), "convert it"),
        (_header({"a": {**_ONE, "shape": [2]}}, b"\0" * 4), "does not lie"),
        (_header({"a": {**_ONE, "shape": [-1]}}, b"\0" * 4), "impossible shape"),
        (_header({"a": {**_ONE, "shape": [True]}}, b"\0" * 4), "impossible shape"),
        (_header({"a": {**_ONE, "shape": [0], "data_offsets": [0, 0]}}), "impossible shape"),
        (_header({"a": {**_ONE, "shape": [2**62] * 8}}, b"\0" * 4), "does not lie"),
        (_header({"a": {**_ONE, "data_offsets": [4, 8]}}, b"\0" * 8), "begins at byte 4"),
        (_header({"a": _ONE, "b": _ONE}, b"\0" * 4), "begins at byte 0"),
        (_header({"a": _ONE}, b"\0" * 9), "holds 9 bytes"),
        (_header({"a": _ONE}), "holds 0 bytes"),
        (_header({"../a": _ONE}, b"\0" * 4), "letters, digits"),
        (_header({"a": _ONE, "__metadata__": {"code": "import os"}}, b"\0" * 4), "metadata 'code'"),
        (_header({"a": _ONE, "__metadata__": {"format": "pickle"}}, b"\0" * 4), "metadata 'format'"),
        (_header({"a": _ONE, "__metadata__": []}, b"\0" * 4), "metadata"),
    ],
)
def test_only_sane_safetensors_pass(content: bytes, message: str, good: bytes, key: OwnerKey) -> None:
    members = archive.decode(good)
    weights = next(name for name in members if name in ("expert.safetensors", "adapter_model.safetensors"))
    for name in (weights, "descriptor.safetensors"):
        assert name in (reason := refused(signed({**members, name: content}, key), key))
        assert message in reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"\"samples\": \"4\"", r"\"samples\": 1e999"),
        (r"\"samples\": \"4\"", r"\"samples\": null"),
        (r"\"samples\": \"4\"", r"\"samples\": \"0\""),
        (r"\"embedder\": \"anchor-states\"", r"\"embedder\": \"\""),
        (r"\"embedder\": \"anchor-states\"", r"\"other\": \"anchor-states\""),
        ('"atoll"', '"other"'),
        ("[1,2]", "[2]"),
        ('"shape":[1,2]', '"shape":[2]'),
    ],
)
def test_a_descriptor_with_impossible_values_is_refused(old: str, new: str, good: bytes, key: OwnerKey) -> None:
    members = archive.decode(good)
    content = members["descriptor.safetensors"]
    length = int.from_bytes(content[:8], "little")
    header, body = content[8 : 8 + length].decode(), content[8 + length :]
    assert old in header
    members["descriptor.safetensors"] = _header(header.replace(old, new).encode(), body)
    assert "descriptor.safetensors: " in refused(signed(members, key), key)


def test_a_card_that_contradicts_the_rest_is_refused(example: "Example", good: bytes, key: OwnerKey) -> None:
    members = archive.decode(good)
    for change, message in [
        ({"kind": "lora" if example.card.kind == "ffn" else "ffn"}, "no part of a package|missing"),
        ({"kind": "nothing"}, "not installed"),
        ({"sites": ("elsewhere",)}, "other sites"),
    ]:
        card = dataclasses.replace(example.card, **change)  # type: ignore[arg-type]
        with pytest.raises(PackageError, match=message):
            read_package(signed({**members, "card.yaml": card.to_yaml()}, key), trusted=key.public)
    refused(signed({**members, "card.yaml": b"a: &a [*a]"}, key), key)
