"""The reader of Parquet columns, by record batches."""

from collections.abc import Iterator
from typing import Any

from atoll.errors import ConfigError, DataError
from atoll.workloads.text.config import no_such_field
from atoll.workloads.text.files import Source

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as error:
    raise ConfigError(f"text: Parquet needs pyarrow ({error}): pip install 'atoll[text]'") from error

_ROWS = 256
_BUFFER = 1 << 20


def column(source: Source, field: str) -> Iterator[tuple[str, int]]:
    """The strings of one column, with about how many bytes of the file were read by then.

    Raises:
        DataError: no Parquet file, a corrupt one, no such column, or one that does not hold strings only.
    """
    # A Python file object, a buffer and no read-ahead keep memory at one batch instead of one row group.
    with source.path.open("rb") as stream:
        try:
            file = parquet.ParquetFile(stream, buffer_size=_BUFFER, pre_buffer=False)
            _check_column(source, field, file.schema_arrow)
            rows = file.metadata.num_rows
            row = 0
            for batch in file.iter_batches(batch_size=_ROWS, columns=[field], use_threads=False):
                for value in batch.column(0).to_pylist():
                    if value is None:
                        raise DataError(f"{source.path}: row {row} of column '{field}' is null, not a string")
                    row += 1
                    yield value, source.size * row // rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{source.path}: no readable Parquet file: {error}") from error


def _check_column(source: Source, field: str, schema: Any) -> None:
    if field not in schema.names:
        raise DataError(f"{source.path}: {no_such_field('column', field, list(schema.names))}")
    kind = schema.field(field).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise DataError(f"{source.path}: column '{field}' holds {kind}, not strings")
