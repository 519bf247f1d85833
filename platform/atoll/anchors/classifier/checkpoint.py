"""A classifier anchor on disk: config.json and model.safetensors."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from atoll.anchors.classifier.architecture import ClassifierArchitecture
from atoll.anchors.classifier.model import ClassifierModel
from atoll.errors import AnchorError

WEIGHTS = "model.safetensors"


def save_classifier_anchor(model: ClassifierModel, folder: Path) -> None:
    """Write ``folder`` as an anchor that ``Anchor.open`` opens; weights in the model's own dtype."""
    folder.mkdir(parents=True, exist_ok=True)
    config = json.dumps(model.architecture.config(), indent=2) + "\n"
    (folder / "config.json").write_text(config, encoding="utf-8")
    tensors = {name: value.detach().to("cpu").contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / WEIGHTS)


def read_model(folder: Path, architecture: ClassifierArchitecture) -> ClassifierModel:
    """The model in ``folder``, frozen and in evaluation mode, in float32.

    Raises:
        AnchorError: the weights are not those of the architecture.
    """
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise AnchorError(f"{folder / WEIGHTS} does not load: {error}") from error
    with torch.random.fork_rng(devices=[]):  # what is drawn is overwritten
        model = ClassifierModel(architecture)
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if wrong := sorted(set(expected.items()) ^ set(found.items())):
        names = ", ".join(sorted({name for name, _ in wrong})[:5])
        raise AnchorError(
            f"the weights in {folder} are not those of config.json: missing, unexpected or misshaped {names}"
        )
    model.load_state_dict(tensors)
    return model.requires_grad_(False).eval()
