"""The public schema of a table: what its columns are, and which class a row is of. Part of the anchor that reads it.

Everything in it is public and known beforehand: centres, scales and values are looked up or agreed on, never computed
from an owner's data. Since the schema is part of the anchor's form, all owners' rows mean the same by construction.

An encoded row has F entries: of a numeric column its standardised value (0, the centre, where it is missing) and a bit
that says that it is missing; of a categorical column a bit for each value, and one that says that it is missing.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from atoll.config.decode import decode
from atoll.config.reader import read_config
from atoll.errors import AnchorError, ConfigError, DataError

NUMERIC, CATEGORICAL = KINDS = ("numeric", "categorical")
BOUND = 5.0
"""Standardised values beyond this many scales are held at it: one odd value must not outweigh a row."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column that is read.

    Attributes:
        name: As the header has it.
        kind: ``numeric`` or ``categorical``.
        centre: Of a numeric column, in its unit; of its logarithm where ``log`` is set.
        scale: Likewise; positive.
        log: Whether the natural logarithm is standardised; then values must be positive.
        low: The least possible value, in the column's unit; ``None`` for no bound.
        high: The largest possible value.
        values: Of a categorical column, as texts; a number may be written in any way.
        missing: Further codes that mean that there is no value, such as ``-9``.
    """

    name: str
    kind: str = NUMERIC
    centre: float = 0.0
    scale: float = 1.0
    log: bool = False
    low: float | None = None
    high: float | None = None
    values: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Entries of an encoded row that it takes."""
        return 2 if self.kind == NUMERIC else len(self.values) + 1

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        where = f"schema: column '{self.name}'"
        if self.kind not in KINDS:
            raise ConfigError(f"{where}: kind is '{self.kind}'; it is {' or '.join(KINDS)}")
        if self.kind == CATEGORICAL:
            if not self.values or max(Counter(map(canonical, self.values)).values()) > 1:
                raise ConfigError(f"{where}: name each of its values once, in 'values'")
            if (self.log, self.low, self.high) != (False, None, None):
                raise ConfigError(f"{where}: log, low and high are for numeric columns")
            return
        if self.values:
            raise ConfigError(f"{where}: 'values' are for categorical columns; set kind to {CATEGORICAL}")
        if not (math.isfinite(self.centre) and 0 < self.scale < math.inf):
            raise ConfigError(f"{where}: centre {self.centre:g} must be finite and scale {self.scale:g} positive")
        low, high = self.bounds
        if not low < high or (self.log and high <= 0):
            raise ConfigError(f"{where}: there is no value from low {low:g} to high {high:g}")

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest possible value."""
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high


@dataclass(frozen=True, kw_only=True)
class Label:
    """Which class a row is of.

    Attributes:
        column: Where it stands.
        classes: In order; of two, the second is the positive one, such as the disease.
        values: From what stands there to a class; where empty, the classes stand there themselves.
        otherwise: The class of every other value; empty where there must be none.
    """

    column: str
    classes: list[str]
    values: dict[str, str] = field(default_factory=dict)
    otherwise: str = ""

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ConfigError("schema: label: name two classes or more, each once")
        named = [*self.values.values(), *([self.otherwise] if self.otherwise else [])]
        if odd := sorted(set(named) - set(self.classes)):
            raise ConfigError(f"schema: label: '{odd[0]}' is no class: there are {', '.join(self.classes)}")

    @property
    def classes_by_value(self) -> dict[str, int]:
        """From what stands in the column, in its canonical form, to the number of the class."""
        given = self.values or {name: name for name in self.classes}
        return {canonical(value): self.classes.index(name) for value, name in given.items()}


@dataclass(frozen=True, kw_only=True)
class Schema:
    """A table's public schema.

    Attributes:
        columns: In the order in which an encoded row has them.
        label: The class.
        missing: Codes that mean in every column that there is no value; an empty cell always does.
        person: Column that says whose a row is; empty where every row is somebody else's or nobody knows.
        groups: Categorical columns over whose values models are to be fair, such as the sex.
    """

    columns: list[Column]
    label: Label
    missing: list[str] = field(default_factory=lambda: ["?", "NA", "NaN"])
    person: str = ""
    groups: list[str] = field(default_factory=list)

    def check(self) -> "Schema":
        """The schema itself.

        Raises:
            ConfigError: what cannot be.
        """
        if not self.columns:
            raise ConfigError("schema: name at least one column")
        for column in self.columns:
            column.check()
        self.label.check()
        names = [column.name for column in self.columns]
        if twice := [name for name, count in Counter([*names, self.label.column]).items() if count > 1]:
            raise ConfigError(f"schema: column '{twice[0]}' is named twice, or is read as the label too")
        categorical = [column.name for column in self.columns if column.kind == CATEGORICAL]
        if odd := [name for name in self.groups if name not in categorical]:
            raise ConfigError(f"schema: group '{odd[0]}' is no categorical column")
        return self

    @property
    def width(self) -> int:
        """Entries of an encoded row, F."""
        return sum(column.width for column in self.columns)

    @property
    def spans(self) -> list[tuple[Column, slice]]:
        """Where in an encoded row each column is."""
        found, start = [], 0
        for column in self.columns:
            found.append((column, slice(start, start + column.width)))
            start += column.width
        return found

    @property
    def names(self) -> list[str]:
        """Columns of a file that are read, each once."""
        further = [self.person] if self.person else []
        return list(dict.fromkeys([*(column.name for column in self.columns), self.label.column, *further]))

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Schema":
        """Read :meth:`plain`.

        Raises:
            AnchorError: something else.
        """
        try:
            made: Schema = decode(dict(found), cls, "schema")
            return made.check()
        except (DataError, ConfigError) as error:
            raise AnchorError(f"config.json of a classifier: {error}") from error


def read_schema(file: Path) -> Schema:
    """A schema from YAML.

    Raises:
        ConfigError: no such file, or what cannot be.
    """
    return read_config(Schema, file, []).check()


def canonical(value: str) -> str:
    """A cell's text so that numbers that are equal have equal texts, however they are written."""
    text = value.strip()
    if not text or text[0] not in "+-.0123456789" or "_" in text:
        return text
    try:
        return f"{float(text):.17g}"
    except ValueError:
        return text
