"""Read a checkpoint's files without building the model: config.json, safetensors headers, tokenizer."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atoll.anchors.classifier.architecture import MODEL_TYPE as CLASSIFIER
from atoll.anchors.mobility.architecture import MODEL_TYPE as MOBILITY
from atoll.errors import AnchorError

FAMILIES = {"llama": "LlamaForCausalLM", "olmo2": "Olmo2ForCausalLM"}
_OURS = (MOBILITY, CLASSIFIER)
"""What ``model_type`` says for models of Atoll's own."""

_ITEM_SIZE = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one tensor lies: ``size`` bytes from ``start`` of ``file``; ``dtype`` as safetensors writes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    size: int


def read_config(folder: Path) -> dict[str, Any]:
    """What ``config.json`` says, if this is a checkpoint that can be an anchor.

    Raises:
        AnchorError: no checkpoint, another family or task than a causal LM or a model of ours, quantized, or a language
            model without a tokenizer.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise AnchorError(f"{folder} is not a transformers checkpoint: it has no config.json")
    try:
        config = json.loads(path.read_text("utf-8"))
        family, architectures = config.get("model_type"), config.get("architectures") or []
    except (ValueError, AttributeError) as error:
        raise AnchorError(f"{path} is not a transformers configuration: {error}") from error
    if family in _OURS:
        return config  # type: ignore[no-any-return]
    if family not in FAMILIES:
        raise AnchorError(
            f"{folder} is a model of the family '{family}': anchors are of {' or '.join((*FAMILIES, *_OURS))}"
        )
    if architectures and FAMILIES[family] not in architectures:
        raise AnchorError(f"{folder} is a {architectures[0]}, not a causal language model ({FAMILIES[family]})")
    if config.get("quantization_config"):
        raise AnchorError(f"{folder} holds quantized weights: save it again in bfloat16 or float32")
    if not (folder / "tokenizer.json").is_file():
        raise AnchorError(
            f"{folder} has no tokenizer.json: save the tokenizer beside the weights, tokenizer.save_pretrained(folder)"
        )
    return config  # type: ignore[no-any-return]


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the checkpoint by name, sorted, from the headers of all shards.

    Raises:
        AnchorError: pickled or missing weights, a missing or truncated shard, a tensor that is there twice.
    """
    tensors: dict[str, StoredTensor] = {}
    for file in _shards(folder):
        for tensor in _header(file):
            if tensor.name in tensors:
                raise AnchorError(f"{folder}: {tensor.name} is in {tensors[tensor.name].file.name} and in {file.name}")
            tensors[tensor.name] = tensor
    return dict(sorted(tensors.items()))


def same_content(one: StoredTensor, other: StoredTensor) -> bool:
    """Whether two tensors are equal to the bit."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    with one.file.open("rb") as first, other.file.open("rb") as second:
        first.seek(one.start)
        second.seek(other.start)
        left = one.size
        while left:
            block = min(left, _BLOCK)
            if first.read(block) != second.read(block):
                return False
            left -= block
    return True


def _shards(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = {str(name) for name in json.loads(index.read_text("utf-8"))["weight_map"].values()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AnchorError(f"{index} is not an index of shards: {error!r}") from error
        if odd := sorted(name for name in names if Path(name).name != name):
            raise AnchorError(f"{index} names '{odd[0]}': shards lie beside their index, without folders")
        if "model.safetensors" not in names and (folder / "model.safetensors").exists():
            raise AnchorError(
                f"{folder} holds two models: model.safetensors, and the shards that {index.name} names; programs "
                "differ in which one they read: move one of the two away"
            )
        files = [folder / name for name in sorted(names)]
        if gone := [file.name for file in files if not file.is_file()]:
            raise AnchorError(f"{folder} lacks {', '.join(gone)}, which {index.name} names: copy the whole folder")
        return files
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if pickles := sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES):
        raise AnchorError(
            f"{folder} holds pickled weights ({', '.join(pickles)}), which can run code when they are read: where you "
            "trust them, load and save the model once with transformers, which writes safetensors"
        )
    raise AnchorError(f"{folder} has no weights: there is no model.safetensors and no model.safetensors.index.json")


def _header(file: Path) -> list[StoredTensor]:
    """The tensors of one file: eight bytes with the header's length, the header as JSON, the data."""
    total = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > total - 8:
                raise ValueError("the header is cut off")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        tensors = [_entry(name, entry, file, 8 + length) for name, entry in header.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnchorError(f"{file} is not a safetensors file: {error}") from error
    if any(tensor.start < 8 + length or tensor.start + tensor.size > total for tensor in tensors):
        raise AnchorError(f"{file} is truncated, it has {total} bytes: copy it again")
    return tensors


def _entry(name: str, entry: dict[str, Any], file: Path, data: int) -> StoredTensor:
    begin, end = entry["data_offsets"]
    dtype, shape = str(entry["dtype"]), tuple(int(size) for size in entry["shape"])
    if dtype not in _ITEM_SIZE:
        raise ValueError(f"{name} is of the type {dtype}")
    if end - begin != math.prod(shape) * _ITEM_SIZE[dtype]:
        raise ValueError(f"{name} of shape {list(shape)} in {dtype} cannot have {end - begin} bytes")
    return StoredTensor(name, dtype, shape, file, data + begin, end - begin)
