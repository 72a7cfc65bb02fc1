"""`read_file(path)`: a file's content in SQL, for functions that take bytes."""

from typing import Any

import pyarrow as pa

from gristmill.errors import AccessError, OutputError
from gristmill.inputs.block import Block
from gristmill.resolve.columns import ColumnResolver
from gristmill.spec.enums import FileEncoding, InputFormat
from gristmill.spec.input import ColumnHandling
from gristmill.spec.row_error import RowError
from gristmill.sql.functions import MARK, created, known_names, macro_kind, settings_digest, taken_names
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage

__all__ = ["FileReader", "register_files"]

_NAME = "read_file"
_PATH = "path"
_HANDLING = ColumnHandling(input_format=InputFormat.FULL_STAGE_PATH, convert_to=FileEncoding.RAW_BYTES)


def register_files(connection: Any, storage: Storage) -> None:
    """Let `read_file` be called, with these settings. Where something else is called so, that stays."""
    if taken_names(connection, [_NAME]):
        return
    wanted, kinds = f"{MARK}{_NAME}_{settings_digest(storage)}", (["VARCHAR"], "BLOB")
    udf = created(connection, wanted, FileReader(storage).read, kinds, known_names(connection), side_effects=True)
    connection.execute(f"CREATE OR REPLACE {macro_kind(connection)} {_NAME}(path) AS {udf}(path)")


class FileReader:
    """Reads the files that rows name, as file columns of a job are read: those of stages and under allowed prefixes.

    Args:
        storage: its settings name the stages and the prefixes.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._access = AccessPolicy(storage)

    def read(self, paths: pa.ChunkedArray) -> pa.ChunkedArray:
        """The contents, null for null.

        Raises:
            AccessError, OutputError: a file may not be opened, or cannot be read; the query fails.
        """
        rows = pa.record_batch({_PATH: paths.combine_chunks().cast(pa.string())})
        resolver = ColumnResolver(
            {_PATH: _HANDLING}, storage=self._storage, access=self._access, limits=self._storage.settings.resolver
        )
        try:
            found = []
            for block in resolver.resolve([Block(0, 0, rows, rows)]):
                for index, error in sorted(block.errors.items()):
                    raise _failure(error, str(block.rows.column(0)[index].as_py()))
                found.append(block.model_rows.column(0).cast(pa.large_binary()))
        finally:
            resolver.close()
        return pa.chunked_array(found, pa.large_binary())


def _failure(error: RowError, path: str) -> Exception:
    kind = AccessError if error.type == AccessError.__name__ else OutputError
    return kind(f"{_NAME}: {path!r}: {error.type}: {error.message}")
