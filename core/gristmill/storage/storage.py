"""`Storage`: every file operation of the product, on any fsspec filesystem."""

import builtins
import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from gristmill.errors import LocationError
from gristmill.settings import Settings
from gristmill.storage.location import is_local, normalize, scheme_of

__all__ = ["FileInfo", "Storage"]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file of a listing.

    Attributes:
        location: the normal location.
        size: bytes.
        version: what changes when the content does: the ETag of an object store, the modification time in nanoseconds of
            a local file; empty where the storage tells neither.
    """

    location: str
    size: int
    version: str


def _version(info: Mapping[str, Any]) -> str:
    for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created"):
        if info.get(key):
            return str(info[key]).strip('"')
    return ""


class Storage:
    """File operations by location.

    Locations given to every method but `resolve` are in normal form (see `gristmill.storage.location`). Missing files
    raise `FileNotFoundError`, as fsspec does.

    Args:
        settings: gives stages and the options of each scheme's filesystem.

    Example:
        >>> storage = Storage(Settings.load(stages={"scratch": "memory://scratch"}))
        >>> storage.write_bytes(storage.resolve("@scratch/hello.txt"), b"hi")
        >>> storage.read_bytes("memory:///scratch/hello.txt")
        b'hi'
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def resolve(self, text: "str | os.PathLike[str]", *, what: str = "location") -> str:
        """The normal form of a stage, path or URL; `what` names the field in errors."""
        return normalize(text, self.settings.stages, what=what)

    def filesystem(self, location: str) -> Any:
        """The fsspec filesystem of a location.

        Raises:
            LocationError: the scheme is not known or its package is not installed.
        """
        scheme = scheme_of(location)
        options = self.settings.storage_options.get(scheme, {})
        if scheme == "file":
            return LocalFileSystem(**options)
        try:
            return fsspec.filesystem(scheme, **options)
        except ImportError as error:
            extra = " (pip install 'gristmill[s3]')" if scheme in ("s3", "s3a") else ""
            raise LocationError(f"{location!r} needs a package that is not installed: {error}{extra}") from error
        except ValueError as error:
            raise LocationError(f"{location!r}: {error}") from error

    def path(self, location: str) -> str:
        """The location as its filesystem names it (without scheme where the filesystem has none)."""
        return location if is_local(location) else str(self.filesystem(location)._strip_protocol(location))  # noqa: SLF001 - the documented way

    def locate(self, path: str, like: str) -> str:
        """The normal location of a filesystem's own `path`, on the filesystem of `like`."""
        if is_local(like):
            return path
        return path if "://" in path else f"{scheme_of(like)}://{path}"

    def open(self, location: str, mode: str = "rb") -> Any:
        """An open binary file; `wb` creates missing folders."""
        filesystem = self.filesystem(location)
        if "w" in mode and is_local(location):
            Path(location).parent.mkdir(parents=True, exist_ok=True)
        return filesystem.open(self.path(location), mode)

    def read_bytes(self, location: str) -> bytes:
        """The content of a file."""
        data = self.filesystem(location).cat_file(self.path(location))
        return bytes(data)

    def write_bytes(self, location: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write a whole file, atomically: a reader sees all of it or nothing.

        Args:
            location: where.
            data: the content.
            exclusive: fail when the file exists. Of several writers at once exactly one succeeds.

        Raises:
            FileExistsError: `exclusive`, and the file is there already.
        """
        if is_local(location):
            _write_local(Path(location), data, exclusive=exclusive)
            return
        filesystem = self.filesystem(location)
        filesystem.pipe_file(self.path(location), data, mode="create" if exclusive else "overwrite")

    def exists(self, location: str) -> bool:
        """Whether a file (or folder) is there, as the storage says now, not as a cache remembers."""
        filesystem = self.filesystem(location)
        filesystem.invalidate_cache()
        return bool(filesystem.exists(self.path(location)))

    def info(self, location: str) -> FileInfo:
        """Size and version of one file."""
        filesystem = self.filesystem(location)
        filesystem.invalidate_cache()
        return self._info(filesystem.info(self.path(location)), location)

    def list(self, location: str) -> Iterator[FileInfo]:
        """All files below a location, at any depth, in the order of their paths; none when there is nothing."""
        if is_local(location):
            yield from _list_local(location)
            return
        filesystem = self.filesystem(location)
        filesystem.invalidate_cache()
        try:
            found = filesystem.find(self.path(location), detail=True)
        except FileNotFoundError:
            return
        for path in sorted(found):
            if found[path]["type"] == "file":
                yield self._info(found[path], location)

    def children(self, location: str) -> "builtins.list[str]":
        """The names directly below a folder, in order; none when it is not there."""
        if is_local(location):
            try:
                return sorted(os.listdir(location))  # noqa: PTH208 - names, not paths
            except (FileNotFoundError, NotADirectoryError):
                return []
        filesystem = self.filesystem(location)
        filesystem.invalidate_cache()
        try:
            found = filesystem.ls(self.path(location), detail=False)
        except FileNotFoundError:
            return []
        return sorted({str(path).rstrip("/").rpartition("/")[2] for path in found} - {""})

    def delete(self, location: str) -> None:
        """Remove one file; nothing happens when it is not there."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem(location).rm_file(self.path(location))

    def delete_tree(self, location: str) -> None:
        """Remove a folder and all below it; nothing happens when it is not there."""
        filesystem = self.filesystem(location)
        filesystem.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            filesystem.rm(self.path(location), recursive=True)

    def move(self, source: str, target: str) -> None:
        """Move one file within one filesystem, replacing the target; atomic on a local disk.

        Raises:
            FileNotFoundError: the source is not there.
        """
        if is_local(source):
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            Path(source).replace(target)
            return
        filesystem = self.filesystem(source)
        filesystem.cp_file(self.path(source), self.path(target))
        filesystem.rm_file(self.path(source))

    def _info(self, info: Mapping[str, Any], like: str) -> FileInfo:
        location = self.locate(str(info["name"]), like)
        version = str(os.stat(location).st_mtime_ns) if is_local(location) else _version(info)  # noqa: PTH116 - one call, hot
        return FileInfo(location, int(info.get("size") or 0), version)


def _write_local(path: Path, data: bytes, *, exclusive: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _list_local(location: str) -> Iterator[FileInfo]:
    if os.path.isfile(location):  # noqa: PTH113 - text in, text out
        status = os.stat(location)  # noqa: PTH116
        yield FileInfo(location, status.st_size, str(status.st_mtime_ns))
        return
    try:
        entries = sorted(os.scandir(location), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir():
            yield from _list_local(entry.path)
        elif entry.is_file():
            status = entry.stat()
            yield FileInfo(entry.path, status.st_size, str(status.st_mtime_ns))
