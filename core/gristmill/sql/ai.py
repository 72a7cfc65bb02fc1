"""`ai_complete`, `prompt` and `to_file` on a DuckDB connection."""

import contextlib
import functools
import itertools
import weakref
from typing import Any

from gristmill.errors import SpecError
from gristmill.settings import Settings
from gristmill.sql.ai_complete import AiFunctions
from gristmill.sql.counting import Counter, Estimate
from gristmill.sql.functions import macro_kind, taken_names
from gristmill.sql.prompt import FILE, PARTS, TEXT, prompts
from gristmill.storage.storage import Storage

__all__ = ["AI_NAMES", "estimate", "register_ai"]

AI_NAMES = ("ai_complete", "prompt", "prompt_format", "to_file")
"""What SQL calls the functions."""

_MARK = "_gristmill_ai_"
_MOST_ARGUMENTS = 32
_FILE_TYPE = f"STRUCT({FILE} VARCHAR)"
_PROMPT_TYPE = f"STRUCT({TEXT} VARCHAR, {PARTS} VARCHAR)"
_numbers = itertools.count()
_registered: "weakref.WeakValueDictionary[str, AiFunctions]" = weakref.WeakValueDictionary()
"""By the name under which a database knows `ai_complete`; it lives for as long as the database does."""

_CALL = """
from_json(
    {mark}_complete(
        current_connection_id(), current_query_id(), model, prompt, {file}, model_parameters, response_format,
        show_details, coalesce(return_error_details, getvariable('return_error_details'))),
    CASE WHEN response_format IS NULL AND show_details IS NULL
        AND coalesce(return_error_details, getvariable('return_error_details')) IS NULL
    THEN '"VARCHAR"'
    ELSE {mark}_structure(
        response_format, show_details, coalesce(return_error_details, getvariable('return_error_details')))
    END)
"""
_REST = "response_format := NULL, show_details := NULL, return_error_details := NULL"


def register_ai(connection: Any, *, settings: Settings) -> tuple[str, ...]:
    """Let `ai_complete`, `prompt`, `prompt_format` and `to_file` be called on a connection.

    In a database in memory all its cursors see them; with a file they are the connection's own. `interrupt()` of the
    connection then ends the requests of its query too; for that, a cursor needs a `register_ai` of its own.

    Args:
        connection: of DuckDB.
        settings: the endpoints, the home of the services, the stages of files.

    Returns:
        The names.

    Raises:
        SpecError: a name is taken by something else; nothing was changed.
    """
    _refuse_taken(connection)
    mark, functions = _functions(connection, settings)
    kind = macro_kind(connection)
    for name, overloads in _macros(mark).items():
        connection.execute(f"CREATE OR REPLACE {kind} {name}{', '.join(overloads)}")
    number = _id(connection)
    if connection not in _known_as:
        weakref.finalize(connection, functions.forget, number)
    _known_as[connection] = functions, number
    with contextlib.suppress(TypeError):  # something of another's in the place of a connection
        connection.__class__ = _interruptible()
    return AI_NAMES


def estimate(connection: Any, query: str) -> Estimate:
    """What the calls of `ai_complete` in a query would cost, about; no model is asked.

    The query runs but for these calls, whose answers are taken to be some text: rows that hang on what a model says,
    such as those of a WHERE over it, cannot be told.

    Args:
        connection: where `ai_complete` is registered.
        query: one SELECT.

    Raises:
        SpecError: it is no SELECT, or the functions are not registered.
    """
    import duckdb

    statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SpecError("query: give one SELECT; other statements would change what they write to")
    number, counter = _id(connection), Counter()
    known = [functions for _, functions in _known(connection)]
    if not known:
        raise SpecError("connection: knows no ai_complete; call gristmill.sql.register(connection) first")
    for functions in known:
        functions.counters[number] = counter
    try:
        for _ in connection.sql(query).to_arrow_reader(65_536):
            pass
    finally:
        for functions in known:
            functions.counters.pop(number, None)
    return counter.estimate


_known_as: "weakref.WeakKeyDictionary[Any, tuple[AiFunctions, int]]" = weakref.WeakKeyDictionary()
"""The functions of connections, and the connections' ids there; nobody can ask while a query runs."""


@functools.lru_cache(maxsize=1)
def _interruptible() -> type[Any]:
    """DuckDB's class of connections with an `interrupt` that ends the requests too: DuckDB tells no function of it."""
    import duckdb

    class DuckDBPyConnection(duckdb.DuckDBPyConnection):  # type: ignore[misc]
        __slots__ = ()

        def interrupt(self) -> None:
            super().interrupt()
            functions, number = _known_as.get(self, (None, 0))
            if functions is not None:
                functions.stop(number)

    return DuckDBPyConnection


def _id(connection: Any) -> int:
    ((number,),) = connection.execute("SELECT current_connection_id()").fetchall()
    return int(number)


def _known(connection: Any) -> list[tuple[str, AiFunctions]]:
    """What is registered in the connection's database."""
    query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE starts_with(function_name, ?)"
    names = [name for (name,) in connection.execute(query, [_MARK]).fetchall() if name.endswith("_complete")]
    marks = [name.removesuffix("_complete") for name in names]
    return [(mark, functions) for mark in marks if (functions := _registered.get(mark)) is not None]


def _functions(connection: Any, settings: Settings) -> tuple[str, AiFunctions]:
    for mark, functions in _known(connection):
        if functions.storage.settings == settings:
            return mark, functions
    mark, functions = f"{_MARK}{next(_numbers)}", AiFunctions(Storage(settings))
    _registered[mark] = functions
    how = {"type": "arrow", "null_handling": "special"}
    connection.create_function(f"{mark}_complete", functions.complete, None, "VARCHAR", side_effects=True, **how)
    connection.create_function(f"{mark}_structure", functions.structure, None, "VARCHAR", **how)
    connection.create_function(f"{mark}_prompt", prompts, None, _PROMPT_TYPE, **how)
    return mark, functions


def _macros(mark: str) -> dict[str, list[str]]:
    """The overloads of each macro, as SQL."""
    plain, filed = _CALL.format(mark=mark, file="NULL"), _CALL.format(mark=mark, file="file")
    names = [f"arg{number}" for number in range(_MOST_ARGUMENTS)]
    listed = [", ".join(["template", *names[:count]]) for count in range(_MOST_ARGUMENTS + 1)]
    made = [f"({arguments}) AS {mark}_prompt({arguments})" for arguments in listed]
    return {
        # The second is for a NULL in the place of the parameters, which else could be a file.
        "ai_complete": [
            f"(model, prompt, model_parameters := NULL, {_REST}) AS {plain}",
            f"(model, prompt, model_parameters VARCHAR, {_REST}) AS {plain}",
            f"(model, prompt, file {_FILE_TYPE}, model_parameters := NULL, {_REST}) AS {filed}",
        ],
        "prompt": made,
        "prompt_format": made,
        "to_file": [
            f"(path) AS CASE WHEN path IS NOT NULL THEN {{'{FILE}': path::VARCHAR}} END",
            f"(stage, path) AS {{'{FILE}': rtrim(stage, '/') || '/' || ltrim(path, '/')}}",
        ],
    }


def _refuse_taken(connection: Any) -> None:
    for name, kind in sorted(taken_names(connection, [*AI_NAMES]).items()):
        raise SpecError(f"{name!r} is {kind} of this connection already; drop or rename it before registering")
