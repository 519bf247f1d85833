"""Rows that nobody's data went into, drawn from a schema alone, and the anchor's own domain descriptor of them.

Shapes: N rows, F entries of an encoded row.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from atoll.anchors.anchor import Anchor
from atoll.anchors.classifier.schema import BOUND, NUMERIC, Schema
from atoll.anchors.kept import kept_descriptor
from atoll.anchors.states import describe_states
from atoll.mixture import Descriptor
from atoll.workloads.classification.samples import LabelledSamples

_ROWS, _SEED, _MISSING = 1024, 0, 0.1
"""How many rows, and the share of their cells that are missing."""


def public_rows(schema: Schema) -> LabelledSamples:
    """Encoded rows, float32 [N, F]: numbers normal about their centres, values alike likely, columns independent.

    Classes are alike likely, and say nothing of the rows.
    """
    rng = np.random.default_rng(_SEED)
    table = np.zeros((_ROWS, schema.width), dtype=np.float32)
    for column, span in schema.spans:
        part = table[:, span]
        missing = rng.random(_ROWS) < _MISSING
        if column.kind == NUMERIC:
            part[:, 0] = np.where(missing, 0.0, rng.standard_normal(_ROWS).clip(-BOUND, BOUND))
            part[:, 1] = missing
        else:
            chosen = rng.integers(0, len(column.values), _ROWS)
            part[np.arange(_ROWS), np.where(missing, len(column.values), chosen)] = 1.0
    return LabelledSamples(table, rng.integers(0, len(schema.label.classes), _ROWS), None)


def public_descriptor(
    anchor: Anchor, schema: Schema, model: nn.Module, sites: Sequence[str], cache: Path
) -> Descriptor:
    """The anchor's own descriptor, computed once for each anchor and list of sites, and kept in ``cache``."""
    made_from = [anchor.digest, list(sites), _ROWS, _SEED, "rows"]
    return kept_descriptor(cache, made_from, lambda: describe_states(model, sites, _batches(schema)))


def _batches(schema: Schema) -> Iterator[tuple[Mapping[str, Tensor], Tensor]]:
    rows = torch.from_numpy(public_rows(schema).values)
    for part in rows.split(64):
        yield {"columns": part}, torch.ones(len(part), 1, dtype=torch.bool)
