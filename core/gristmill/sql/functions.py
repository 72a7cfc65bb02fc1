"""Functions of models on a DuckDB connection."""

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from gristmill.errors import ModelError, SpecError
from gristmill.inplace.target import Target, found_model, target_of
from gristmill.settings import Settings
from gristmill.sql.entry import Entry, entries_of, macro, sql_name, with_outputs
from gristmill.sql.function import SqlFunction
from gristmill.sql.types import is_known, sql_types, sql_value_type
from gristmill.storage.storage import Storage

__all__ = ["put", "register_model"]

_MARK = "_gristmill_"
_objects = itertools.count()
"""Numbers of models that are given as objects: nothing else tells them apart for good."""


def register_model(
    connection: Any,
    name: str,
    model: Any,
    *,
    function_name: str | None = None,
    outputs: Mapping[str, Any] | None = None,
    inference_engine_options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
) -> tuple[str, ...]:
    """Let a model's functions be called from SQL, on one connection.

    Args:
        connection: of DuckDB.
        name: of the model in SQL: `<name>_<function>` for each of its functions, `<name>` for the default one.
        model: a reference, such as `models:/churn/3`, or an object, as for `run_batch`.
        function_name: this function only; it is then called `<name>` too.
        outputs: what it returns, name to type, where the model does not say.
        inference_engine_options: as for `run_batch`.
        settings: instead of those in force.

    Returns:
        The names.

    Raises:
        ModelError: there is no such model or function.
        SpecError: a name is taken by something else.
    """
    storage = Storage(Settings.load() if settings is None else settings)
    found = found_model(model, storage, inference_engine_options)
    functions = dict(found.info.functions)
    if function_name is not None:
        if function_name not in functions:
            raise ModelError(
                f"function_name: the model has no function {function_name!r}; it has: {', '.join(sorted(functions))}"
            )
        functions = {function_name: functions[function_name]}
    functions = {one: with_outputs(signature, outputs, model=name) for one, signature in functions.items()}
    is_partitioned = [one for one, signature in functions.items() if signature.kind == "partitioned"]
    if len(is_partitioned) == len(functions):
        raise ModelError(
            f"the function {is_partitioned[0]!r} runs over partitions, and returns any number of rows for each: it is "
            "no function of SQL; give gristmill.run a relation, with partition_column"
        )
    reference = found.model if isinstance(found.model, str) else model

    def find(function: str) -> Target:
        return target_of(reference, storage, function_name=function, engine_options=inference_engine_options)

    told = [
        found.local or f"object {next(_objects)}",
        found.digests,
        found.options,
        sorted(outputs.items()) if outputs else None,
    ]
    shown = reference if isinstance(reference, str) else type(model).__name__
    default = function_name or found.info.default_function
    entries = entries_of(sql_name(name), functions, default, model=shown, find=find, key=repr(told))
    return put(connection, [replace(entry, is_short=False) for entry in entries], storage)


def put(connection: Any, entries: Iterable[Entry], storage: Storage) -> tuple[str, ...]:
    """Let functions be called under their names; those of an earlier call are replaced.

    Returns:
        The names.

    Raises:
        SpecError: two models want the same name, or it is taken by something else; nothing was changed.
    """
    wanted = _distinct(entries)
    taken = _taken(connection, [entry.name for entry in wanted])
    for entry in wanted:
        if entry.name in taken and not entry.is_short:
            raise SpecError(
                f"{entry.name!r} is {taken[entry.name]} of this connection already; register the model "
                f"{entry.model!r} under another name, with register_model(con, 'another_name', {entry.model!r})"
            )
    wanted = [entry for entry in wanted if entry.name not in taken]
    kind = "MACRO" if _is_in_memory(connection) else "TEMP MACRO"
    for entry in wanted:
        udf = _known(connection, entry, storage)
        connection.execute(macro(entry, udf, kind=kind))
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


def _taken(connection: Any, names: list[str]) -> dict[str, str]:
    """The names that mean something already, and what; functions that were registered here may be replaced."""
    rows = connection.execute(
        "SELECT DISTINCT lower(function_name), function_type FROM duckdb_functions() WHERE list_contains(?, "
        "lower(function_name)) AND NOT coalesce(contains(macro_definition, ?), false)",
        [names, _MARK],
    ).fetchall()
    return {name: f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} function" for name, kind in rows}


def _is_in_memory(connection: Any) -> bool:
    """Whether the database is gone with its connections: then macros can stand in it, and its cursors see them."""
    query = "SELECT path IS NULL FROM duckdb_databases() WHERE database_name = current_database()"
    return bool(connection.execute(query).fetchall()[0][0])


def _known(connection: Any, entry: Entry, storage: Storage) -> str:
    """The name under which DuckDB knows the function; all connections to a database share what it knows."""
    told = f"{entry.key}\0{entry.signature!r}\0{storage.settings.model_dump_json()}"
    udf = f"{_MARK}{entry.name}_{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    if is_known(connection, udf):
        return udf
    inputs, outputs = entry.inputs, entry.outputs
    if outputs is None or not len(outputs):
        connection.create_function(udf, _Unknown(entry), None, "VARCHAR", type="arrow", null_handling="special")
        return udf
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
    connection.create_function(udf, function, parameters, returns, type="arrow", null_handling="special")
    return udf


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
