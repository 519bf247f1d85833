"""A column of CSV to documents: a table is no prose, but a column of it may be."""

from collections.abc import Iterator

from atoll.errors import DataError
from atoll.workloads.column_names import missing_name
from atoll.workloads.csv_rows import open_csv, separator_hint
from atoll.workloads.reading import Bad
from atoll.workloads.text.files import Source


def csv_documents(source: Source, field: str) -> Iterator[tuple[str | Bad, int]]:
    """The texts of one column, with about how many bytes were read by then.

    Raises:
        DataError: no CSV, or no such column.
    """
    table = open_csv(source.path)
    if field not in table.header:
        why = missing_name("column", field, table.header, "field") + separator_hint(table.header)
        raise DataError(
            f"{source.path}: a table is not read as prose: {why}; name the column that holds the text as field, or set "
            "format: text to read the file as it stands"
        )
    at, position = table.header.index(field), 0
    for _, row in table.rows:
        if isinstance(row, Bad):
            yield row, position
        else:
            position += sum(map(len, row)) + len(row)
            yield row[at], position
