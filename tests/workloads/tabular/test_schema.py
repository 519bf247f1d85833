import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.tabular.tables import SCHEMA, anchor_of

from atoll.anchors import Anchor
from atoll.anchors.classifier import Schema, make_tabular_anchor, read_schema
from atoll.anchors.classifier.schema import CATEGORICAL, Column, Label, canonical
from atoll.config import to_yaml
from atoll.errors import AnchorError, ConfigError


def test_a_schema_survives_yaml_and_json(tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(to_yaml(SCHEMA), encoding="utf-8")
    assert read_schema(path) == SCHEMA
    assert Schema.of(json.loads(json.dumps(SCHEMA.plain()))) == SCHEMA


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"columns": []}, "at least one column"),
        ({"columns": [Column(name="a", scale=0)]}, "scale 0"),
        ({"columns": [Column(name="a", low=2, high=1)]}, "no value from low 2 to high 1"),
        ({"columns": [Column(name="a", kind="text")]}, "numeric or categorical"),
        ({"columns": [Column(name="a", kind=CATEGORICAL)]}, "each of its values once"),
        ({"columns": [Column(name="a", kind=CATEGORICAL, values=["1", "1.0"])]}, "each of its values once"),
        ({"columns": [Column(name="a", values=["x"])]}, "for categorical"),
        ({"columns": [Column(name="target")]}, "'target' is named twice"),
        ({"groups": ["age"]}, "'age' is no categorical column"),
        ({"label": Label(column="t", classes=["a"])}, "two classes"),
        ({"label": Label(column="t", classes=["a", "b"], otherwise="c")}, "'c' is no class"),
    ],
)
def test_what_a_schema_cannot_be(change: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        replace(SCHEMA, **change).check()  # type: ignore[arg-type]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_equal_numbers_have_equal_texts(value: float) -> None:
    assert canonical(repr(value)) == canonical(f" {value:.20e} ")
    assert float(canonical(repr(value))) == value


def test_numbers_that_differ_have_texts_that_differ() -> None:
    assert canonical("840801013") != canonical("840801014")
    assert canonical("-") == "-"
    assert canonical("1_0") == "1_0"


def test_an_anchor_is_a_function_of_schema_and_seed(tmp_path: Path) -> None:
    one, same = anchor_of(tmp_path / "one"), anchor_of(tmp_path / "same")
    make_tabular_anchor(SCHEMA, tmp_path / "other", layers=1, seed=1)
    wider = anchor_of(
        tmp_path / "wider", replace(SCHEMA, columns=[replace(SCHEMA.columns[0], high=110), *SCHEMA.columns[1:]])
    )
    assert one.digest == same.digest
    assert len({one.digest, Anchor.open(tmp_path / "other").digest, wider.digest}) == 3
    assert one.workload == "tabular"


def test_the_stem_keeps_rows_apart(tmp_path: Path) -> None:
    model = anchor_of(tmp_path / "anchor").model()
    rows = torch.randn(20, SCHEMA.width, generator=torch.Generator().manual_seed(0))
    stem = model.get_submodule("stem")
    apart = torch.cdist(stem.embed(rows), stem.embed(rows))  # type: ignore[operator]
    assert torch.allclose(apart, torch.cdist(rows, rows), atol=1e-4)
    # Rows in one direction but of other lengths stay apart too.
    assert not torch.allclose(stem(rows), stem(2 * rows), atol=0.1)


def test_a_row_of_another_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnchorError, match="hidden_size is 4"):
        make_tabular_anchor(SCHEMA, tmp_path / "small", hidden_size=4)
