"""Packages larger than what may be held at once: memory, pieces, and files that change while they are read."""

import dataclasses
import json
import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch
from torch import Tensor

from atoll.errors import PackageError
from atoll.experts import archive, tensors
from atoll.experts.card import ExpertCard
from atoll.experts.files import PIECE, Content, opened
from atoll.experts.package import pack_folder, read_package, unpack, verify_package, write_package
from atoll.experts.signing import OwnerKey
from atoll.experts.verify import content_digest, sign
from atoll.releases.members import verify, verify_facts
from atoll.testing import toy_anchor, toy_experts

if TYPE_CHECKING:
    from tests.experts.conftest import Example

MIB = 1024**2
SEVERAL = 2 * PIECE // 4 + 5
"""So many float32 entries are more than two pieces."""


def resident(field: str) -> float:
    """MiB of this process: ``VmRSS`` now, ``VmHWM`` at most so far."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) / 1024


def growths(package: Path, key_file: Path) -> dict[str, float]:
    """By how many MiB each step brings the peak above what the libraries need; runs in a process of its own.

    It is the kernel's own peak, which misses nothing as sampling would, and mapped files count in it too.
    """
    key, folder = OwnerKey.load(key_file), package.parent
    small = read_package(folder / "small.atoll", trusted=None)
    base, found = resident("VmRSS"), {}

    verify_package(package, trusted=key.public)
    found["verify"] = resident("VmHWM") - base
    unpack(package, folder / "unpacked")
    found["unpack"] = resident("VmHWM") - base
    pack_folder(folder / "unpacked", folder / "packed.atoll", key)
    found["pack"] = resident("VmHWM") - base
    read = read_package(package, trusted=key.public)
    found["read"] = resident("VmHWM") - base
    write_package(
        folder / "written.atoll",
        card=small.card,
        weights={name: tensor.T for name, tensor in read.weights.items()},
        descriptor=small.descriptor,
        key=key,
    )
    found["write"] = resident("VmHWM") - base
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak of its memory")
def test_memory_does_not_grow_with_the_package(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    path, size = tmp_path / "large.atoll", 256
    ffn.write(tmp_path / "small.atoll", key)
    key.save(tmp_path / "key")
    weights = {f"w{i}": torch.full((size * MIB // 8 // 1024, 1024), 1.0 + i, dtype=torch.bfloat16) for i in range(4)}
    dataclasses.replace(ffn, weights=weights).write(path, key)
    assert path.stat().st_size > size * MIB
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(growths, path, tmp_path / "key").result()
    assert max(found[step] for step in ("verify", "unpack", "pack")) < size / 8
    assert size * 0.9 < found["read"] < size * 1.15  # the weights, once
    assert found["write"] < size * 1.15  # the same weights, which are still there
    assert (tmp_path / "packed.atoll").read_bytes() == path.read_bytes()


def test_facts_are_the_package_without_its_weights(example: "Example", key: OwnerKey, tmp_path: Path) -> None:
    path = tmp_path / "a.atoll"
    example.write(path, key)
    unpack(path, tmp_path / "folder")
    package = read_package(path, trusted=key.public)
    for source in (path, path.read_bytes(), tmp_path / "folder"):
        facts = verify_package(
            source, trusted=key.public, anchor=example.card.anchor, expected_shapes=lambda card: example.shapes
        )
        for field in ("card", "digest", "public_key", "extra"):
            assert getattr(facts, field) == getattr(package, field)
        assert facts.descriptor.to_bytes() == package.descriptor.to_bytes()
        assert {name: (stored.dtype, stored.shape) for name, stored in facts.tensors.items()} == {
            name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in package.weights.items()
        }


def test_the_weights_file_is_that_of_the_safetensors_library() -> None:
    base = torch.randn(3, SEVERAL)
    weights = {
        "rows": base,
        "columns": base.T,
        "part": base[1:, 7:],
        "cube": base[:, :24].reshape(2, 3, 12).permute(2, 0, 1),
        "row": base[:1].T[:, 0],
        "wide": torch.randn(SEVERAL, 1).T.expand(2, SEVERAL),
        "half": base.half(),
        "Brain": base.bfloat16()[:, ::2],
        "scalar": torch.tensor(1.5),
        "trained": base[0, :5].requires_grad_(),
    }
    own = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()}
    assert tensors.save(weights) == safetensors.torch.save(own, metadata={"format": "pt"})


def test_tensors_of_several_pieces_are_read_as_written(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    weights = {
        "a": torch.randn(SEVERAL),
        "b": torch.randn(SEVERAL, 2).T,
        "c": torch.randn(SEVERAL).bfloat16(),
        "d": torch.tensor(0.5),
    }
    example = dataclasses.replace(ffn, weights=weights)
    example.write(tmp_path / "a.atoll", key)
    found = read_package(tmp_path / "a.atoll", trusted=key.public, expected_shapes=example.shapes).weights
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    unpack(tmp_path / "a.atoll", tmp_path / "folder")
    # Another tool's order, which packing brings into ours.
    other = tmp_path / "folder" / "expert.safetensors"
    header = tensors.read_header(Content.of(other.read_bytes()), {"format": "pt"})
    other.write_bytes(_backwards(other.read_bytes(), header))
    pack_folder(tmp_path / "folder", tmp_path / "b.atoll", key)
    assert (tmp_path / "b.atoll").read_bytes() == (tmp_path / "a.atoll").read_bytes()


def _backwards(data: bytes, header: tensors.Header) -> bytes:
    """The same tensors, the last one first."""
    entries, body = {}, b""
    codes = {torch.float32: "F32", torch.bfloat16: "BF16"}
    for name, stored in reversed(list(header.tensors.items())):
        offsets = [len(body), len(body) + stored.size]
        entries[name] = {"dtype": codes[stored.dtype], "shape": list(stored.shape), "data_offsets": offsets}
        body += data[stored.begin : stored.begin + stored.size]
    raw = json.dumps(entries).encode()
    return len(raw).to_bytes(8, "little") + raw + body


def _signed(members: Mapping[str, bytes], key: OwnerKey) -> bytes:
    unsigned = {name: data for name, data in members.items() if name != "signature.json"}
    return archive.encode({**unsigned, "signature.json": sign(content_digest(unsigned), key)})


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_bad_entry_anywhere_is_found(
    ffn: "Example", key: OwnerKey, value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    ffn.write(tmp_path / "a.atoll", key)
    members = archive.decode((tmp_path / "a.atoll").read_bytes())
    edge = PIECE // dtype.itemsize
    for where in (0, 13, edge - 1, edge, edge + 1, -1):
        large = torch.ones(edge + 100, dtype=dtype)
        large[where] = value
        members["expert.safetensors"] = tensors.save({"a": torch.ones(3), "large": large})
        data = _signed(members, key)
        for open_it in (read_package, verify_package):
            with pytest.raises(PackageError, match="'large' has NaN or infinite"):
                open_it(data, trusted=key.public)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - PIECE)


def _flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize(("change", "message"), [(_cut, "ends at byte"), (_flip, "was changed while it was read")])
def test_a_file_that_changes_while_it_is_read_is_refused(
    change: Callable[[Path], None], message: str, ffn: "Example", key: OwnerKey, tmp_path: Path
) -> None:
    """The shapes are asked for when all but the tensors is verified: a moment to change the file behind that."""
    example = dataclasses.replace(ffn, weights={"a": torch.ones(SEVERAL)})
    path = tmp_path / "a.atoll"

    def changed(card: ExpertCard) -> Mapping[str, tuple[int, ...]]:
        change(path)
        return example.shapes

    for open_it in (read_package, verify_package):
        example.write(path, key)
        with pytest.raises(PackageError, match=rf"a\.atoll: expert\.safetensors: .*{message}"):
            open_it(path, trusted=key.public, expected_shapes=changed)


def test_a_member_that_changed_is_not_copied(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    path = tmp_path / "a.atoll"
    dataclasses.replace(ffn, weights={"a": torch.ones(SEVERAL)}).write(path, key)
    with opened(path, 2**30) as content:
        member = archive.read(content, {})["expert.safetensors"]
        _flip(path)
        with (tmp_path / "copy").open("wb") as stream, pytest.raises(PackageError, match="was changed"):
            member.write(stream)


def test_what_is_handed_out_does_not_change_with_the_file(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    path, weights = tmp_path / "a.atoll", {"a": torch.ones(SEVERAL)}
    example = dataclasses.replace(ffn, weights=weights)
    example.write(path, key)

    def replaced(card: ExpertCard) -> Mapping[str, tuple[int, ...]]:
        dataclasses.replace(ffn, weights={"a": torch.zeros(SEVERAL)}).write(path, key)
        return example.shapes

    found: Mapping[str, Tensor] = read_package(path, trusted=key.public, expected_shapes=replaced).weights
    os.truncate(path, 0)
    assert torch.equal(found["a"], weights["a"])


@pytest.mark.parametrize("name", ["card.yaml", "descriptor.safetensors", "signature.json"])
def test_a_gigabyte_where_little_belongs_is_not_even_read(
    name: str, ffn: "Example", key: OwnerKey, tmp_path: Path
) -> None:
    ffn.write(tmp_path / "a.atoll", key)
    unpack(tmp_path / "a.atoll", tmp_path / "folder")
    os.truncate(tmp_path / "folder" / name, 2**30)  # sparse: it takes no space
    for open_it in (read_package, verify_package):
        with pytest.raises(PackageError, match=f"'{name}' is 1073741824 bytes; the most is"):
            open_it(tmp_path / "folder", trusted=None)
    # The header of an empty member, which then says that it has a gigabyte.
    header = bytearray(archive.encode({name: b""})[: 30 + len(name)])
    header[18:26] = 2 * (2**30).to_bytes(4, "little")
    (tmp_path / "b.atoll").write_bytes(header)
    os.truncate(tmp_path / "b.atoll", 2**30 + 1000)
    for open_it in (read_package, verify_package):
        with pytest.raises(PackageError, match=f"'{name}' is 1073741824 bytes; the most is"):
            open_it(tmp_path / "b.atoll", trusted=None)


def test_a_package_above_the_limit_is_not_even_written(ffn: "Example", key: OwnerKey, tmp_path: Path) -> None:
    huge = torch.zeros(1).expand(2**29 + 1)  # two gigabytes that are nowhere
    with pytest.raises(PackageError, match="above the limit"):
        dataclasses.replace(ffn, weights={"a": huge}).write(tmp_path / "a.atoll", key)
    assert not list(tmp_path.iterdir())


def test_a_header_that_the_safetensors_library_refuses_is_refused(
    ffn: "Example", key: OwnerKey, tmp_path: Path
) -> None:
    ffn.write(tmp_path / "a.atoll", key)
    members = archive.decode((tmp_path / "a.atoll").read_bytes())
    raw = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[-0,4]}}'
    members["expert.safetensors"] = len(raw).to_bytes(8, "little") + raw + bytes(4)
    with pytest.raises(PackageError, match="negative number"):
        verify_package(_signed(members, key), trusted=key.public)


def test_the_coordinator_checks_the_same_with_and_without_weights(tmp_path: Path, key: OwnerKey) -> None:
    anchor = toy_anchor(tmp_path / "anchor")
    expert = toy_experts(anchor, ["clinic"], "ffn")[0]
    path = tmp_path / "a.atoll"

    def write(card: ExpertCard, weights: Mapping[str, Tensor]) -> None:
        write_package(path, card=card, weights=weights, descriptor=expert.descriptor, key=key)

    write(expert.card, expert.weights)
    assert verify_facts(path, "clinic", key.public, anchor).digest == expert.digest
    assert verify(path, None, None, anchor).digest == expert.digest
    name = min(expert.weights)
    fewer = expert.card.targets[:1]
    for card, weights, owner, message in [
        (expert.card, expert.weights, "office", "is 'clinic's, but came from 'office'"),
        (expert.card, {**expert.weights, name: torch.ones(3)}, "clinic", f"'{name}' has shape"),
        (expert.card, {**expert.weights, "more": torch.ones(3)}, "clinic", "'more' .* is not expected"),
        (dataclasses.replace(expert.card, targets=fewer), expert.weights, "clinic", "sites are not those"),
    ]:
        write(card, weights)
        for check in (verify, verify_facts):
            with pytest.raises(PackageError, match=rf"^{path}: .*{message}"):
                check(path, owner, key.public, anchor)
