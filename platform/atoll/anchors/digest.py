"""What an anchor is, as one digest: its form, its tokenizer where it has one, and every bit of its weights."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from atoll.anchors.architecture import Architecture
from atoll.anchors.checkpoint import StoredTensor
from atoll.anchors.classifier.architecture import ClassifierArchitecture
from atoll.anchors.mobility.architecture import MobilityArchitecture

_PIECE = 1 << 22


def anchor_digest(
    architecture: Architecture | MobilityArchitecture | ClassifierArchitecture,
    tokenizer: bytes,
    tensors: Iterable[StoredTensor],
) -> str:
    """``sha256:…`` over the architecture, the tokenizer.json and, by name, each tensor's name, type, shape and bytes.

    It does not depend on how the weights are spread over shards, on file metadata, or on how config.json spells things.
    Weights of another dtype are other weights. What reads no text has an empty tokenizer.
    """
    total = hashlib.sha256(b"atoll anchor 1\n")
    _add(total, json.dumps(architecture.canonical(), sort_keys=True).encode())
    _add(total, tokenizer)
    for tensor in sorted(tensors, key=lambda each: each.name):
        _add(total, json.dumps([tensor.name, tensor.dtype, tensor.shape, tensor.size]).encode())
        with tensor.file.open("rb") as stream:
            stream.seek(tensor.start)
            left = tensor.size
            while left and (piece := stream.read(min(left, _PIECE))):
                total.update(piece)
                left -= len(piece)
    return f"sha256:{total.hexdigest()}"


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _add(total: "hashlib._Hash", part: bytes) -> None:
    """A part and its length before it, so that no two rows of parts look alike."""
    total.update(len(part).to_bytes(8, "little"))
    total.update(part)
