"""The reader of Parquet columns, by record batches."""

from collections.abc import Iterator
from typing import Any

from atoll.errors import ConfigError, DataError
from atoll.workloads.column_names import missing_name, nested
from atoll.workloads.reading import Bad
from atoll.workloads.signatures import HEAD, kind_of
from atoll.workloads.tables import is_text, require_unique_fields
from atoll.workloads.text.files import Source

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as error:
    raise ConfigError(f"text: Parquet needs pyarrow ({error}): pip install 'atoll[text]'") from error

_ROWS = 256
_BUFFER = 1 << 20


def column(source: Source, field: str) -> Iterator[tuple[str | Bad, int]]:
    """The strings of one column, with about how many bytes of the file were read by then.

    Raises:
        DataError: no Parquet file, a corrupt one, no such column, or one that does not hold strings only.
    """
    # A Python file object, a buffer and no read-ahead keep memory at one batch instead of one row group.
    with source.path.open("rb") as stream:
        kind = kind_of(stream.read(HEAD))
        stream.seek(0)
        try:
            file = parquet.ParquetFile(stream, buffer_size=_BUFFER, pre_buffer=False)
            top, inner = _path(source, field, file.schema_arrow)
            rows = file.metadata.num_rows
            row = 0
            for batch in file.iter_batches(batch_size=_ROWS, columns=[top], use_threads=False):
                for value in batch.column(batch.schema.get_field_index(top)).to_pylist():
                    yield (
                        _text(value, inner, f"{source.path}: row {row} of column '{field}'"),
                        (source.size * (row + 1) // rows),
                    )
                    row += 1
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            what = f"this is {kind}" if kind and "Parquet" not in kind else str(error)
            raise DataError(f"{source.path}: no readable Parquet file: {what}") from error


def _text(value: Any, inner: str, where: str) -> str | Bad:
    if inner and value is not None:
        try:
            value = nested(value, inner)
        except KeyError:
            value = None
    if value is None:
        return Bad("null in place of a text", f"{where} is null, not a string")
    return value if isinstance(value, str) else Bad("field that is no text", f"{where} is no string")


def _path(source: Source, field: str, schema: Any) -> tuple[str, str]:
    """A field as the column at the top and the way from there, once it is sure that strings are there."""
    require_unique_fields(schema, str(source.path))
    top, inner = (field, "") if field in schema.names else (field.partition(".")[0], field.partition(".")[2])
    if top not in schema.names:
        raise DataError(f"{source.path}: {missing_name('column', field, list(schema.names), 'field')}")
    kind = _plain(schema.field(top).type)
    for step in inner.split(".") if inner else ():
        kind = _plain(_inside(kind, step, source, field))
    if not is_text(kind):
        names = [kind.field(at).name for at in range(kind.num_fields)] if pa.types.is_struct(kind) else []
        further = f"; name one of its fields, as {field}.{names[0]}" if names else ""
        further = further or (f"; name one of its elements, as {field}.0" if _is_list(kind) else "")
        raise DataError(f"{source.path}: column '{field}' holds {kind}, not strings{further}")
    return top, inner


def _inside(kind: Any, step: str, source: Source, field: str) -> Any:
    if _is_list(kind) and step.isdecimal():
        return kind.value_type
    if pa.types.is_struct(kind):
        names = [kind.field(at).name for at in range(kind.num_fields)]
        if step in names:
            return kind.field(names.index(step)).type
        raise DataError(f"{source.path}: {missing_name('field', field, names, 'field')}")
    raise DataError(f"{source.path}: no column '{field}': there is no field '{step}' in {kind}")


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
