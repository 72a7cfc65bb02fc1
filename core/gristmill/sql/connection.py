"""Connections to DuckDB from which models can be called."""

from collections.abc import Iterable, Mapping
from typing import Any

from gristmill.errors import MissingExtraError
from gristmill.settings import Settings
from gristmill.sql.ai import register_ai
from gristmill.sql.files import register_files
from gristmill.sql.functions import put, register_model
from gristmill.sql.registered import registered_entries
from gristmill.storage.storage import Storage

__all__ = ["connect", "register"]


def connect(
    database: Any = ":memory:",
    *,
    read_only: bool = False,
    config: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    registry: str | None = None,
    models: Mapping[str, Any] | Iterable[str] | None = None,
) -> Any:
    """A connection to DuckDB from which models can be called.

    Args:
        database: a file, or `":memory:"`.
        read_only: as `duckdb.connect`.
        config: as `duckdb.connect`.
        settings: instead of those in force.
        registry: as `register`.
        models: as `register`.

    Returns:
        A `duckdb.DuckDBPyConnection`, as `duckdb.connect` gives it.

    Raises:
        MissingExtraError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError.of("duckdb", "sql", need="models in SQL") from error
    connection = duckdb.connect(database, read_only=read_only, config=dict(config or {}))
    try:
        register(connection, settings=settings, registry=registry, models=models)
    except BaseException:
        connection.close()
        raise
    return connection


def register(
    connection: Any,
    *,
    settings: Settings | None = None,
    registry: str | None = None,
    models: Mapping[str, Any] | Iterable[str] | None = None,
) -> tuple[str, ...]:
    """Let models be called from SQL on a connection of one's own, and `ai_complete` and `read_file`.

    A model is loaded when it is first called. What is registered again means what it means now; a new version of a
    model does not slip into a connection by itself.

    In a database in memory all cursors of the connection see the functions. Into a file nothing is written: there they
    are the connection's own, and a cursor needs a `register` of its own.

    Args:
        connection: of DuckDB.
        settings: instead of those in force.
        registry: the address of a registry; None for the settings' own.
        models: which of its models, such as `["churn", "churn/v2"]`; or names in SQL with models of any kind, such as
            `{"churn": "model.joblib"}`. None for the default versions of all; none at all for `()`.

    Returns:
        The functions' names.

    Raises:
        SpecError: two models want the same name, or it is taken by something else.
        ModelError: there is no such model or version.
        AccessError, RegistryError: the registry is not trusted, refuses, or does not answer.
    """
    found = Settings.load() if settings is None else settings
    storage = Storage(found)
    register_files(connection, storage)
    register_ai(connection, settings=found)
    if isinstance(models, Mapping):
        options = None if registry is None else {"registry": registry}
        names: list[str] = []
        for name, model in models.items():
            names += register_model(connection, name, model, inference_engine_options=options, settings=found)
        return tuple(names)
    return put(connection, registered_entries(storage, registry=registry, models=models), storage)
