"""An anchor for tables, made of a public schema alone."""

from pathlib import Path

import torch

from atoll.anchors.classifier.architecture import ClassifierArchitecture
from atoll.anchors.classifier.checkpoint import save_classifier_anchor
from atoll.anchors.classifier.model import ClassifierModel
from atoll.anchors.classifier.schema import Schema
from atoll.anchors.classifier.tabular import TabularForm

_SCALE = 4.0
"""Of the head. A silo's few hundred rows are learned by heart where cosines may become sure of themselves sooner."""


def make_tabular_anchor(
    schema: Schema, folder: Path, *, seed: int = 0, layers: int = 2, hidden_size: int = 0, intermediate_size: int = 128
) -> None:
    """Write an anchor for tables of this schema: a function of the arguments alone, without any data.

    Its stem loses nothing of a row and knows nothing of the task; what it takes for the classes is learned by experts,
    in the blocks.

    Args:
        schema: Public.
        folder: Where to; made if it is not there.
        seed: Of the rotation and of the blocks.
        layers: Blocks.
        hidden_size: Width D; 0 for the least multiple of 16 that rows have room in, and 64 at least.
        intermediate_size: Of a block.

    Raises:
        ConfigError: a schema that cannot be.
        AnchorError: sizes that cannot be.
    """
    schema.check()
    form = ClassifierArchitecture(
        hidden_size=hidden_size or max(64, -(-(schema.width + 1) // 16) * 16),
        layers=layers,
        intermediate_size=intermediate_size,
        classes=len(schema.label.classes),
        stem=TabularForm(schema=schema),
        scale=_SCALE,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_classifier_anchor(ClassifierModel(form), folder)
