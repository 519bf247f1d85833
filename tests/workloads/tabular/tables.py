"""A schema of a few columns, and tables of it."""

from pathlib import Path

from atoll.anchors import Anchor
from atoll.anchors.classifier import Schema, make_tabular_anchor
from atoll.anchors.classifier.schema import CATEGORICAL, Column, Label

SCHEMA = Schema(
    columns=[
        Column(name="age", centre=50, scale=10, low=0, high=120),
        Column(name="tsh", centre=0, scale=1, log=True, missing=["-9"]),
        Column(name="sex", kind=CATEGORICAL, values=["f", "m"]),
    ],
    label=Label(column="target", classes=["well", "ill"], values={"0": "well"}, otherwise="ill"),
    groups=["sex"],
)
HEADER = "age,tsh,sex,target"


def write(path: Path, *rows: str, header: str = HEADER) -> Path:
    """A CSV file."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def patients(path: Path, count: int = 60) -> Path:
    """As many rows, no two alike; the old are ill."""
    rows = [f"{30 + place % 50},{1 + place / 100},{'fm'[place % 2]},{int(place % 50 > 25)}" for place in range(count)]
    return write(path, *rows)


def anchor_of(folder: Path, schema: Schema = SCHEMA) -> Anchor:
    """An anchor for tables."""
    make_tabular_anchor(schema, folder, layers=1)
    return Anchor.open(folder)
