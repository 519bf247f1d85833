"""The head: scores of classes by directions that nobody trains.

A classifier whose last matrix has fixed orthonormal rows learns as well as one that trains it (Hoffer, Hubara and
Soudry 2018, "Fix your classifier", arXiv 1801.04540, section 3). Here that is what lets experts that were trained
apart be mixed: class number k lies in the same direction for all of them.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def orthonormal_rows(classes: int, width: int) -> Tensor:
    """Rows of the discrete cosine transform (DCT-II) after the constant one, orthonormal, [classes, width], float32.

    The same numbers everywhere, without a random generator or a decomposition; less than ``width`` of them. The
    constant row is left out since what comes from a stem has mean zero.
    """
    row, column = torch.arange(1, classes + 1, dtype=torch.float64), torch.arange(width, dtype=torch.float64)
    return (torch.cos(math.pi / width * (column[None] + 0.5) * row[:, None]) * math.sqrt(2 / width)).float()


class FixedHead(nn.Module):
    """``scale · w_k · x / |x|`` (ibid., equation 5, with the scale a constant of the anchor)."""

    rows: Tensor

    def __init__(self, classes: int, width: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        # A buffer, which no optimizer sees, and no part of the checkpoint, since its form says it all.
        self.register_buffer("rows", orthonormal_rows(classes, width), persistent=False)

    def forward(self, x_BSD: Tensor, classes: Tensor | None = None) -> Tensor:
        """Scores [B, S, K] of the classes with these numbers, int64 [K]; of all that there are if not given."""
        rows = self.rows if classes is None else self.rows[classes]
        return self.scale * functional.normalize(x_BSD, dim=-1) @ rows.T
