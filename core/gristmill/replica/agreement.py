"""The output columns that all workers of a job agree on, and fitting a model's results to them."""

import threading
from collections.abc import Callable

import pyarrow as pa
import pyarrow.types as kinds

from gristmill.models.exact import exact_cast
from gristmill.replica.messages import Event, Proposed
from gristmill.spec.row_error import RowError

__all__ = ["Agreement", "conform", "is_complete", "seen_schema"]


def is_complete(kind: pa.DataType) -> bool:
    """Whether a type has no unknown (null) part."""
    if kinds.is_null(kind):
        return False
    if kinds.is_nested(kind):
        return all(is_complete(kind.field(index).type) for index in range(kind.num_fields))
    return True


def seen_schema(batch: pa.RecordBatch) -> pa.Schema:
    """The columns of some results; one without any value has an unknown type, whatever it was given (often double)."""
    columns = zip(batch.columns, batch.schema, strict=True)
    return pa.schema(
        [field if column.null_count < len(column) else field.with_type(pa.null()) for column, field in columns]
    )


class Agreement:
    """The agreed output columns, once there are any.

    Columns that are declared are agreed from the start. Otherwise the first worker whose results show every column's
    type proposes them, and the runner answers with what all use.

    Args:
        declared: the columns if they are known already.
        send: tells the runner.
    """

    def __init__(self, declared: pa.Schema | None, send: Callable[[Event], None]) -> None:
        self._send = send
        self._known = threading.Event()
        self.schema: pa.Schema | None = None
        if declared is not None:
            self.use(declared)

    def use(self, schema: pa.Schema | None) -> None:
        """Take the runner's answer; None lets everybody go on without, because the worker stops."""
        self.schema = schema
        self._known.set()

    def settle(self, seen: pa.Schema) -> pa.Schema:
        """The columns to write: the agreed ones, or `seen` while a type is unknown. Waits for the runner's answer.

        Args:
            seen: the columns of some results, as `seen_schema` gives them, or as a model declares them.
        """
        if not self._known.is_set():
            if not all(is_complete(field.type) for field in seen):
                return seen
            self._send(Proposed(seen))
            self._known.wait()
        return seen if self.schema is None else self.schema


def _family(kind: pa.DataType) -> str:
    for name, test in (
        ("boolean", kinds.is_boolean),
        ("number", lambda k: kinds.is_integer(k) or kinds.is_floating(k) or kinds.is_decimal(k)),
        ("text", lambda k: kinds.is_string(k) or kinds.is_large_string(k) or kinds.is_string_view(k)),
        ("bytes", lambda k: kinds.is_binary(k) or kinds.is_large_binary(k) or kinds.is_binary_view(k)),
        ("time", kinds.is_temporal),
        ("list", lambda k: kinds.is_list(k) or kinds.is_large_list(k) or kinds.is_fixed_size_list(k)),
    ):
        if test(kind):
            return name
    return str(kind.id)


def _fit(column: pa.Array, field: pa.Field) -> pa.Array:
    kind = field.type
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count == len(column):
        return pa.nulls(len(column), kind)
    if _family(column.type) != _family(kind):
        raise pa.ArrowInvalid(f"the model gave {column.type} where the output has {kind}")
    return exact_cast(column, kind, what=field.name)


def _fit_rows(column: pa.Array, field: pa.Field) -> tuple[pa.Array, dict[int, RowError]]:
    """Fit row by row, to find the rows that do not."""
    pieces: list[pa.Array] = []
    errors: dict[int, RowError] = {}
    for index in range(len(column)):
        try:
            pieces.append(_fit(column.slice(index, 1), field))
        except (ValueError, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            errors[index] = RowError.of(error, step="output", reference=field.name)
            pieces.append(pa.nulls(1, field.type))
    return pa.concat_arrays(pieces), errors


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> tuple[pa.RecordBatch, dict[int, RowError]]:
    """A model's results with the agreed columns, and the rows that do not fit them.

    A column that is missing is null, and so is a field of a struct. Numbers and moments are cast to the agreed kind
    where nothing of them is lost; text is never read as a number.

    Args:
        batch: n rows of results.
        schema: the agreed columns.

    Returns:
        n rows with `schema`, null in all columns for those that do not fit, and errors by position.
    """
    if batch.schema.equals(schema):
        return batch, {}
    extra = [name for name in batch.schema.names if name not in schema.names]
    if extra:
        message = f"the model gave the column {extra[0]!r}, which its first results did not have; declare the outputs"
        error = RowError("SchemaError", message, "output", extra[0])
        return _nulls(batch.num_rows, schema), dict.fromkeys(range(batch.num_rows), error)
    columns: list[pa.Array] = []
    errors: dict[int, RowError] = {}
    for field in schema:
        position = batch.schema.get_field_index(field.name)
        column = pa.nulls(batch.num_rows, field.type) if position < 0 else batch.column(position)
        try:
            columns.append(_fit(column, field))
        except (ValueError, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            fitted, failed = _fit_rows(column, field)
            columns.append(fitted)
            errors |= {index: error for index, error in failed.items() if index not in errors}
    fitting = pa.RecordBatch.from_arrays(columns, schema=schema)
    if errors:  # an error's row has no other results
        kept = [None if index in errors else index for index in range(batch.num_rows)]
        fitting = fitting.take(pa.array(kept, pa.int64()))
    return fitting, errors


def _nulls(rows: int, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(rows, field.type) for field in schema], schema=schema)
