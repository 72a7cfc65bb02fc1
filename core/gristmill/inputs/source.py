"""`Source`: what a user gives as input, as one of three things."""

import os
from typing import Any

import pyarrow as pa

from gristmill.errors import SpecError
from gristmill.inputs.files import FilesSource, open_files
from gristmill.inputs.frames import FrameSource, open_frame
from gristmill.inputs.query import QuerySource
from gristmill.storage.storage import Storage

__all__ = ["Source", "open_source", "schema_of"]

Source = FilesSource | FrameSource | QuerySource
"""Files are read where they stand; frames and queries are snapshotted first (`gristmill.inputs.snapshot`)."""


def open_source(given: Any, storage: Storage, *, format: str | None = None) -> Source:  # noqa: A002 - the word users know
    """The source for whatever a user gives: a location or glob, a query, a frame, a listing.

    Args:
        given: text or a path is a location.
        storage: opens locations.
        format: of the files at a location.

    Raises:
        SpecError: it is no input; a format is given for something that is not a location.
        EmptyInputError: a location holds no files.
        SchemaError: two columns share a name, or a column cannot be stored.
    """
    if isinstance(given, str | os.PathLike):
        return open_files(storage, given, format=format)
    if format is not None:
        raise SpecError(f"format: only a location has one, not a {type(given).__name__} (given: {format!r})")
    if isinstance(given, FilesSource | FrameSource | QuerySource):
        return given
    return open_frame(given)


def schema_of(source: Source) -> pa.Schema:
    """The columns a source will be planned with; nothing is written."""
    return source.schema
