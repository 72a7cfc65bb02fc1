"""Running a custom model: a function over frames."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from gristmill.engines.protocol import BatchModel, LoadContext, ModelInfo
from gristmill.engines.result import to_output
from gristmill.engines.threads import ThreadLimit
from gristmill.errors import MissingExtraError
from gristmill.inputs.fit import fit_column
from gristmill.models.columns import match_columns
from gristmill.models.custom import frame_kind, inference_functions, signature_of
from gristmill.models.signature import Signature

__all__ = ["FrameModel", "describe_custom", "describe_function"]


def describe_custom(model: Any) -> ModelInfo:
    """The marked functions of a class or an object."""
    functions = inference_functions(model)
    owner = model if isinstance(model, type) else type(model)
    return ModelInfo(
        functions={name: signature_of(function) for name, function in functions.items()},
        default_function=next(iter(functions)) if len(functions) == 1 else None,
        preload=_modules(owner.__module__, *functions.values()),
    )


def describe_function(function: Callable[..., Any]) -> ModelInfo:
    """A plain function over frames, under its own name."""
    name = getattr(function, "__name__", "")
    name = name if name.isidentifier() else "predict"
    return ModelInfo({name: signature_of(function)}, name, preload=_modules(function.__module__, function))


def _modules(owner: str, *functions: Callable[..., Any]) -> tuple[str, ...]:
    needs_pandas = any(frame_kind(function) == "pandas" for function in functions)
    return (*(("pandas",) if needs_pandas else ()), *((owner,) if owner != "__main__" else ()))


class FrameModel(BatchModel):
    """A function over frames as a batch model.

    Args:
        function: the function or bound method.
        context: the columns it is given and the params.
        signature: instead of what the function declares.
    """

    def __init__(
        self, function: Callable[..., Any], context: LoadContext, *, signature: Signature | None = None
    ) -> None:
        self._function, self._params = function, dict(context.params)
        self._kind = frame_kind(function)
        if self._kind == "pandas":
            try:
                import pandas as pd  # noqa: F401 - fails here, before rows do
            except ImportError as error:
                raise MissingExtraError.of("pandas", "python", need="a function over pandas frames") from error
        signature = signature_of(function) if signature is None else signature
        self._outputs, self._inputs = signature.outputs, signature.inputs
        self._is_partitioned = signature.kind == "partitioned"
        self._places: list[int] | None = None
        if self._inputs is not None:
            self._places = match_columns([feature.name for feature in self._inputs], context.input_schema)
        self._limit = ThreadLimit(context.threads)

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The function's outputs; see `gristmill.engines.protocol.BatchModel`."""
        self._limit.apply()
        rows = None if self._is_partitioned else batch.num_rows
        return to_output(self._function(self._frame(batch), **self._params), rows, self._outputs)

    def close(self) -> None:
        """Give back the threads."""
        self._limit.release()

    def _frame(self, batch: pa.RecordBatch) -> Any:
        if self._places is not None and self._inputs is not None:
            columns = [
                column if pa.types.is_null(feature.type) else fit_column(column, feature.type)
                for feature, column in zip(self._inputs, (batch.column(place) for place in self._places), strict=True)
            ]
            batch = pa.RecordBatch.from_arrays(columns, names=[feature.name for feature in self._inputs])
        if self._kind == "record_batch":
            return batch
        if self._kind == "table":
            return pa.Table.from_batches([batch])
        return batch.to_pandas()
