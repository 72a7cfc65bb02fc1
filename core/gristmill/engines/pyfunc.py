"""Running a model through MLflow's own Python interface: whatever MLflow can load."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from gristmill.engines.features import feature_input
from gristmill.engines.protocol import BatchModel, LoadContext
from gristmill.engines.result import to_output
from gristmill.engines.threads import ThreadLimit
from gristmill.errors import SchemaError
from gristmill.inputs.fit import fit_column
from gristmill.models.columns import match_columns
from gristmill.models.signature import Signature

__all__ = ["PyfuncModel"]


class PyfuncModel(BatchModel):
    """A stored model as MLflow loads it.

    Its inputs are given as a pandas frame under the names that its signature has, or as one array where the signature
    is an array without a name.

    Args:
        model: what `mlflow.pyfunc.load_model` returned.
        context: the columns, the params, the threads.
        signature: of the function, as it is stored.

    Raises:
        SchemaError: the job's columns lack some of the inputs, or cannot be the array.
    """

    def __init__(self, model: Any, context: LoadContext, signature: Signature) -> None:
        self._model = model
        self._outputs = signature.outputs
        self._params = dict(context.params) if signature.params else None
        kinds = {feature.name: feature.type for feature in signature.inputs or ()}
        self._take = _intake(model.metadata.get_input_schema(), context.input_schema, kinds)
        self._limit = ThreadLimit(context.threads)
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(context.threads)

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The outputs for a batch; see `gristmill.engines.protocol.BatchModel`."""
        self._limit.apply()
        given = self._take(batch)
        found = self._model.predict(given) if self._params is None else self._model.predict(given, params=self._params)
        return to_output(found, batch.num_rows, self._outputs)

    def close(self) -> None:
        """Let go of the model and give back the threads."""
        self._model = None
        self._limit.release()


def _intake(wanted: Any, schema: pa.Schema, kinds: Mapping[str, pa.DataType]) -> Callable[[pa.RecordBatch], Any]:
    """From a batch to what MLflow takes, by MLflow's own schema of the inputs, which may be None.

    Columns that MLflow calls optional are given where they are there.
    """
    if wanted is not None and wanted.has_input_names():
        needed = wanted.required_input_names()
        there = {name.lower() for name in schema.names}
        names = [name for name in wanted.input_names() if name in needed or name.lower() in there]
        places = match_columns(names, schema)
        columns = [(place, name, kinds.get(name)) for place, name in zip(places, names, strict=True)]
        return lambda batch: _frame([_fitted(batch.column(place), kind) for place, _, kind in columns], names)
    if wanted is not None and wanted.is_tensor_spec():
        return _array_intake(wanted.inputs[0], schema)
    return lambda batch: _frame(batch.columns, batch.schema.names)


def _fitted(column: pa.Array, kind: pa.DataType | None) -> pa.Array:
    return column if kind is None or pa.types.is_null(kind) else fit_column(column, kind)


def _frame(columns: list[pa.Array], names: list[str]) -> Any:
    return pa.RecordBatch.from_arrays(columns, names=names).to_pandas()


def _array_intake(spec: Any, schema: pa.Schema) -> Callable[[pa.RecordBatch], Any]:
    """One array of all rows: from as many columns of numbers as it is wide, or from one column of lists."""
    shape, kinds = tuple(spec.shape[1:]), pa.types
    lists = [
        place
        for place, field in enumerate(schema)
        if kinds.is_list(field.type) or kinds.is_fixed_size_list(field.type) or kinds.is_large_list(field.type)
    ]
    if len(lists) == 1:
        place = lists[0]
        return lambda batch: _stacked(batch.column(place), spec.type, shape)
    if len(shape) == 1:
        columns = feature_input(_Width(None if shape[0] < 0 else shape[0]), schema)
        return lambda batch: columns.take(batch).astype(spec.type)  # a copy: the next batch has the same buffer
    raise SchemaError(
        f"the model takes arrays of the shape {tuple(spec.shape)}, and the input has {len(lists)} columns of lists "
        "that could be them; select the one column that it needs"
    )


class _Width:
    """Stands for an estimator that was fitted on so many columns without names."""

    def __init__(self, width: int | None) -> None:
        self.n_features_in_ = width


def _stacked(column: pa.Array, kind: Any, shape: tuple[int, ...]) -> Any:
    import numpy as np

    if column.null_count:
        raise ValueError("a cell is null where the model needs an array")
    return np.asarray(column.to_pylist(), dtype=kind).reshape((len(column), *shape))
