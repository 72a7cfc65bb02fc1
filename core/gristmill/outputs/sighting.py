"""`Sighting`: what stands at a location's `_SUCCESS` at one moment, of whatever tool."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from gristmill.errors import LocationError, OutputError
from gristmill.outputs.layout import SENTINEL
from gristmill.outputs.manifest import Manifest
from gristmill.storage.failure import may_pass
from gristmill.storage.location import is_local, join
from gristmill.storage.storage import FileInfo, Storage

__all__ = ["Sighting", "sight"]

_WHOLE = 1024**2
"""Bytes up to which a sentinel is read whole."""
_HEAD = 4 * 1024**2
"""Bytes that are read of a larger one: a manifest's fields stand before its list of files."""
_FILES = b',"files":[\n'
"""What divides the two; it cannot stand in a text of the JSON, which holds no line break."""
_FILE = re.compile(rb'\{"path":"[^"]+","rows":\d+,"bytes":(\d+)\}(,?)\n')


@dataclass(frozen=True, slots=True)
class Sighting:
    """What stands at a location's `_SUCCESS`.

    Attributes:
        location: the location in normal form.
        exists: whether there is a file.
        manifest: its content, where it is a manifest. That of a large one comes without its files, which are counted.
        files: the files that the manifest lists.
        bytes: their size.
        flaw: of a file that is no manifest: what it is instead.
        modified: of a file that is no manifest: when it was written, where the storage tells.
        version: of the file: its version and size, where the storage tells a version; else a digest of its beginning.
        trouble: why the storage could not be asked, where that may pass; nothing else is known then.
    """

    location: str
    exists: bool = False
    manifest: Manifest | None = None
    files: int = 0
    bytes: int = 0
    flaw: str = ""
    modified: datetime | None = None
    version: str = ""
    trouble: str | None = None

    @property
    def identity(self) -> str | None:
        """What tells this sentinel from another at the location; None where there is none.

        A manifest is told by its publication, so copying or touching the file makes no new one. Another tool's file is
        told by its version, size and time of writing.
        """
        if not self.exists:
            return None
        if self.manifest is not None:
            return f"{self.manifest.job}/{self.manifest.generation}/{self.manifest.finished.isoformat()}"
        return f"{self.version}/{'' if self.modified is None else self.modified.isoformat()}"

    def summary(self) -> dict[str, Any]:
        """What is handed on: the manifest's summary, or the location alone."""
        if self.manifest is None:
            return {"location": self.location}
        return {**self.manifest.summary(self.location), "files": self.files, "bytes": self.bytes}


def sight(storage: Storage, location: str, *, before: Sighting | None = None) -> Sighting:
    """Look at a location's `_SUCCESS`.

    Args:
        storage: where.
        location: a stage, path or URL.
        before: what was seen last; a manifest whose file is the same is not read again.

    Raises:
        LocationError: the location cannot be resolved, or names the sentinel itself.
        OSError: the storage refuses, for example the credentials. That a bucket or folder is not there is no error.
    """
    where = storage.resolve(location)
    if where.endswith(f"/{SENTINEL}"):
        raise LocationError(f"location {location!r} names the sentinel itself; give the folder that it stands in")
    file = join(where, SENTINEL)
    try:
        info = storage.info(file)
        version = f"{info.version}:{info.size}" if info.version else ""
        if before is not None and before.manifest is not None and version and before.version == version:
            return before
        return _read(storage, where, info, version)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return Sighting(where)
    except Exception as error:
        if may_pass(error):
            return Sighting(where, trouble=f"{type(error).__name__}: {error}")
        raise


def _read(storage: Storage, location: str, info: FileInfo, version: str) -> Sighting:
    if info.size > _WHOLE:
        data, listed = _large(storage, info.location)
    else:
        data, listed = storage.read_bytes(info.location), None
    version = version or f"{hashlib.sha256(data).hexdigest()}:{info.size}"
    try:
        manifest = Manifest.from_bytes(data, location=location)
    except OutputError:
        flaw = "not a manifest" if data.strip() else "empty"
        modified = _modified(storage, info.location)
        return Sighting(location, exists=True, flaw=flaw, modified=modified, version=version)
    files, size = listed or (len(manifest.files), sum(file.bytes for file in manifest.files))
    return Sighting(location, exists=True, manifest=manifest, files=files, bytes=size, version=version)


def _large(storage: Storage, file: str) -> tuple[bytes, tuple[int, int] | None]:
    """A large manifest as one of no files, with their number and size; the beginning of anything else.

    To parse a list of a million files takes seconds in which no other thread runs. Line by line, others do.
    """
    with storage.open(file) as opened:
        start = opened.read(_HEAD)
        head, found, rest = start.partition(_FILES)
        if not found:
            return start, None
        # the last line of what was read may be half of one
        lines = (rest + opened.readline()).splitlines(keepends=True)
        listed = _listed(chain(lines, opened))
    return (start, None) if listed is None else (head + b',"files":[]}', listed)


def _listed(lines: Iterator[bytes]) -> tuple[int, int] | None:
    """The number and the size of the files in a manifest's lines; None where a line is none of a manifest."""
    files = size = 0
    more = True
    for line in lines:
        match = _FILE.fullmatch(line) if more else None
        if match is None:
            whole = not more and line == b"]}\n" and next(lines, None) is None
            return (files, size) if whole else None
        files, size, more = files + 1, size + int(match[1]), match[2] == b","
    return None


def _modified(storage: Storage, file: str) -> datetime | None:
    if is_local(file):
        return datetime.fromtimestamp(os.stat(file).st_mtime, UTC)  # noqa: PTH116 - text in
    try:
        moment: datetime = storage.filesystem(file).modified(storage.path(file))
    except NotImplementedError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
