"""`list_files`: the files at a location as a one-column frame."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gristmill.errors import EmptyInputError, LocationError, MissingExtraError, SpecError
from gristmill.storage.storage import Storage

__all__ = ["FileListing", "list_files"]


@dataclass(frozen=True, slots=True)
class FileListing:
    """Files at a location: an input of one text column, whose cells a file column may name.

    Attributes:
        location: as it was given.
        normal: the normal location.
        pattern: the regular expression that the files match; None for all.
        column_name: the column.
        paths: the files in order: stage paths where a stage was given, else absolute paths or URLs.
    """

    location: str
    normal: str
    pattern: str | None
    column_name: str
    paths: pa.StringArray = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths.to_pylist())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> pa.Table:
        """The frame as an Arrow table of one `string` column."""
        return pa.table({self.column_name: self.paths})

    def to_pandas(self) -> Any:
        """The frame as a pandas frame."""
        try:
            import pandas  # noqa: F401, ICN001 - to tell what is missing
        except ImportError:
            raise MissingExtraError.of("pandas", "python", need="FileListing.to_pandas") from None
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The frame as a Polars frame."""
        try:
            import polars as pl
        except ImportError:
            raise MissingExtraError.of("polars", "polars", need="FileListing.to_polars") from None
        return pl.from_arrow(self.to_arrow())

    def collect(self) -> list[dict[str, str]]:
        """The frame as a list of rows."""
        return [{self.column_name: path} for path in self]

    def show(self, limit: int = 10) -> None:
        """Print the first rows."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(caption=f"{min(limit, len(self)):,} of {len(self):,} files")
        table.add_column(Text(self.column_name), overflow="fold")
        for path in self.paths.slice(0, limit).to_pylist():
            table.add_row(Text(path))
        Console().print(table)


def list_files(
    storage: Storage, location: str, *, pattern: str | None = None, column_name: str = "FILE_PATH"
) -> FileListing:
    r"""The files at a location, at any depth, in the order of their paths.

    Args:
        storage: the filesystems.
        location: a stage, a path or a URL.
        pattern: a regular expression that must match the whole path below the location, or the whole path.
        column_name: the name of the column.

    Raises:
        SpecError: the pattern is no regular expression, or the column has no name.
        LocationError: the location cannot be resolved.
        EmptyInputError: there are no such files.

    Example:
        >>> storage = Storage(Settings.load(stages={"docs": "memory://docs"}))
        >>> storage.write_bytes("memory:///docs/a/one.txt", b"1")
        >>> list_files(storage, "@docs", pattern=r".*\.txt").collect()
        [{'FILE_PATH': '@docs/a/one.txt'}]
    """
    matches = _matcher(pattern)
    if not column_name.strip():
        raise SpecError(f"column_name: {column_name!r} is no name for a column")
    normal = storage.resolve(location)
    shown = location.rstrip("/") if location.startswith("@") else normal.rstrip("/")
    start = len(normal.rstrip("/"))
    paths = []
    for info in storage.list(normal):
        rest = info.location[start:]
        path = shown + rest
        if matches is None or matches(rest[1:] or path.rpartition("/")[2]) or matches(path):
            paths.append(path)
    if not paths:
        which = "no files" if pattern is None else f"no files that match {pattern!r}"
        raise EmptyInputError(f"{location!r} holds {which}")
    try:
        column = pa.array(paths, pa.string())
    except UnicodeEncodeError:
        odd = next(path for path in paths if not _is_text(path))
        raise LocationError(f"{odd!r} has a name that is not UTF-8 text; rename it or narrow the pattern") from None
    return FileListing(location, normal, pattern, column_name, column)


def _matcher(pattern: str | None) -> Any:
    if pattern is None:
        return None
    try:
        return re.compile(pattern).fullmatch
    except re.error as error:
        raise SpecError(f"pattern: {pattern!r} is not a regular expression: {error}") from error


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
