from pathlib import Path

import pytest
from tests.workloads.tabular.tables import SCHEMA
from typer.testing import CliRunner

from atoll.anchors import Anchor
from atoll.cli.anchor import app
from atoll.config import to_yaml
from atoll.errors import ConfigError


def run(*arguments: object) -> str:
    found = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False, standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    return found.output


def test_an_anchor_for_tables_is_made_of_its_schema(tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text(to_yaml(SCHEMA), encoding="utf-8")
    told = run("tabular", tmp_path / "schema.yaml", "--out", tmp_path / "anchor")
    anchor = Anchor.open(tmp_path / "anchor")
    assert anchor.digest in told
    assert told == run("show", tmp_path / "anchor")
    with pytest.raises(ConfigError, match="there already"):
        run("tabular", tmp_path / "schema.yaml", "--out", tmp_path / "anchor")


def test_a_slip_in_a_schema_is_shown_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text("columns:\n  - {nmae: age}\nlabel: {column: y, classes: [a, b]}\n")
    with pytest.raises(ConfigError, match=r"schema.yaml.*2.*nmae"):
        run("tabular", tmp_path / "schema.yaml", "--out", tmp_path / "anchor")
