"""A mobility anchor on disk."""

from pathlib import Path

from atoll.anchors.mobility.architecture import MobilityArchitecture
from atoll.anchors.mobility.model import MobilityModel
from atoll.anchors.weights import read_anchor, write_anchor


def save_mobility_anchor(model: MobilityModel, folder: Path) -> None:
    """Write ``folder`` as an anchor that ``Anchor.open`` opens; weights in the model's own dtype."""
    write_anchor(model, model.architecture.config(), folder)


def read_model(folder: Path, architecture: MobilityArchitecture) -> MobilityModel:
    """The model in ``folder``, frozen and in evaluation mode, in float32.

    Raises:
        AnchorError: the weights are not those of the architecture.
    """
    return read_anchor(folder, lambda: MobilityModel(architecture))
