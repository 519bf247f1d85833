"""Patients of several institutions, as one value: a table of texts with a public schema."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atoll.anchors.classifier.schema import Schema
from atoll.errors import DataError

Row = Mapping[str, str]


@dataclass(frozen=True, eq=False, kw_only=True)
class ClinicalSet:
    """Patients by site.

    Attributes:
        name: Of the data set.
        schema: What the columns mean; public.
        sites: Rows by the site's name, as texts by column.
        licence: As its source states it.
    """

    name: str
    schema: Schema
    sites: Mapping[str, list[Row]]
    licence: str

    def write(self, folder: Path) -> dict[str, Path]:
        """Every site's rows as ``SITE.csv``, with the columns that the schema reads; paths by site."""
        folder.mkdir(parents=True, exist_ok=True)
        found = {}
        for site, rows in self.sites.items():
            found[site] = folder / f"{site}.csv"
            with found[site].open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, self.schema.names, extrasaction="ignore", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        return found


def by_site(path: Path, column: str, sites: Mapping[str, str], count: int) -> dict[str, list[Row]]:
    """The rows of a CSV file by what stands in a column.

    Args:
        path: The file.
        column: Of the site.
        sites: From what stands there to the site's name; other rows are left out.
        count: How many rows the file has.

    Raises:
        DataError: it has other rows than it should.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if len(rows) != count:
        raise DataError(f"{path}: has {len(rows)} rows, where {count} are known")
    return {name: [row for row in rows if row[column] == value] for value, name in sites.items()}
