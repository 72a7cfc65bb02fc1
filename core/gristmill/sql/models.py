"""Models of any kind, as functions of SQL."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gristmill.errors import ModelError
from gristmill.inplace.target import Target, found_model, storage_for, target_of
from gristmill.settings import Settings
from gristmill.sql.entry import Entry, entries_of, sql_name, with_outputs
from gristmill.sql.functions import put
from gristmill.storage.storage import Storage

__all__ = ["model_entries", "register_model"]

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
    storage = storage_for(Settings.load() if settings is None else settings, inference_engine_options)
    entries = model_entries(
        name,
        model,
        storage,
        function_name=function_name,
        outputs=outputs,
        engine_options=inference_engine_options,
    )
    return put(connection, entries, storage)


def model_entries(
    name: str,
    model: Any,
    storage: Storage,
    *,
    function_name: str | None = None,
    outputs: Mapping[str, Any] | None = None,
    engine_options: Mapping[str, Any] | None = None,
) -> list[Entry]:
    """The names of a model's functions; see `register_model`.

    Raises:
        ModelError: there is no such model or function.
    """
    found = found_model(model, storage, engine_options)
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
        return target_of(reference, storage, function_name=function, engine_options=engine_options)

    told = [
        found.local or f"object {next(_objects)}",
        found.digests,
        found.options,
        sorted(outputs.items()) if outputs else None,
    ]
    shown = reference if isinstance(reference, str) else type(model).__name__
    default = function_name or found.info.default_function
    entries = entries_of(sql_name(name), functions, default, model=shown, find=find, key=repr(told))
    return [replace(entry, is_short=False) for entry in entries]
