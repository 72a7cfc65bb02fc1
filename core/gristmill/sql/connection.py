"""Connections to DuckDB from which models can be called."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.errors import MissingExtraError, SpecError
from gristmill.settings import Settings
from gristmill.sql.ai import register_ai
from gristmill.sql.entry import Entry
from gristmill.sql.files import register_files
from gristmill.sql.functions import put
from gristmill.sql.models import model_entries
from gristmill.sql.registered import registered_entries
from gristmill.storage.storage import Storage

__all__ = ["Prepared", "connect", "prepared", "register"]

_LEAST_THREADS = 4
"""On two cores, a linear model runs faster with four threads than with two: its calls are larger."""


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
        config: as `duckdb.connect`; where it says nothing of `threads`, there are four at least, since the rows of
            threads that come together are run as one call of a model.
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
        if "threads" not in (config or {}):
            ((threads,),) = connection.execute("SELECT current_setting('threads')").fetchall()
            if threads < _LEAST_THREADS:
                connection.execute(f"SET threads = {_LEAST_THREADS}")
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
            `{"churn": "model.joblib"}`. None for the default versions of all: a name that means something already, or
            could mean two of them, is no model's. None at all for `()`.

    Returns:
        The functions' names.

    Raises:
        SpecError: two of these models want the same name, or it is taken by something else.
        ModelError: there is no such model or version.
        AccessError, RegistryError: the registry is not trusted, refuses, or does not answer.
    """
    return prepared(settings=settings, registry=registry, models=models).put_on(connection)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is put on connections, looked up once.

    Attributes:
        storage: with the settings in force.
        entries: the functions of models.
    """

    storage: Storage
    entries: Sequence[Entry]

    def put_on(self, connection: Any) -> tuple[str, ...]:
        """Let all of it be called on a connection; see `register`."""
        register_files(connection, self.storage)
        register_ai(connection, settings=self.storage.settings)
        return put(connection, self.entries, self.storage)


def prepared(
    *,
    settings: Settings | None = None,
    registry: str | None = None,
    models: Mapping[str, Any] | Iterable[str] | None = None,
) -> Prepared:
    """What `register` puts on a connection, for several of them."""
    storage = Storage(Settings.load() if settings is None else settings)
    if isinstance(models, str):
        raise SpecError(
            f"models: must be a list such as [{models!r}], or a dict of names and models (given: {models!r})"
        )
    if not isinstance(models, Mapping):
        return Prepared(storage, registered_entries(storage, registry=registry, models=models))
    entries: list[Entry] = []
    for name, model in models.items():
        is_registered = isinstance(model, str) and model.strip().startswith("models:")
        options = {"registry": registry} if is_registered and registry is not None else None
        entries += model_entries(name, model, storage, engine_options=options)
    return Prepared(storage, entries)
