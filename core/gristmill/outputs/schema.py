"""The output's columns: the input's, then the model's, then `_error`; all in types that Parquet gives back."""

import hashlib
from collections.abc import Mapping

import pyarrow as pa

from gristmill.errors import SchemaError
from gristmill.spec.row_error import ERROR_COLUMN, RowError

__all__ = ["ERROR_TYPE", "error_array", "fit", "output_schema", "schema_digest", "storable"]

ERROR_TYPE = pa.struct([(name, pa.string()) for name in ("type", "message", "step", "reference")])
"""The type of the `_error` column."""


def storable(data_type: pa.DataType, *, column: str) -> pa.DataType:
    """The type under which Parquet keeps and gives back values of `data_type`; nearly always itself.

    Seconds become milliseconds, days in milliseconds become days; dictionaries of anything but text and bytes become
    their values. Lists of a fixed size become lists, as Arrow cannot read the former back
    once one of them is null, which a failed row's is.

    Raises:
        SchemaError: Parquet has no such type (unions, intervals, run-end encoding, structs without fields).
    """
    kind = pa.types
    if isinstance(data_type, pa.BaseExtensionType):
        inner = storable(data_type.storage_type, column=column)
        return data_type if inner == data_type.storage_type else inner
    if kind.is_timestamp(data_type) and data_type.unit == "s":
        return pa.timestamp("ms", data_type.tz)
    if kind.is_time32(data_type):
        return pa.time32("ms")
    if kind.is_date64(data_type):
        return pa.date32()
    if kind.is_dictionary(data_type):
        value = data_type.value_type
        text = (
            kind.is_string(value) or kind.is_binary(value) or kind.is_large_string(value) or kind.is_large_binary(value)
        )
        return data_type if text else storable(value, column=column)
    if kind.is_fixed_size_list(data_type) or kind.is_list(data_type):
        return pa.list_(_storable_field(data_type.value_field, column))
    if kind.is_large_list(data_type):
        return pa.large_list(_storable_field(data_type.value_field, column))
    if kind.is_map(data_type):
        keys = _storable_field(data_type.key_field, column)
        items = _storable_field(data_type.item_field, column)
        return pa.map_(keys, items, keys_sorted=data_type.keys_sorted)
    if kind.is_struct(data_type) and data_type.num_fields:
        return pa.struct([_storable_field(data_type.field(i), column) for i in range(data_type.num_fields)])
    if any(test(data_type) for test in (kind.is_union, kind.is_interval, kind.is_run_end_encoded, kind.is_struct)):
        raise SchemaError(
            f"column {column!r} is of type {data_type}, which Parquet cannot hold; leave it out or cast it"
        )
    return data_type


def _storable_field(field: pa.Field, column: str) -> pa.Field:
    return field.with_type(storable(field.type, column=column))


def output_schema(input_schema: pa.Schema, outputs: pa.Schema, *, record_errors: bool) -> pa.Schema:
    """The columns of the output: the input's, the model's, and `_error` when errors are recorded.

    Types are those that Parquet gives back (see `storable`). Outputs may be null: a failed row's are.

    Raises:
        SchemaError: an output or `_error` is named like an input column (in any case), two outputs share a name, or a
            column's type cannot be stored.

    Example:
        >>> output_schema(pa.schema({"id": pa.int64()}), pa.schema({"y": pa.float64()}), record_errors=False).names
        ['id', 'y']
    """
    taken = {name.lower(): name for name in input_schema.names}
    added = [_storable_field(field, field.name).with_nullable(nullable=True) for field in outputs]
    if record_errors:
        added.append(pa.field(ERROR_COLUMN, ERROR_TYPE))
    seen: set[str] = set()
    for field in added:
        folded = field.name.lower()
        owner = "the column for row errors" if field.name == ERROR_COLUMN and record_errors else "the model's output"
        if folded in taken:
            raise SchemaError(
                f"{owner} {field.name!r} is named like the input column {taken[folded]!r}; "
                "rename the input column, or leave it out with a query"
            )
        if folded in seen:
            raise SchemaError(
                f"two outputs are named {field.name!r} (in any case); rename one in the model's signature"
            )
        seen.add(folded)
    return pa.schema([*(_storable_field(field, field.name) for field in input_schema), *added])


def schema_digest(schema: pa.Schema) -> str:
    """A short digest of a schema's names, types and nullability; equal for parts that fit one output."""
    text = "\n".join(f"{field.name!r} {field.type} {field.nullable}" for field in schema)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """A batch as a table of exactly `schema`, cast where its types differ.

    Raises:
        SchemaError: its columns are others, or a value does not fit.
    """
    table = pa.Table.from_batches([batch])
    if batch.schema.equals(schema):
        return table
    if batch.schema.names != schema.names:
        raise SchemaError(f"rows have the columns {batch.schema.names}, the output has {schema.names}")
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, ValueError) as error:
        raise SchemaError(f"rows do not fit the output's types: {error}") from error


def error_array(n: int, errors: Mapping[int, RowError]) -> pa.StructArray:
    """The `_error` column of `n` rows.

    Args:
        n: rows.
        errors: failed rows by position, 0 to n-1.

    Returns:
        Shape (n,), of `ERROR_TYPE`; null where all went well.
    """
    if not errors:
        return pa.nulls(n, ERROR_TYPE)
    values: list[dict[str, str | None] | None] = [None] * n
    for position, error in errors.items():
        values[position] = {
            "type": error.type, "message": error.message, "step": error.step, "reference": error.reference
        }  # fmt: skip
    return pa.array(values, ERROR_TYPE)
