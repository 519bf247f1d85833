"""What was loaded is what was digested: a checkpoint is digested by one reader and loaded by another."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from atoll.anchors.checkpoint import StoredTensor
from atoll.errors import AnchorError


def check_loaded(model: nn.Module, tensors: Mapping[str, StoredTensor], dtype: torch.dtype) -> None:
    """Raise AnchorError unless a model's parameters are these tensors, by name, shape and content, in a dtype."""
    live = dict(model.named_parameters())
    if odd := sorted(set(live) ^ set(tensors)):
        raise AnchorError(f"what was loaded has not the parameters of the file: {', '.join(odd[:5])}")
    by_file: dict[Path, list[str]] = {}
    for name, tensor in tensors.items():
        by_file.setdefault(tensor.file, []).append(name)
    for file, names in by_file.items():
        with safe_open(file, framework="pt") as stored:
            for name in names:
                wanted, found = stored.get_tensor(name).to(dtype), live[name].detach()
                # As bytes, so that what is no number is compared as well.
                same = wanted.shape == found.shape and torch.equal(_bytes(wanted), _bytes(found))
                if not same:
                    raise AnchorError(f"what was loaded as {name} is not what {file} holds: it was read otherwise")


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
