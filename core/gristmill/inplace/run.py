"""`run`: a model over rows, here and now."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pyarrow as pa

from gristmill.inplace.answers import Answers, answers_of
from gristmill.inplace.cache import loaded_functions
from gristmill.inplace.call import call_of
from gristmill.inplace.form import form_of, source_of
from gristmill.inplace.target import storage_for, target_of
from gristmill.inputs.listing import FileListing
from gristmill.settings import Settings
from gristmill.spec.enums import OnError
from gristmill.spec.input import InputSpec
from gristmill.spec.job import JobSpec
from gristmill.submission.checks import check_output_columns

__all__ = ["run"]


def run(
    model: Any,
    X: Any,  # noqa: N803 - the name users know
    *,
    function_name: str | None = None,
    params: Mapping[str, Any] | None = None,
    column_handling: Mapping[str, Any] | None = None,
    partition_column: str | None = None,
    allowed_locations: tuple[str | os.PathLike[str], ...] = (),
    inference_engine_options: Mapping[str, Any] | None = None,
    max_batch_rows: int | None = None,
    on_error: OnError | str = OnError.FAIL,
    settings: Settings | None = None,
) -> Any:
    """Run a model over rows in this process, and give them back with its outputs.

    The columns are those that a job over the same rows would write: the input's, then the outputs. The loaded model is
    kept for the next call; see `gristmill.inplace.cache.release_models`.

    Args:
        model: as for `run_batch`.
        X: the rows: a pandas or Polars frame, a pyarrow table, batch, dataset or reader, a DuckDB relation,
            `list_files(...)`, `query(...)`, a list of dicts.
        function_name: the function, where the model has several.
        params: values for the function's params; names in any case.
        column_handling: file columns, and what their files' content becomes.
        partition_column: for functions that take partitions.
        allowed_locations: prefixes that rows may name files under, besides the stages and the settings' `allowed`.
        inference_engine_options: as for `run_batch`.
        max_batch_rows: rows of one call at most; None for a size that fits.
        on_error: `"fail"` raises for the first row that fails, `"record"` keeps such rows, with an `_error` column.
        settings: instead of those in force.

    Returns:
        What came in: a frame of the same library, a relation of the same connection, a list of dicts, a table. For a
        reader, a dataset or a query it is a `pyarrow.RecordBatchReader`, whose rows are run as they are read.

    Raises:
        SpecError: the request cannot be right; no row was run.
        FailedRowsError: a row failed; says which.

    Example:
        >>> run("echo:", pa.table({"x": [1, 2]})).to_pydict()
        {'x': [1, 2], 'echo': ['{"x": 1}', '{"x": 2}']}
    """
    storage = storage_for(Settings.load() if settings is None else settings, inference_engine_options)
    chosen = JobSpec(on_error=on_error, max_batch_rows=max_batch_rows)
    spec = InputSpec(
        params=None if params is None else dict(params),
        column_handling=None if column_handling is None else dict(column_handling),
        partition_column=partition_column,
        allowed_locations=tuple(map(os.fspath, allowed_locations)),
    )
    target = target_of(model, storage, function_name=function_name, engine_options=inference_engine_options)
    source = source_of(X)
    call = call_of(
        target,
        source.schema,
        spec,
        storage=storage,
        max_batch_rows=chosen.max_batch_rows,
        listed=(X.normal,) if isinstance(X, FileListing) else (),
    )
    check_output_columns(call.kept, call.signature, on_error=chosen.on_error)
    form = form_of(X, source, keeps_rows=call.keeps_rows)
    with ExitStack() as stack:
        loaded = stack.enter_context(loaded_functions.lease(call.key, call.load))
        answers = answers_of(call, source, loaded, record=chosen.on_error is OnError.RECORD)
        if not form.streams:
            return form.give(answers)
        return form.give(_held(answers, stack.pop_all()))


def _held(answers: Answers, lease: ExitStack) -> Answers:
    """The answers, with the loaded function kept until the last of them."""

    def batches() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        with lease:
            yield from answers.batches

    return Answers(answers.schema, batches())
