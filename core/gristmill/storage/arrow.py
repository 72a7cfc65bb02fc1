"""fsspec filesystems for pyarrow's readers."""

from typing import Any

import pyarrow as pa
from pyarrow.fs import FSSpecHandler

__all__ = ["FilesystemHandler"]


class FilesystemHandler(FSSpecHandler):  # type: ignore[misc] # pyarrow has no types
    """pyarrow's handler, reading just the ranges that are asked for.

    fsspec reads ahead by tens of megabytes at each seek, which a reader of column chunks throws away; and hands all
    readers of one `memory://` file the same file object, with one position.
    """

    def open_input_file(self, path: str) -> Any:
        """A random access file."""
        if "memory" in self.fs.protocol:
            return pa.BufferReader(self.fs.cat_file(path))
        if not self.fs.isfile(path):
            raise FileNotFoundError(path)
        return pa.PythonFile(self.fs.open(path, mode="rb", cache_type="none"), mode="r")
