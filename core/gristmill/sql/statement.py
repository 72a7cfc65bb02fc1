"""Running SQL as its author wrote it: stages and URLs in it are opened, and models registered where it calls any."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gristmill.errors import FailedRowsError, SpecError
from gristmill.inputs.query import located, open_filesystems
from gristmill.settings import Settings
from gristmill.sql.connection import connect, prepared, register
from gristmill.storage.storage import Storage

__all__ = ["opened", "reported"]

_CALL = re.compile(r"([^\W\d]\w*)\s*\(")
_WORDS = frozenset(
    ["all", "and", "any", "as", "by", "exists", "filter", "from", "in", "not", "on", "or", "over", "select"]
)
"""What may stand before a bracket without being called."""
_IN_PYTHON = re.compile(r".*Python exception occurred while executing the UDF: \w+: ", re.DOTALL)


@contextmanager
def opened(sql: str, *, database: str, models: Mapping[str, Any], settings: Settings) -> Iterator[tuple[Any, str]]:
    """A connection on which the SQL can run, and the SQL to run on it.

    The registry is asked for models only where the SQL calls a function that DuckDB does not know.

    Args:
        sql: one or several statements.
        database: a file, or `":memory:"`.
        models: models by their names in SQL, besides those of the registry.
        settings: those in force.
    """
    storage = Storage(settings)
    resolved = located(sql, storage)
    with reported(database):
        given = prepared(settings=settings, models=models)
        connection = connect(database, settings=settings, models={})
    try:
        given.put_on(connection)
        connection.execute("SET enable_progress_bar = false")  # it would stand among the rows on standard output
        open_filesystems(connection, resolved, storage)
        if _unknown(connection, resolved):
            register(connection, settings=settings)
            given.put_on(connection)  # again: a name that was given goes before a model's own
        yield connection, resolved
    finally:
        connection.close()


def _unknown(connection: Any, sql: str) -> bool:
    called = {name.lower() for name in _CALL.findall(sql)}
    query = "SELECT DISTINCT lower(function_name) FROM duckdb_functions()"
    return bool(called - {row[0] for row in connection.execute(query).fetchall()} - _WORDS)


@contextmanager
def reported(sql: str) -> Iterator[None]:
    """DuckDB's errors as ours: a row that fails in a model, or SQL that cannot be run.

    Args:
        sql: what is run, for the message.

    Raises:
        FailedRowsError: a model, or what it reads, has failed.
        SpecError: anything else.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        if _IN_PYTHON.match(text):
            raise FailedRowsError(_IN_PYTHON.sub("", text, count=1)) from error
        raise SpecError(f"{text} (given: {sql!r})") from error
