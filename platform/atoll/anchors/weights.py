"""An anchor of Atoll's own making on disk: config.json and model.safetensors."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from atoll.errors import AnchorError

WEIGHTS = "model.safetensors"

Model = TypeVar("Model", bound=nn.Module)


def write_anchor(model: nn.Module, config: Mapping[str, Any], folder: Path) -> None:
    """Write ``folder`` as an anchor that ``Anchor.open`` opens; weights in the model's own dtype."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tensors = {name: value.detach().to("cpu").contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / WEIGHTS)


def read_anchor(folder: Path, build: Callable[[], Model]) -> Model:
    """The model in ``folder``, frozen and in evaluation mode, in float32.

    Args:
        folder: Of the anchor.
        build: Makes the model that its config.json describes, with any weights.

    Raises:
        AnchorError: the weights are not those of that model.
    """
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise AnchorError(f"{folder / WEIGHTS} does not load: {error}") from error
    with torch.random.fork_rng(devices=[]):  # what is drawn is overwritten
        model = build()
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if wrong := sorted(set(expected.items()) ^ set(found.items())):
        names = ", ".join(sorted({name for name, _ in wrong})[:5])
        raise AnchorError(
            f"the weights in {folder} are not those of config.json: missing, unexpected or misshaped {names}"
        )
    model.load_state_dict(tensors)
    return model.requires_grad_(False).eval()
