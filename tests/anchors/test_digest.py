import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from atoll.anchors import Anchor
from atoll.errors import AnchorError

Make = Callable[..., Path]


def shard(folder: Path, of: Callable[[int], int]) -> None:
    """Spread the weights over several files; ``of`` gives the file for the number of a tensor."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    files: dict[str, dict[str, Tensor]] = {}
    for number, name in enumerate(weights):
        files.setdefault(f"part-{of(number)}.safetensors", {})[name] = weights[name]
    for file, tensors in files.items():
        save_file(tensors, folder / file, metadata={"written": "by another tool"})
    index = {"weight_map": {name: file for file, tensors in files.items() for name in tensors}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("files", [1, 2, 5])
def test_the_digest_does_not_depend_on_shards_or_their_metadata(checkpoint: Make, files: int) -> None:
    folder = checkpoint()
    before = Anchor.open(folder).digest
    shard(folder, lambda number: number % files)
    assert Anchor.open(folder).digest == before


def test_the_digest_tells_apart_what_computes_differently(checkpoint: Make) -> None:
    folder = checkpoint()
    digests = {Anchor.open(folder).digest, Anchor.open(checkpoint("untied", tied=False)).digest}
    for changes in (
        {"rms_norm_eps": 1e-3},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
        {"hidden_act": "gelu"},
    ):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))
        digests.add(Anchor.open(folder).digest)
        (folder / "config.json").write_text(json.dumps(config))
    with (folder / "tokenizer.json").open("a") as file:
        file.write(" ")
    digests.add(Anchor.open(folder).digest)
    assert len(digests) == 7


def test_the_digest_ignores_how_config_json_spells_the_same_thing(checkpoint: Make) -> None:
    folder = checkpoint()
    before = Anchor.open(folder)
    config = json.loads((folder / "config.json").read_text())
    for key in ("rope_parameters", "transformers_version", "dtype", "attention_bias", "head_dim", "hidden_act"):
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps({**config, "rope_theta": 10000, "rope_scaling": None}))
    after = Anchor.open(folder)
    assert after.digest == before.digest
    assert after.architecture == before.architecture


def test_another_type_of_weights_is_another_anchor(checkpoint: Make) -> None:
    folder = checkpoint()
    before = Anchor.open(folder).digest
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, folder / "model.safetensors")
    assert Anchor.open(folder).digest != before


def test_any_flipped_bit_of_the_weights_changes_the_digest(checkpoint: Make) -> None:
    folder = checkpoint()
    before, path = Anchor.open(folder).digest, folder / "model.safetensors"
    original = path.read_bytes()
    first = 8 + int.from_bytes(original[:8], "little")

    @settings(max_examples=50, deadline=None)
    @given(at=st.integers(first, len(original) - 1), bit=st.integers(0, 7))
    def flip(at: int, bit: int) -> None:
        path.write_bytes(original[:at] + bytes([original[at] ^ 1 << bit]) + original[at + 1 :])
        assert Anchor.open(folder).digest != before

    flip()


def test_any_damage_to_the_header_is_seen_or_refused(checkpoint: Make) -> None:
    folder = checkpoint()
    before, path = Anchor.open(folder), folder / "model.safetensors"
    original = path.read_bytes()
    first = 8 + int.from_bytes(original[:8], "little")

    @settings(max_examples=100, deadline=None)
    @given(at=st.integers(0, first - 1), value=st.integers(0, 255))
    def damage(at: int, value: int) -> None:
        path.write_bytes(original[:at] + bytes([value]) + original[at + 1 :])
        try:
            after = Anchor.open(folder)
        except AnchorError:
            return
        # Spaces and the metadata may change without changing a weight.
        assert after.digest != before.digest or dict(after.shapes) == dict(before.shapes)

    damage()


def test_a_shard_that_is_gone_and_a_tensor_that_is_there_twice(checkpoint: Make) -> None:
    folder = checkpoint()
    shard(folder, lambda number: number % 3)
    parts = sorted(folder.glob("part-*"))
    everything = {name: tensor for part in parts for name, tensor in load_file(part).items()}
    parts[1].rename(folder / "away")
    with pytest.raises(AnchorError, match=r"lacks part-1\.safetensors"):
        Anchor.open(folder)
    save_file(everything, parts[1])
    with pytest.raises(AnchorError, match=r"is in part-0\.safetensors and in part-1"):
        Anchor.open(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}'])
def test_a_broken_index_is_refused(checkpoint: Make, text: str) -> None:
    folder = checkpoint()
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(AnchorError, match="not an index"):
        Anchor.open(folder)
