"""Functions of models on a DuckDB connection."""

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from gristmill.errors import SpecError
from gristmill.models.signature import Signature
from gristmill.sql.entry import Entry, another_name, macro, problem_macro
from gristmill.sql.function import SqlFunction
from gristmill.sql.types import sql_types, sql_value_type
from gristmill.storage.storage import Storage

__all__ = [
    "MARK",
    "OWN_NAMES",
    "created",
    "is_in_memory",
    "known_names",
    "macro_kind",
    "put",
    "settings_digest",
    "taken_names",
]

MARK = "_gristmill_"
"""What the names begin with under which DuckDB knows what the macros call."""

OWN_NAMES = frozenset({"ai_complete", "prompt", "prompt_format", "read_file", "to_file"})
"""Functions that are no model's."""


def put(connection: Any, entries: Iterable[Entry], storage: Storage) -> tuple[str, ...]:
    """Let functions be called under their names; those of an earlier call are replaced.

    Returns:
        The names.

    Raises:
        SpecError: two models want the same name, or it is taken by something else; nothing was changed.
    """
    wanted = _distinct(entries)
    taken = dict.fromkeys(OWN_NAMES, "a function of Gristmill's own")
    taken |= taken_names(connection, [entry.name for entry in wanted])
    for entry in wanted:
        if entry.name in taken and not (entry.is_short or entry.is_offered):
            raise SpecError(
                f"{entry.name!r} is {taken[entry.name]} already, and no name for the model {entry.model!r}; "
                f"{another_name(entry.model)}"
            )
    wanted = [entry for entry in wanted if entry.name not in taken]
    kind = macro_kind(connection)
    known = known_names(connection)
    macros = []
    for entry in wanted:
        if entry.problem is not None:
            macros.append(problem_macro(entry, MARK, kind=kind))
        else:
            macros.append(macro(entry, _create(connection, entry, storage, known), kind=kind))
    if macros:
        connection.execute(";\n".join(macros))
    return tuple(entry.name for entry in wanted if entry.problem is None)


def _distinct(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, where a full name comes before a short one; one that means two things says so when it is called."""
    found: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda one: one.is_short):
        other = found.get(entry.name)
        if other is None:
            found[entry.name] = entry
        elif other.is_short == entry.is_short and other.key != entry.key:
            problem = (
                f"{entry.name!r} could be a function of {other.model!r} or of {entry.model!r}; "
                f"{another_name(entry.model)}"
            )
            if not (entry.is_short or (entry.is_offered and other.is_offered)):
                raise SpecError(problem)
            found[entry.name] = replace(other, signature=_both(other, entry), problem=problem)
    return list(found.values())


def _both(one: Entry, other: Entry) -> Signature:
    """A signature with the params of two functions: by whichever names they are called, the problem is told."""
    params = {param.name.lower(): param for param in (*one.signature.params, *other.signature.params)}
    return replace(one.signature, params=tuple(params.values()))


def known_names(connection: Any) -> set[str]:
    """The names under which DuckDB knows what macros call."""
    query = "SELECT function_name FROM duckdb_functions() WHERE starts_with(function_name, ?)"
    return {row[0] for row in connection.execute(query, [MARK]).fetchall()}


def created(connection: Any, wanted: str, function: Any, kinds: tuple[Any, Any], known: set[str], **how: Any) -> str:
    """Let DuckDB know a function, where it does not yet; gives the name under which it does.

    A rollback takes a function out of the database and not off the connection's own list of those that it made, so that
    its name is lost for good: another is taken.

    Args:
        connection: of DuckDB.
        wanted: the name, which tells the function from others.
        function: what is called.
        kinds: the types of its arguments and of what it returns.
        known: the names that are known; those created are added.
        how: as `create_function` takes it.
    """
    import duckdb

    for number in itertools.count():
        name = f"{wanted}_{number}" if number else wanted
        if name in known:
            return name
        try:
            connection.create_function(name, function, *kinds, type="arrow", **how)
        except duckdb.Error as error:
            if name not in known_names(connection):  # else another thread was quicker, and it is the same
                if "already created" not in str(error):
                    raise
                continue
        known.add(name)
        return name
    raise AssertionError("there is no end of names")


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


def _create(connection: Any, entry: Entry, storage: Storage, known: set[str]) -> str:
    """The name under which DuckDB knows an entry's function."""
    wanted = f"{MARK}{entry.name}_{settings_digest(storage, entry.key, repr(entry.signature))}"
    if wanted in known:
        return wanted
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
    return created(connection, wanted, function, (parameters, returns), known, null_handling="special")


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
