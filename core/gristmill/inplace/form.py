"""What came in, given back with more columns: a frame of the same library, Arrow, a relation, a stream."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gristmill.errors import SpecError
from gristmill.inplace.answers import Answers
from gristmill.inputs.frames import FrameSource, open_frame
from gristmill.inputs.query import QuerySource

__all__ = ["Form", "form_of", "source_of"]


@dataclass(frozen=True, slots=True)
class Form:
    """What the rows came as.

    Attributes:
        give: the answers in the same form.
        streams: whether `give` returns before the rows have been run.
    """

    give: Callable[[Answers], Any]
    streams: bool = False


def source_of(given: Any) -> FrameSource | QuerySource:
    """The rows that a user gives as `X`.

    Raises:
        SpecError: it is no input.
    """
    if given is None or isinstance(given, str):
        more = "" if given is None else f"; for files use list_files({given!r}), for SQL query({given!r})"
        raise SpecError(f"X: give rows, not {'nothing' if given is None else 'text'}{more}")
    if isinstance(given, QuerySource):
        return given
    return open_frame(_of_dicts(given) if isinstance(given, list) else given)


def form_of(given: Any, source: FrameSource | QuerySource, *, keeps_rows: bool) -> Form:
    """The form of what a user gives as `X`.

    Args:
        given: the rows.
        source: of these.
        keeps_rows: whether there is an answer for each row, so that a frame's own columns can stay as they are.
    """
    if isinstance(source, QuerySource):
        return Form(_reader, streams=True)
    if isinstance(given, list):
        return Form(lambda answers: _table(answers).to_pylist())
    library, name = source.kind.split(".", 1)
    if library == "pandas":
        return Form((lambda answers: _pandas(given, answers)) if keeps_rows else _new_pandas)
    if library == "polars":
        is_frame = keeps_rows and name == "DataFrame"
        return Form((lambda answers: _polars(given, answers)) if is_frame else _new_polars)
    if library in ("duckdb", "_duckdb"):
        return Form(lambda answers: _relation(given, answers))
    streams = library == "pyarrow" and name not in ("Table", "RecordBatch")  # a reader, or some kind of dataset
    return Form(_reader if streams else _table, streams=streams)


def _of_dicts(rows: list[Any]) -> pa.Table:
    if not all(isinstance(row, dict) for row in rows):
        raise SpecError("X: a list must hold a dict for each row; give these, or a frame")
    if not rows:
        raise SpecError("X: the list is empty, so that nothing tells its columns; give a frame")
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        return pa.table({str(name): [row.get(name) for row in rows] for name in names})
    except (pa.ArrowException, TypeError) as error:
        raise SpecError(f"X: the dicts do not make columns: {error}; give a frame") from error


def _table(answers: Answers) -> pa.Table:
    tables = list(answers.tables())
    return pa.concat_tables(tables) if tables else answers.schema.empty_table()


def _reader(answers: Answers) -> pa.RecordBatchReader:
    batches = (batch for table in answers.tables() for batch in table.to_batches())
    return pa.RecordBatchReader.from_batches(answers.schema, batches)


def _added(answers: Answers) -> pa.Table:
    """The added columns alone."""
    batches = [added for _, added in answers.batches]
    if batches:
        return pa.Table.from_batches(batches)
    return answers.schema.empty_table()


def _pandas(frame: Any, answers: Answers) -> Any:
    """The frame with more columns; its own are shared, not copied, until one of the two is written to."""
    import pandas as pd

    names = [name for name in frame.index.names if name is not None]
    if len(names) == frame.index.nlevels:
        frame = frame.reset_index()
    shared = frame.copy(deep=False)
    shared.columns = [str(name) for name in shared.columns]
    added = _added(answers).to_pandas()
    if not len(added.columns) or not len(shared):
        wanted = [name for name in answers.schema.names if name not in shared.columns]
        added = answers.schema.empty_table().select(wanted).to_pandas()
    added.index = shared.index
    return pd.concat([shared, added], axis=1)


def _new_pandas(answers: Answers) -> Any:
    return _table(answers).to_pandas()


def _polars(frame: Any, answers: Answers) -> Any:
    import polars as pl

    added = pl.from_arrow(_added(answers))
    return frame.with_columns(added.get_columns()) if len(frame) else pl.from_arrow(_table(answers))


def _new_polars(answers: Answers) -> Any:
    import polars as pl

    return pl.from_arrow(_table(answers))


def _relation(relation: Any, answers: Answers) -> Any:
    """A relation of the same connection. Its rows are in memory: a connection cannot run the relation and, at the same
    time, what reads it.
    """  # noqa: D205 - the reason does not fit one line
    _gristmill_answers = _table(answers)  # found by its name below, where no table has that name
    made = relation.query("_gristmill_rows", "SELECT * FROM _gristmill_answers")
    del _gristmill_answers
    return made
