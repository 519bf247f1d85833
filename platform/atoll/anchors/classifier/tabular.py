"""The stem for tables: a fixed random rotation of an encoded row.

Shapes: B rows, F entries of an encoded row, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from atoll.anchors.classifier.schema import Schema
from atoll.anchors.classifier.stem import Stem
from atoll.errors import AnchorError, DataError

_CONSTANT = 3.0
"""An entry that all rows have: vectors are scaled to one length, and its share of that tells how long a row was."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TabularForm:
    """The form of a stem for tables.

    Attributes:
        schema: What the columns mean.
    """

    input: ClassVar[str] = "tabular"
    schema: Schema

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "TabularForm":
        """From config.json."""
        if not isinstance(given.get("schema"), Mapping):
            raise AnchorError("config.json of a classifier anchor: a stem for tabular needs a 'schema'")
        return cls(schema=Schema.of(given["schema"]))

    def build(self, width: int) -> "TabularStem":
        """With a random rotation into vectors of this width.

        Raises:
            AnchorError: the rows have no room in it.
        """
        if width < self.schema.width + 1:
            raise AnchorError(
                f"a tabular anchor's hidden_size is {width}; encoded rows of this schema need {self.schema.width + 1}"
            )
        return TabularStem(self, width)


@final
class TabularStem(Stem):
    """An isometry: orthonormal columns, so that rows keep their distances and nothing of them is lost."""

    reads: ClassVar[str] = "columns"

    def __init__(self, form: TabularForm, width: int) -> None:
        super().__init__()
        self.form = form
        # [D, F + 1]
        self.rotation = nn.Parameter(torch.linalg.qr(torch.randn(width, form.schema.width + 1))[0].contiguous())

    def embed(self, x: Tensor) -> Tensor:
        """Encoded rows [B, F] to [B, D]."""
        if x.ndim != 2 or x.shape[1] != self.form.schema.width:
            raise DataError(f"the anchor reads rows of {self.form.schema.width} entries, not {tuple(x.shape[1:])}")
        whole = torch.cat([x, x.new_full((len(x), 1), _CONSTANT)], 1)
        return whole @ self.rotation.T
