"""`FilesSource`: input rows that stand in files."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from gristmill.errors import EmptyInputError, SpecError
from gristmill.inputs.arrow_rows import arrow_schema
from gristmill.inputs.csv_rows import csv_schema
from gristmill.inputs.formats import SUFFIXES, Format, format_of
from gristmill.inputs.glob import expand, has_magic
from gristmill.inputs.jsonl_rows import jsonl_schema
from gristmill.inputs.opening import InputFile, file_error, open_location
from gristmill.inputs.parquet_footer import open_parquet
from gristmill.inputs.schema import plain_schema, text_schema
from gristmill.storage.storage import FileInfo, Storage

__all__ = ["FilesSource", "open_files"]

_FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl", "arrow")


@dataclass(frozen=True, slots=True)
class FilesSource:
    """Rows in files of one format.

    Attributes:
        format: how the rows are stored.
        location: the normal location, or glob, that was asked for.
        files: the files, in the order of their rows; some may hold none.
        schema: the columns, by the first file; all nullable.
    """

    format: Format
    location: str
    files: Sequence[FileInfo]
    schema: pa.Schema

    def digest(self) -> str:
        """What identifies the content, as well as the storage tells without reading it: 32 hexadecimal digits."""
        hasher = hashlib.blake2b(f"{self.format}\0{self.schema}".encode(), digest_size=16)
        for file in self.files:
            hasher.update(f"{file.location}\0{file.size}\0{file.version}\n".encode())
        return hasher.hexdigest()


def open_files(storage: Storage, location: "str | os.PathLike[str]", *, format: str | None = None) -> FilesSource:  # noqa: A002 - the word users know
    r"""The files at a location, and the columns of the first of them.

    Args:
        storage: resolves and lists the location.
        location: a file; a folder, which is read at any depth; or a glob of files and folders with `*`, `?`, `[...]`
            and `**`. Names that begin with `_` or `.` are left out unless the location itself spells them so.
        format: `parquet`, `csv`, `jsonl` or `arrow`; told by the files' suffixes when not given.

    Raises:
        EmptyInputError: there are no files.
        SpecError: the files' suffixes tell of no format, or of several.
        SchemaError: two columns share a name.
        OSError: the first file cannot be read.

    Example:
        >>> from gristmill.settings import Settings
        >>> storage = Storage(Settings.load())
        >>> storage.write_bytes("memory:///orders/day=1/a.csv", b"id,price\n1,2.5\n")
        >>> open_files(storage, "memory://orders/day=*").schema.names
        ['id', 'price']
    """
    if format is not None and format not in _FORMATS:
        raise SpecError(f"format: {format!r} is not known; choose one of: {', '.join(_FORMATS)}")
    normal = storage.resolve(location, what="input location")
    is_glob = has_magic(normal) and not storage.exists(normal)
    found = expand(storage, normal) if is_glob else storage.list(normal)
    root = _fixed_part(normal) if is_glob else normal
    files = tuple(info for info in found if is_glob or not _is_hidden(info.location, root))
    if not files:
        looked_for = "matches of this glob" if is_glob else "a file, or files at any depth of a folder"
        raise EmptyInputError(
            f"the input location {normal} holds no files; looked for {looked_for} ({', '.join(SUFFIXES)}), "
            "leaving out names that begin with '_' or '.'"
        )
    kind = _one_format(files, normal) if format is None else next(known for known in _FORMATS if known == format)
    return FilesSource(kind, normal, files, _schema(storage, kind, files))


def _fixed_part(location: str) -> str:
    return re.split(r"[*?\[]", location, maxsplit=1)[0].rpartition("/")[0]


def _is_hidden(location: str, root: str) -> bool:
    below = location[len(root) :]
    return "/_" in below or "/." in below


def _one_format(files: Sequence[FileInfo], location: str) -> Format:
    first = None
    for file in files:
        found = format_of(file.location)
        if found is None:
            raise SpecError(
                f"the input location {location} holds {file.location}, whose name tells of no format "
                f"({', '.join(SUFFIXES)}); give the format, or a glob such as '*.parquet'"
            )
        if first is None:
            first = found
        elif found != first:
            raise SpecError(
                f"the input location {location} holds files of several formats: {files[0].location} is {first}, "
                f"{file.location} is {found}; choose one with a glob such as '*.{first}'"
            )
    if first is None:
        raise AssertionError("no files")
    return first


def _schema(storage: Storage, kind: Format, files: Sequence[FileInfo]) -> pa.Schema:
    """The planned columns, by the first file that is not empty."""
    info = next((file for file in files if file.size), None)
    if info is None:
        if kind in ("csv", "jsonl"):
            return pa.schema([])
        raise file_error(files[0].location, ValueError("it is empty, which no file of this format is"))
    file = open_location(storage, info.location, size=info.size, in_ranges=kind in ("parquet", "arrow"))
    try:
        return _schema_of(file, kind)
    finally:
        file.close()


def _schema_of(file: InputFile, kind: Format) -> pa.Schema:
    what = f"the input file {file.location}"
    if kind == "parquet":
        return plain_schema(open_parquet(file).schema_arrow, what=what)
    if kind == "arrow":
        return plain_schema(arrow_schema(file), what=what)
    return text_schema(csv_schema(file) if kind == "csv" else jsonl_schema(file), what=what)
