"""A classifier anchor on disk."""

from pathlib import Path

from atoll.anchors.classifier.architecture import ClassifierArchitecture
from atoll.anchors.classifier.model import ClassifierModel
from atoll.anchors.weights import read_anchor, write_anchor


def save_classifier_anchor(model: ClassifierModel, folder: Path) -> None:
    """Write ``folder`` as an anchor that ``Anchor.open`` opens; weights in the model's own dtype."""
    write_anchor(model, model.architecture.config(), folder)


def read_model(folder: Path, architecture: ClassifierArchitecture) -> ClassifierModel:
    """The model in ``folder``, frozen and in evaluation mode, in float32.

    Raises:
        AnchorError: the weights are not those of the architecture.
    """
    return read_anchor(folder, lambda: ClassifierModel(architecture))
