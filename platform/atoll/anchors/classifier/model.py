"""The classifier anchor's model: which of its classes a sample is of.

Shapes: B samples, S = 1 position of each, D width, K classes that are asked about.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from atoll.anchors.classifier.architecture import ClassifierArchitecture
from atoll.anchors.classifier.blocks import Trunk
from atoll.anchors.classifier.head import FixedHead
from atoll.errors import DataError


@dataclass(eq=False, slots=True)
class ClassifierOutput:
    """What the model says.

    Attributes:
        logits: [B, 1, K], scores of the classes.
    """

    logits: Tensor


class ClassifierModel(nn.Module):
    """A stem, residual feed-forward blocks on its one vector, and a head that is never trained.

    To whoever routes and mixes, a sample is a sequence of one position. The blocks are
    ``model.layers.{i}.mlp.gate_proj`` and so on, as in a language model.
    """

    def __init__(self, architecture: ClassifierArchitecture) -> None:
        super().__init__()
        form = architecture
        self.architecture = architecture
        self.stem = form.stem.build(form.hidden_size)
        self.model = Trunk(form.hidden_size, form.intermediate_size, form.layers, form.norm_epsilon)
        self.head = FixedHead(form.classes, form.hidden_size, form.scale)

    def read(self, *, features: Tensor | None = None, **inputs: Any) -> Tensor:
        """Zeros, int64 [B, 1]: no earlier position has been predicted that could weigh an ensemble's models."""
        first = self._sample(inputs) if features is None else features
        return torch.zeros(len(first), 1, dtype=torch.int64, device=first.device)

    def forward(self, features: Tensor | None = None, classes: Tensor | None = None, **inputs: Any) -> ClassifierOutput:
        """Scores of classes.

        Args:
            features: Float [B, D] or [B, 1, D]: what the stem says of samples, in their place; replay is drawn there.
            classes: int64 [K], numbers of the classes that are asked about; all of them if not given.
            **inputs: The samples under the name that the stem gives them: ``pixels`` float [B, C, H, W] from 0 to 1.
                Others are not looked at.

        Raises:
            DataError: neither samples nor features, or of another shape.
        """
        found: Tensor = self.stem(self._sample(inputs)) if features is None else features
        x_BSD = found.unsqueeze(1) if found.ndim == 2 else found
        return ClassifierOutput(self.head(self.model(x_BSD), classes))

    def _sample(self, inputs: dict[str, Any]) -> Tensor:
        found = inputs.get(self.stem.reads)
        if not isinstance(found, Tensor):
            raise DataError(f"the classifier was given neither '{self.stem.reads}' nor 'features'")
        return found
