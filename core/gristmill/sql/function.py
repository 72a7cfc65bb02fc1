"""`SqlFunction`: what DuckDB calls for a function of a model, some thousand rows at a time, from several threads."""

import json
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.chat.signature import MESSAGES
from gristmill.engines.protocol import EngineDeadError
from gristmill.engines.result import output_name
from gristmill.errors import GristmillError, ModelError, SpecError
from gristmill.inplace.cache import loaded_functions
from gristmill.inplace.call import Call, call_of
from gristmill.inplace.loaded import LoadedFunction
from gristmill.inplace.target import Target
from gristmill.inputs.block import Block
from gristmill.replica.agreement import Agreement, conform
from gristmill.replica.inference import BatchRunner, ErrorBudget, Result
from gristmill.replica.sizing import BatchSizer
from gristmill.spec.input import InputSpec
from gristmill.sql.types import positional
from gristmill.storage.storage import Storage
from gristmill.wording.text import cut, one_line

__all__ = ["SqlFunction"]

_SHOWN = 4
_LONGEST = 40
_KINDS = 16
"""Kinds of calls that are remembered: by the arguments' types, and by the params."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How arguments of some types are run.

    Attributes:
        types: the arguments' types.
        params: as JSON.
        schema: the columns that the model is given.
        is_row: whether the only argument is a struct of those columns.
        call: the function over them.
        key: tells the loaded function from others, also where the call has no key.
    """

    types: list[pa.DataType]
    params: str
    schema: pa.Schema
    is_row: bool
    call: Call
    key: Hashable


class SqlFunction:
    """A function of a model, over the columns that DuckDB gives.

    The model is loaded at the first call. A row that fails fails the query.

    Args:
        name: as it is called in SQL, for errors.
        target: finds the function; called once, at the first call.
        inputs: the names of its arguments, in order; None where the model does not say: then a single struct brings its
            own names, and other arguments are columns without names.
        outputs: the columns that the model returns; one is the value itself, several are a struct.
        takes_params: whether the last argument holds the params, as JSON.
        is_chat: whether the first argument is a prompt, or messages where it is no text.
        typed: whether DuckDB is told the arguments, and not only that there are some.
        storage: with the settings in force.

    Example:
        >>> from gristmill.inplace.target import target_of
        >>> outputs = pa.schema({"echo": pa.string()})
        >>> find = lambda: target_of("echo:", storage)
        >>> function = SqlFunction("echo", find, inputs=("x",), outputs=outputs, storage=storage)
        >>> function(pa.chunked_array([[1, 2]])).to_pylist()
        ['{"x": 1}', '{"x": 2}']
    """

    def __init__(
        self,
        name: str,
        target: Callable[[], Target],
        *,
        inputs: Sequence[str] | None,
        outputs: pa.Schema,
        takes_params: bool = False,
        is_chat: bool = False,
        typed: bool = False,
        storage: Storage,
    ) -> None:
        self.name = name
        self._find = target
        self._inputs = None if inputs is None else list(inputs)
        self._outputs = outputs
        self._takes_params = takes_params
        self._is_chat = is_chat
        self.__signature__ = positional(len(self._inputs or ()) + takes_params if typed else None)
        self._storage = storage
        self._target: Target | None = None
        self._kinds: list[_Kind] = []  # the last one first
        self._lock = threading.Lock()

    def __call__(self, *columns: pa.ChunkedArray) -> pa.Array:
        """The values for some rows; raises for the first one that fails, with its arguments."""
        arrays = [_whole(column) for column in columns]
        params = _params(arrays.pop(), self.name) if self._takes_params else ""
        try:
            kind = self._kind([array.type for array in arrays], params)
            batch = pa.RecordBatch.from_arrays(arrays[0].flatten() if kind.is_row else arrays, schema=kind.schema)
            outputs = self._run(batch, kind)
        except (GristmillError, EngineDeadError) as error:
            text = str(error)
            raise ModelError(text if text.startswith(f"{self.name}:") else f"{self.name}: {text}") from error
        if len(self._outputs) == 1:
            return outputs.column(0)
        return pa.StructArray.from_arrays(outputs.columns, fields=list(self._outputs))

    def _kind(self, types: list[pa.DataType], params: str) -> _Kind:
        """How arguments of these types are run: mostly as those before."""
        found = self._known(types, params)
        if found is not None:
            return found
        with self._lock:
            found = self._known(types, params)
            if found is None:
                found = self._new_kind(types, params)
                self._kinds = [found, *self._kinds[: _KINDS - 1]]
        return found

    def _known(self, types: list[pa.DataType], params: str) -> _Kind | None:
        for kind in self._kinds:
            if kind.types == types and kind.params == params:
                return kind
        return None

    def _new_kind(self, types: list[pa.DataType], params: str) -> _Kind:
        if self._target is None:
            self._target = self._find()
        schema, is_row = self._schema(types)
        given = {name: value for name, value in json.loads(params or "{}").items() if value is not None}
        call = call_of(self._target, schema, InputSpec(params=given or None), storage=self._storage)
        return _Kind(types, params, schema, is_row, call, call.key or object())

    def _schema(self, types: list[pa.DataType]) -> tuple[pa.Schema, bool]:
        """The columns that arguments are, and whether a struct brings them."""
        names = self._inputs
        if names is None and len(types) == 1 and pa.types.is_struct(types[0]):
            return pa.schema(list(types[0])), True
        if names is None:
            names = [f"input_feature_{place}" for place in range(len(types))]
        elif len(names) != len(types):
            raise SpecError(f"{self.name}: takes {len(names)} arguments ({', '.join(names)}); {len(types)} were given")
        if self._is_chat and pa.types.is_nested(types[0]):
            names = [MESSAGES, *names[1:]]
        return pa.schema(list(zip(names, types, strict=True))), False

    def _run(self, batch: pa.RecordBatch, kind: _Kind) -> pa.RecordBatch:
        call = kind.call
        with loaded_functions.lease(kind.key, call.load) as loaded:
            if not loaded.by_row and call.messages is None:
                try:
                    found = loaded.infer_together(batch)
                except EngineDeadError:
                    raise
                except Exception:  # noqa: BLE001 - whatever a model raises: the row that causes it is looked for
                    found = self._searched(batch, call, loaded)
                else:
                    if found.num_rows != batch.num_rows:
                        raise ModelError(f"the model gave {found.num_rows} rows for {batch.num_rows}")
            else:
                found = self._searched(batch, call, loaded)
        if found.schema.equals(self._outputs):
            return found
        unnamed = [output_name(place) for place in range(len(self._outputs))]
        if found.schema.names == unnamed:  # as the user has named them
            found = found.rename_columns(self._outputs.names)
        fitted, errors = conform(found, self._outputs)
        for index, error in errors.items():
            raise ModelError(self._row(batch, index, f"{error.type}: {error.message}"))
        return fitted

    def _searched(self, batch: pa.RecordBatch, call: Call, loaded: LoadedFunction) -> pa.RecordBatch:
        """The outputs of rows that are run with care: those of a row model, and of a call that has failed."""
        block = Block(0, 0, batch, batch)
        resolver = call.resolver()
        try:
            blocks = [block] if resolver is None else resolver.resolve([block])
            if loaded.by_row:
                results = loaded.results(blocks)
            else:
                agreement = Agreement(self._outputs, lambda event: None)  # noqa: ARG005 - nobody is told
                runner = BatchRunner(loaded, agreement, BatchSizer(batch.num_rows or 1), ErrorBudget(0))
                results = (result for one in blocks for result in runner.run(one))
            found = [self._outputs_of(batch, result) for result in results]
            return found[0] if len(found) == 1 else pa.concat_batches(found)
        finally:
            if resolver is not None:
                resolver.close()

    def _outputs_of(self, batch: pa.RecordBatch, result: Result) -> pa.RecordBatch:
        for index, error in sorted(result.errors.items()):
            raise ModelError(self._row(batch, result.start + index, f"{error.type}: {error.message}"))
        assert result.outputs is not None
        return result.outputs

    def _row(self, batch: pa.RecordBatch, index: int, problem: str) -> str:
        """What went wrong with a row, which is told by its arguments: rows of a query have no numbers."""
        values = [
            f"{name}={cut(one_line(repr(column[index].as_py())), _LONGEST)}"
            for name, column in list(zip(batch.schema.names, batch.columns, strict=True))[:_SHOWN]
        ]
        more = ", …" if batch.num_columns > _SHOWN else ""
        return f"{self.name}: the row with {', '.join(values)}{more}: {problem}"


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def _params(column: pa.Array, name: str) -> str:
    """The params as JSON, the same for all rows."""
    if not len(column):
        return ""
    if len(pc.unique(column)) > 1:
        raise SpecError(
            f"{name}: its params differ from row to row; they are values for a whole query: give constants, or one "
            "query for each value"
        )
    return str(column[0].as_py() or "")
