"""Columns of one file, fitted to the columns that were planned."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.errors import SchemaError
from gristmill.inputs.schema import check_names, plain_type

__all__ = ["Fit", "fit_column"]


def fit_column(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column as `kind`, without losing anything.

    Raises:
        pa.ArrowInvalid: a value does not fit.
        pa.ArrowNotImplementedError: there is no way from its type to `kind`.
    """
    if column.type == kind:
        return column
    if isinstance(column.type, pa.BaseExtensionType) and not isinstance(kind, pa.BaseExtensionType):
        return fit_column(column.storage, kind)
    if pa.types.is_run_end_encoded(column.type):
        return fit_column(pc.run_end_decode(column), kind)
    if pa.types.is_dictionary(kind):
        if pa.types.is_dictionary(column.type):
            indices = column.indices.cast(kind.index_type)
            return pa.DictionaryArray.from_arrays(
                indices, fit_column(column.dictionary, kind.value_type), ordered=kind.ordered
            )
        encoded = fit_column(column, kind.value_type).dictionary_encode()
        return fit_column(encoded, kind)
    if pa.types.is_dictionary(column.type):
        return fit_column(column.dictionary_decode(), kind)
    if _is_view(column.type) and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return _without_views(column, kind)
    return column.cast(kind, safe=True)


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def _without_views(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column of list views as lists; Arrow's own cast leaves out their last offset, as of 25.0."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int64())
    ends = pc.cumulative_sum_checked(lengths)
    offset, made = (pa.int64(), pa.LargeListArray) if pa.types.is_large_list(kind) else (pa.int32(), pa.ListArray)
    starts = pa.concat_arrays([pa.array([0], offset), ends.cast(offset)])
    offsets = pa.Array.from_buffers(offset, len(starts), [None, starts.buffers()[1]])  # none is null
    values = fit_column(column.flatten(), kind.value_type)
    return made.from_arrays(offsets, values, type=kind, mask=column.is_null() if column.null_count else None)


class Fit:
    """How one file's columns become the planned ones: by name, in any order, cast where that is safe.

    Names are matched exactly, else without regard to case. Columns that were not planned are left out.

    Args:
        schema: the planned columns.
        found: the file's columns.
        what: the file's location, for errors.

    Raises:
        SchemaError: a planned column is missing, or two of the file's share a name.
    """

    def __init__(self, schema: pa.Schema, found: Sequence[str], *, what: str) -> None:
        check_names(list(found), what=what)
        folded = {name.casefold(): name for name in found}
        exact = set(found)
        self.schema = schema
        self.what = what
        self.names: list[str] = []
        for name in schema.names:
            match = name if name in exact else folded.get(name.casefold())
            if match is None:
                raise SchemaError(
                    f"{what} has no column {name!r}, which the first file of the input has; it has: {', '.join(found)}"
                )
            self.names.append(match)
        self._is_all = len(self.names) == len(found)

    @property
    def projection(self) -> list[str] | None:
        """The file's columns to read; None for all of them."""
        return None if self._is_all else self.names

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """The planned type of each of the file's columns."""
        return dict(zip(self.names, self.schema.types, strict=True))

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the planned columns.

        Raises:
            SchemaError: a column's values do not fit the planned type.
        """
        if batch.schema.equals(self.schema):
            return batch
        if not self.names:
            return batch.select([])
        columns = []
        for name, field in zip(self.names, self.schema, strict=True):
            column = batch.column(name)
            try:
                columns.append(fit_column(column, field.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise SchemaError(
                    f"{self.what}: column {name!r} is {plain_type(column.type)} and does not fit the type {field.type} "
                    f"that the first file of the input has: {error}"
                ) from error
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)
