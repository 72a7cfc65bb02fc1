"""`QuerySource`: input rows that a SQL query selects, and `query` to make one."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gristmill.errors import LocationError, MissingExtraError, SpecError
from gristmill.inputs.storable import storable_schema
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["QuerySource", "located", "open_filesystems", "query"]

_BATCH = 65_536
_STAGE = re.compile(r"'(@[^'\n]+)'")
_URL = re.compile(r"'([a-z][a-z0-9+.\-]*)://", re.IGNORECASE)


class QuerySource:
    """The rows of a SELECT over files, run when they are asked for, and again each time.

    Args:
        sql: one SELECT of DuckDB's SQL. Files stand in quotes: `FROM 's3://bucket/x.parquet'`,
            `FROM read_csv('@stage/x.csv')`.
        storage: gives stages, and opens what is not local.

    Raises:
        SpecError: the SQL is broken, or is not one SELECT.
        MissingExtraError: DuckDB is not installed.
    """

    def __init__(self, sql: str, storage: Storage) -> None:
        self.sql = sql
        self.storage = storage
        self._resolved = located(sql, storage)
        connection = self._connect()
        try:
            _check_select(connection, self._resolved)
            self._schema = _started(connection, _bare(self._resolved), limit=0).schema
        finally:
            connection.close()

    def __repr__(self) -> str:
        return f"QuerySource({self.sql!r})"

    @property
    def schema(self) -> pa.Schema:
        """The columns as they will be planned; all nullable."""
        return storable_schema(self._schema, what="the query")

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in batches as DuckDB makes them.

        Raises:
            SpecError: the query fails on its data.
        """
        connection = self._connect()
        try:
            reader = _started(connection, _bare(self._resolved))
            while True:
                with _reported(self.sql):
                    batch = next(reader, None)
                if batch is None:
                    return
                yield batch
        finally:
            connection.close()

    def to_arrow(self) -> pa.Table:
        """All rows as a table."""
        return pa.Table.from_batches(self.batches(), schema=self._schema)

    def to_pandas(self) -> "pd.DataFrame":
        """All rows as a pandas frame."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> "pl.DataFrame":
        """All rows as a Polars frame."""
        import polars as pl

        return pl.DataFrame(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows as a stream, for any library that takes Arrow."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self.batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _connect(self) -> Any:
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError.of("duckdb", "sql", need="a SQL query") from error

        settings = {"autoinstall_known_extensions": False, "python_enable_replacements": False}
        connection = duckdb.connect(":memory:", config=settings)
        open_filesystems(connection, self._resolved, self.storage)
        return connection


def located(sql: str, storage: Storage) -> str:
    """The SQL with quoted stage paths as their locations; other text that begins with `@` stays.

    Example:
        >>> located("SELECT * FROM '@lake/x.parquet'", Storage(Settings(stages={"lake": "/data/lake"})))
        "SELECT * FROM '/data/lake/x.parquet'"
    """

    def location(match: "re.Match[str]") -> str:
        try:
            found = storage.resolve(match[1], what="query")
        except LocationError:
            return match[0]
        return "'" + found.replace("'", "''") + "'"

    return _STAGE.sub(location, sql)


def open_filesystems(connection: Any, sql: str, storage: Storage) -> None:
    """Let a connection open the URLs that stand in some SQL, with the settings' options."""
    for scheme in {found.lower() for found in _URL.findall(sql)} - {"file"}:
        connection.register_filesystem(storage.filesystem(f"{scheme}://any"))


def _bare(sql: str) -> str:
    return sql.strip().rstrip(";")


class _reported:  # noqa: N801 - used as a function
    """DuckDB's errors, as errors in the request."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        import duckdb

        if isinstance(error, duckdb.Error | pa.ArrowException | OSError) and not isinstance(error, MemoryError):
            raise SpecError(f"query: {error} (given: {self._sql!r})") from error


def _check_select(connection: Any, sql: str) -> None:
    import duckdb

    with _reported(sql):
        statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        found = ", ".join(str(statement.type).rpartition(".")[2] for statement in statements) or "nothing"
        raise SpecError(f"query: give one SELECT; found: {found} (given: {sql!r})")


def _started(connection: Any, sql: str, *, limit: int | None = None) -> Any:
    with _reported(sql):
        relation = connection.sql(sql)
        return (relation if limit is None else relation.limit(limit)).to_arrow_reader(_BATCH)


def query(sql: str, *, storage: Storage | None = None) -> QuerySource:
    """A SQL query over files, as an input of `run_batch` or to be looked at.

    Nothing but the columns is computed until rows are asked for: with `to_arrow()`, `to_pandas()`, `to_polars()`, or
    by giving it to anything that takes Arrow streams.

    Args:
        sql: one SELECT of DuckDB's SQL over files, which stand in quotes as paths, URLs or `@stage/path`.
        storage: gives stages and storage options; the settings in force when not given.

    Raises:
        SpecError: the SQL is broken, or is not one SELECT.
        MissingExtraError: DuckDB is not installed.

    Example:
        >>> query("SELECT 1 AS id, 'a' AS name").to_arrow().to_pylist()
        [{'id': 1, 'name': 'a'}]
    """
    return QuerySource(sql, Storage(Settings.load()) if storage is None else storage)
