"""Functions of models on a DuckDB connection."""

import hashlib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from gristmill.errors import SpecError
from gristmill.sql.entry import Entry, macro
from gristmill.sql.function import SqlFunction
from gristmill.sql.types import is_known, sql_types, sql_value_type
from gristmill.storage.storage import Storage

__all__ = ["MARK", "is_in_memory", "macro_kind", "put", "settings_digest", "taken_names"]

MARK = "_gristmill_"
"""What the names begin with under which DuckDB knows what the macros call."""


def put(connection: Any, entries: Iterable[Entry], storage: Storage) -> tuple[str, ...]:
    """Let functions be called under their names; those of an earlier call are replaced.

    Returns:
        The names.

    Raises:
        SpecError: two models want the same name, or it is taken by something else; nothing was changed.
    """
    wanted = _distinct(entries)
    taken = taken_names(connection, [entry.name for entry in wanted])
    for entry in wanted:
        if entry.name in taken and not entry.is_short:
            raise SpecError(
                f"{entry.name!r} is {taken[entry.name]} of this connection already; register the model "
                f"{entry.model!r} under another name, with register_model(con, 'another_name', {entry.model!r})"
            )
    wanted = [entry for entry in wanted if entry.name not in taken]
    kind = macro_kind(connection)
    query = "SELECT function_name FROM duckdb_functions() WHERE starts_with(function_name, ?)"
    known = {row[0] for row in connection.execute(query, [MARK]).fetchall()}
    macros = []
    for entry in wanted:
        udf = _udf_name(entry, storage)
        if udf not in known:
            known.add(udf)
            _create(connection, udf, entry, storage)
        macros.append(macro(entry, udf, kind=kind))
    if macros:
        connection.execute(";\n".join(macros))
    return tuple(entry.name for entry in wanted)


def _distinct(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, where a full name comes before a short one."""
    found: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda one: one.is_short):
        other = found.get(entry.name)
        if other is None:
            found[entry.name] = entry
        elif not entry.is_short:
            raise SpecError(
                f"{entry.name!r} could be a function of {other.model!r} or of {entry.model!r}; leave one out, with "
                f"models=…, and register it under another name, with register_model(con, 'another_name', …)"
            )
    return list(found.values())


def taken_names(connection: Any, names: list[str]) -> dict[str, str]:
    """The names that mean something already, and what; functions that were registered here may be replaced."""
    rows = connection.execute(
        "SELECT DISTINCT lower(function_name), function_type FROM duckdb_functions() WHERE list_contains(?, "
        "lower(function_name)) AND NOT coalesce(contains(macro_definition, ?), false)",
        [names, MARK.lstrip("_")],
    ).fetchall()
    return {name: f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} function" for name, kind in rows}


def is_in_memory(connection: Any) -> bool:
    """Whether the database is gone with its connections: then macros can stand in it, and its cursors see them."""
    query = "SELECT path IS NULL FROM duckdb_databases() WHERE database_name = current_database()"
    return bool(connection.execute(query).fetchall()[0][0])


def macro_kind(connection: Any) -> str:
    """What is created on a connection: into a file nothing is written."""
    return "MACRO" if is_in_memory(connection) else "TEMP MACRO"


def settings_digest(storage: Storage, *told: str) -> str:
    """Tells what is registered with these settings from what is with others; all connections to a database share it."""
    text = "\0".join([*told, storage.settings.model_dump_json()])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _udf_name(entry: Entry, storage: Storage) -> str:
    """The name under which DuckDB knows the function."""
    return f"{MARK}{entry.name}_{settings_digest(storage, entry.key, repr(entry.signature))}"


def _create(connection: Any, udf: str, entry: Entry, storage: Storage) -> None:
    import duckdb

    inputs, outputs = entry.inputs, entry.outputs
    function: SqlFunction | _Unknown = _Unknown(entry)
    parameters: list[Any] | None = None
    returns: Any = "VARCHAR"
    if outputs is not None and len(outputs):
        typed = inputs is not None and not any(pa.types.is_null(feature.type) for feature in inputs)
        function = SqlFunction(
            entry.name,
            entry.find,
            inputs=None if inputs is None else [feature.name for feature in inputs],
            outputs=outputs,
            takes_params=bool(entry.signature.params),
            is_chat=entry.signature.is_chat,
            typed=typed,
            storage=storage,
        )
        value = outputs.field(0).type if len(outputs) == 1 else pa.struct(list(outputs))
        (returns,) = sql_types(connection, pa.schema([("value", value)]))
        parameters = sql_types(connection, _arguments(entry)) if typed else None
    try:
        connection.create_function(udf, function, parameters, returns, type="arrow", null_handling="special")
    except duckdb.Error:
        if not is_known(connection, udf):  # else another thread was quicker, and it is the same
            raise


def _arguments(entry: Entry) -> pa.Schema:
    """What DuckDB is told that a function takes; it casts what can be cast without losing anything."""
    kinds = [sql_value_type(feature.type) for feature in entry.inputs or ()]
    kinds += [pa.string()] if entry.signature.params else []
    return pa.schema([(f"column_{place}", kind) for place, kind in enumerate(kinds)])


class _Unknown:
    """Stands for a function that cannot be called, and says why."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __call__(self, *columns: Any) -> Any:  # noqa: ARG002 - whatever it is called with
        raise SpecError(
            f"{self._entry.name}: the model {self._entry.model!r} does not say what the function returns, which SQL "
            "must know beforehand; declare its outputs in the signature, or with register_model(con, name, model, "
            "outputs={'label': 'string'})"
        )
