"""What an estimator is given for a record batch: a numpy array, a pandas frame or a list of contents."""

from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.errors import SchemaError
from gristmill.models.columns import match_columns

__all__ = ["ArrayInput", "ContentInput", "FeatureInput", "FrameInput", "feature_input", "only_sklearn"]

_kinds = pa.types


class FeatureInput(Protocol):
    """Turns record batches into what an estimator takes."""

    def take(self, batch: pa.RecordBatch) -> Any:
        """The estimator's input for a batch."""
        ...

    def detach(self, result: Any) -> Any:
        """The estimator's result, safe from the next `take`."""
        ...


class ArrayInput:
    """Numeric columns as one array of float64 (float32 where all columns are), in a buffer that is used again.

    Nulls become NaN. The array is column-major: columns are copied in whole, and linear models read it faster.

    Args:
        places: the columns' places in the batch, in the estimator's order.
        schema: the batches' schema.
    """

    def __init__(self, places: list[int], schema: pa.Schema) -> None:
        import numpy as np

        types = [_plain(schema.field(place).type) for place in places]
        narrow = bool(types) and all(_kinds.is_float32(kind) or _kinds.is_float16(kind) for kind in types)
        self._places = places
        # what needs no look at each batch: of small ones, looking takes as long as copying
        self._is_plain = [_kinds.is_integer(kind) or _kinds.is_floating(kind) for kind in schema.types]
        self._buffer = np.empty(0, dtype=np.float32 if narrow else np.float64)

    def take(self, batch: pa.RecordBatch) -> Any:
        """An array of shape (rows, columns), valid until the next call."""
        import numpy as np

        rows, width = batch.num_rows, len(self._places)
        if self._buffer.size < rows * width:
            self._buffer = np.empty(rows * width, dtype=self._buffer.dtype)
        columns = self._buffer[: rows * width].reshape(width, rows)
        for target, place in zip(columns, self._places, strict=True):
            column = batch.column(place)
            target[:] = column.to_numpy(zero_copy_only=False) if self._is_plain[place] else _numbers(column)
        return columns.T

    def detach(self, result: Any) -> Any:
        """A copy where the result is a view of the buffer, as a step that passes its input through returns it."""
        import numpy as np

        if isinstance(result, np.ndarray):
            return result.copy(order="F") if np.may_share_memory(result, self._buffer) else result
        return result.copy() if hasattr(result, "columns") else result  # a frame of set_output


class FrameInput:
    """Columns as a pandas frame under the names that the estimator was fitted with.

    Args:
        names: the estimator's names.
        places: the columns' places in the batch, in the order of `names`.
    """

    def __init__(self, names: list[str], places: list[int]) -> None:
        self._names, self._places = names, places

    def take(self, batch: pa.RecordBatch) -> Any:
        """A pandas DataFrame."""
        columns = [batch.column(place) for place in self._places]
        return pa.RecordBatch.from_arrays(columns, names=self._names).to_pandas()

    def detach(self, result: Any) -> Any:
        """The result: each batch has a frame of its own."""
        return result


class ContentInput:
    """One column of bytes or text as a list, or as an array of one column where the estimator was fitted with one.

    Args:
        place: the column's place in the batch.
        as_column: whether to give an array of objects of shape (rows, 1) instead of a list.
    """

    def __init__(self, place: int, *, as_column: bool) -> None:
        self._place, self._as_column = place, as_column

    def take(self, batch: pa.RecordBatch) -> Any:
        """A list of bytes or text, one per row."""
        values = batch.column(self._place).to_pylist()
        if not self._as_column:
            return values
        import numpy as np

        column = np.empty((len(values), 1), dtype=object)
        column[:, 0] = values
        return column

    def detach(self, result: Any) -> Any:
        """The result: each batch has a list of its own."""
        return result


def feature_input(estimator: Any, schema: pa.Schema) -> FeatureInput:
    """How the estimator is fed from batches of a schema.

    By name where it was fitted with names; else the numeric columns where there are as many as it needs, or the one
    column of bytes or text.

    Raises:
        SchemaError: columns are missing, or it cannot be told which ones are meant.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        wanted = [str(name) for name in names]
        places = match_columns(wanted, schema)
        if all(_is_numeric(schema.field(place).type) for place in places) and _ignores_names(estimator):
            return ArrayInput(places, schema)
        return FrameInput(wanted, places)
    count: int | None = getattr(estimator, "n_features_in_", None)
    numeric = _places(schema, _is_numeric)
    content = _places(schema, _is_bytes) or _places(schema, _is_text)
    if (
        count in (None, 1)
        and len(content) == 1
        and not (count == 1 and len(numeric) == 1 and not _places(schema, _is_bytes))
    ):
        return ContentInput(content[0], as_column=count == 1)
    if count == len(numeric) or (count is None and numeric and not content):
        return ArrayInput(numeric, schema)
    needed = "one column of bytes or text, or numeric columns" if count is None else f"{count} numeric columns"
    raise SchemaError(
        f"the model was fitted without column names and needs {needed}; the input has {len(numeric)} numeric columns "
        f"({', '.join(schema.names[place] for place in numeric[:20]) or 'none'}) and {len(content)} of bytes or text: "
        "select the columns it needs, or fit the model on a frame so that it knows their names"
    )


def _places(schema: pa.Schema, fits: Any) -> list[int]:
    return [place for place, field in enumerate(schema) if fits(field.type)]


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if _kinds.is_dictionary(kind) else kind


def _is_numeric(kind: pa.DataType) -> bool:
    plain = _plain(kind)
    return bool(
        _kinds.is_integer(plain) or _kinds.is_floating(plain) or _kinds.is_boolean(plain) or _kinds.is_decimal(plain)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(_kinds.is_binary(kind) or _kinds.is_large_binary(kind) or _kinds.is_binary_view(kind))


def _is_text(kind: pa.DataType) -> bool:
    plain = _plain(kind)
    return bool(_kinds.is_string(plain) or _kinds.is_large_string(plain) or _kinds.is_string_view(plain))


def _parts(estimator: Any) -> list[Any]:
    return [estimator, *(part for part in estimator.get_params().values() if hasattr(part, "get_params"))]


def only_sklearn(estimator: Any) -> bool:
    """Whether all parts of an estimator are scikit-learn's own, and none calls a user's function."""
    return all(
        type(part).__module__.startswith("sklearn.") and type(part).__name__ != "FunctionTransformer"
        for part in _parts(estimator)
    )


def _ignores_names(estimator: Any) -> bool:
    """Whether an array serves as well as a frame: only scikit-learn's own parts, none that picks columns by name."""
    return only_sklearn(estimator) and all(type(part).__name__ != "ColumnTransformer" for part in _parts(estimator))


def _numbers(column: pa.Array) -> Any:
    kind = column.type
    if _kinds.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if _kinds.is_decimal(kind) or (_kinds.is_boolean(kind) and column.null_count):
        column = (
            pc.cast(column, pa.float64())
            if _kinds.is_decimal(kind)
            else pc.cast(pc.cast(column, pa.int8()), pa.float64())
        )
    return column.to_numpy(zero_copy_only=False)
