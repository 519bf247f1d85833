"""Rows and pictures that are sent to a registered release are read as those that experts were trained on."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.workloads.tabular.tables import SCHEMA, write

from atoll.anchors.classifier import ImagesForm
from atoll.coordinator.mlflow_model.rows import encoded_rows, read_images
from atoll.errors import ConfigError, DataError
from atoll.workloads.images.sources import read_files
from atoll.workloads.tabular.rows import read_rows

FORM = ImagesForm(channels=1, height=8, width=8)


def test_rows_are_encoded_as_in_training(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "60,2.5,m,0", "45,1,f,3", "?,,NA,0")
    expected = read_rows([path], SCHEMA, "refuse").values
    assert np.array_equal(encoded_rows(pd.read_csv(path, dtype=str, keep_default_na=False), SCHEMA).numpy(), expected)
    guessed = pd.read_csv(path)  # with numbers and gaps as pandas has them
    assert np.array_equal(encoded_rows(guessed, SCHEMA).numpy(), expected)
    unlabelled = guessed.drop(columns=[SCHEMA.label.column])
    assert np.array_equal(encoded_rows(unlabelled, SCHEMA).numpy(), expected)


def test_rows_that_cannot_be_are_refused_without_their_values() -> None:
    good = {name: ["45"] for name in (column.name for column in SCHEMA.columns)}
    first = SCHEMA.columns[0].name
    with pytest.raises(DataError, match=f"'{first}' is there 0 times"):
        encoded_rows(pd.DataFrame({name: cells for name, cells in good.items() if name != first}), SCHEMA)
    with pytest.raises(DataError, match="row 1: column") as refused:
        encoded_rows(pd.DataFrame({**good, first: ["secret"]}), SCHEMA)
    assert "secret" not in str(refused.value)


def test_pictures_come_as_bytes_or_in_base_64(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 10), dtype=np.uint8))
    told = io.BytesIO()
    picture.save(told, "PNG")
    (tmp_path / "a.png").write_bytes(told.getvalue())
    expected = read_files([tmp_path / "a.png"], FORM).values.astype(np.float32) / 255
    sent = pd.DataFrame({"image": [told.getvalue(), base64.b64encode(told.getvalue()).decode()]})
    found = read_images(sent, FORM).numpy()
    assert np.array_equal(found, np.concatenate([expected, expected]))
    with pytest.raises(DataError, match="row 1"):
        read_images(pd.DataFrame({"image": ["no picture"]}), FORM)
    with pytest.raises(ConfigError, match="no column 'image'"):
        read_images(pd.DataFrame({"pixels": []}), FORM)
