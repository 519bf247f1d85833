"""Rows and pictures to probabilities of classes.

Shapes: B rows, K classes.
"""

import base64
import binascii
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from atoll.anchors.classifier import ClassifierArchitecture, ImagesForm, TabularForm
from atoll.anchors.classifier.schema import Schema, canonical
from atoll.coordinator.mlflow_model.reference import Reference
from atoll.coordinator.mlflow_model.signature import IMAGE
from atoll.errors import ConfigError, DataError, MixtureError
from atoll.releases.opening import OpenRelease
from atoll.workloads.images.sources import read_files
from atoll.workloads.tabular.encode import encode, what_fits

if TYPE_CHECKING:
    import pandas as pd

_AT_ONCE = 256


@torch.no_grad()
def probabilities(
    opened: OpenRelease, reference: Reference, rows: "pd.DataFrame", allowed: Sequence[str]
) -> "dict[str, np.ndarray[Any, Any]]":
    """Probability by class of each row, float64 [B] each.

    Raises:
        DataError, ConfigError: rows that cannot be.
        MixtureError: the release answers nothing by row.
    """
    form = opened.anchor.architecture
    stem = form.stem if isinstance(form, ClassifierArchitecture) else None
    if isinstance(stem, TabularForm):
        name, inputs, classes = "columns", encoded_rows(rows, stem.schema), list(stem.schema.label.classes)
    elif isinstance(stem, ImagesForm):
        name, inputs, classes = "pixels", read_images(rows, stem), list(reference.classes)
    else:
        raise MixtureError(f"a release of workload '{reference.workload}' has no answers by row")
    device = next(opened.mixture.model.parameters()).device
    numbers, found = torch.arange(len(classes), device=device), []
    for part in inputs.split(_AT_ONCE):
        with opened.mixture.use(allowed):
            logits_BK = opened.mixture(**{name: part.to(device), "classes": numbers}).logits[:, 0]
        found.append(logits_BK.double().softmax(-1).cpu())
    whole_BK = torch.cat(found).numpy() if found else np.zeros((0, len(classes)))
    return {each: whole_BK[:, place] for place, each in enumerate(classes)}


def encoded_rows(rows: "pd.DataFrame", schema: Schema) -> Tensor:
    """Rows without a class as the anchor takes them, float32 [B, F]; a label or person that comes with them is unread.

    Raises:
        DataError: a column is missing or there twice, or holds what cannot be. No message repeats a value.
    """
    parts = []
    for column in schema.columns:
        if (there := list(rows.columns).count(column.name)) != 1:
            raise DataError(f"column '{column.name}' is there {there} times; the anchor's schema has it once")
        cells = np.array([canonical(_cell(value)) for value in rows[column.name]], dtype=np.str_)
        found = encode(column, schema, cells)
        if found.bad.any():
            raise DataError(
                f"row {int(found.bad.argmax()) + 1}: column '{column.name}' holds what cannot be: the anchor's schema "
                f"has {what_fits(column)}"
            )
        parts.append(found.values)
    return torch.from_numpy(np.concatenate(parts, 1))


def _cell(value: Any) -> str:
    """A cell's text; empty where there is no value, as pandas has it."""
    missing = value is None or value != value or type(value).__name__ in ("NAType", "NaTType")
    return "" if missing else str(value)


def read_images(rows: "pd.DataFrame", form: ImagesForm) -> Tensor:
    """Pictures as files' bytes, or these in base 64, as the anchor takes them, float32 [B, C, H, W] in [0, 1]."""
    if IMAGE not in rows:
        raise ConfigError(f"there is no column '{IMAGE}' with the bytes of picture files")
    with tempfile.TemporaryDirectory(prefix="atoll-") as scratch:
        files = list(_written(rows[IMAGE], Path(scratch)))
        if not files:
            return torch.zeros(0, form.channels, form.height, form.width)
        return torch.from_numpy(read_files(files, form).values).float() / 255


def _written(pictures: "pd.Series[Any]", folder: Path) -> Iterator[Path]:
    for number, picture in enumerate(pictures, 1):
        try:
            content = base64.b64decode(picture, validate=True) if isinstance(picture, str) else bytes(picture)
        except (binascii.Error, TypeError, ValueError) as error:
            raise DataError(
                f"row {number}: '{IMAGE}' is neither a picture file's bytes nor these in base 64"
            ) from error
        path = folder / f"row-{number}.png"
        path.write_bytes(content)
        yield path
