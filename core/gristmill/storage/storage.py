"""`Storage`: every file operation of the product, on any fsspec filesystem."""

import builtins
import contextlib
import errno
import io
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from gristmill.errors import LocationError
from gristmill.settings import Settings
from gristmill.storage.info import FileInfo
from gristmill.storage.local import delete_local_tree, list_local, list_local_folder, write_local
from gristmill.storage.location import is_local, normalize, scheme_of

__all__ = ["FileInfo", "Storage"]  # FileInfo: what its listings hold

_OBJECT_STORES = frozenset({"abfs", "abfss", "az", "gs", "s3"})
"""Schemes without real folders, whose fsspec filesystems create exclusively on the server."""

_EXISTS = frozenset({"412", "PreconditionFailed", "ResourceExistsError"})
_MAGIC = frozenset("*?[")
_STREAM_BLOCK = 16 * 1024**2
_MEMORY = threading.Lock()


def _version(info: Mapping[str, Any]) -> str:
    for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created"):
        if value := info.get(key):
            # Some filesystems give a listed time as a number and a single file's as a datetime.
            return str(value.timestamp() if isinstance(value, datetime) else value).strip('"')
    return ""


class Storage:
    """File operations by location.

    Locations given to every method but `resolve` are in normal form (see `gristmill.storage.location`). Missing files
    raise `FileNotFoundError`, as fsspec does. Holds nothing but the settings, so it may be pickled, forked and
    shared by threads; answers come from the storage, never from a cached listing.

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
            LocationError: the scheme is not known, its package is not installed, or its storage options do not fit.
        """
        scheme = scheme_of(location)
        options = dict(self.settings.storage_options.get(scheme, {}))
        if scheme == "file":
            return LocalFileSystem(**options)
        if scheme in _OBJECT_STORES:
            options.setdefault("use_listings_cache", False)
        try:
            return fsspec.filesystem(scheme, **options)
        except ImportError as error:
            extra = " (pip install 'gristmill[s3]')" if scheme == "s3" else ""
            raise LocationError(f"{location!r} needs a package that is not installed: {error}{extra}") from error
        except TypeError as error:
            names = ", ".join(sorted(options))
            raise LocationError(f"{location!r}: storage_options.{scheme} do not fit its filesystem: {names}") from error
        except ValueError as error:
            raise LocationError(f"{location!r}: {error}") from error

    def arrow_filesystem(self, location: str) -> tuple[Any, str]:
        """The pyarrow filesystem of a location and the path on it, for readers that take them."""
        import pyarrow.fs

        from gristmill.storage.arrow import FilesystemHandler

        if is_local(location):
            return pyarrow.fs.LocalFileSystem(), location
        return pyarrow.fs.PyFileSystem(FilesystemHandler(self.filesystem(location))), self.path(location)

    def path(self, location: str) -> str:
        """The location as its filesystem names it (without scheme where the filesystem has none)."""
        return location if is_local(location) else str(self.filesystem(location)._strip_protocol(location))  # noqa: SLF001 - the documented way

    def locate(self, path: str, like: str) -> str:
        """The normal location of a filesystem's own `path`, on the filesystem of `like`."""
        if is_local(like):
            return path
        return path if "://" in path else f"{scheme_of(like)}://{path}"

    def open(self, location: str, mode: str = "rb") -> Any:
        """An open binary file; `wb` creates missing folders.

        An object store shows a file written with `wb` when it is closed, also when that is by an exception: give files
        names that only a later commit makes known.
        """
        if is_local(location):
            if "r" not in mode:
                Path(location).parent.mkdir(parents=True, exist_ok=True)
            return open(location, mode)  # noqa: PTH123 - the caller's to close; text in
        if scheme_of(location) == "memory" and mode == "rb":
            return io.BytesIO(self.read_bytes(location))  # fsspec hands every reader the same file object
        blocks = {"block_size": _STREAM_BLOCK} if scheme_of(location) in _OBJECT_STORES else {}
        return self.filesystem(location).open(self.path(location), mode, **blocks)

    def read_bytes(self, location: str) -> bytes:
        """The content of a file."""
        if is_local(location):
            return Path(location).read_bytes()
        return bytes(self.filesystem(location).cat_file(self.path(location)))

    def write_bytes(self, location: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write a whole file, atomically: a reader sees all of it or nothing.

        Args:
            location: where.
            data: the content.
            exclusive: fail when the file exists. Of several writers at once exactly one succeeds.

        Raises:
            FileExistsError: `exclusive`, and the file is there already.
            LocationError: `exclusive`, and the filesystem cannot promise it.
        """
        if is_local(location):
            write_local(Path(location), data, exclusive=exclusive)
        elif not exclusive:
            self.filesystem(location).pipe_file(self.path(location), data)
        elif scheme_of(location) == "memory":
            with _MEMORY:
                self.filesystem(location).pipe_file(self.path(location), data, mode="create")
        elif scheme_of(location) in _OBJECT_STORES:
            self._create(location, data)
        else:
            raise LocationError(
                f"{location!r}: {scheme_of(location)}:// cannot create a file exclusively, which keeps two jobs apart; "
                "use a local disk, s3://, gs:// or az://"
            )

    def exists(self, location: str) -> bool:
        """Whether a file or folder is there."""
        if is_local(location):
            return os.path.exists(location)  # noqa: PTH110 - text in
        filesystem = self.filesystem(location)
        filesystem.invalidate_cache()
        return bool(filesystem.exists(self.path(location)))

    def info(self, location: str) -> FileInfo:
        """Size and version of one file."""
        if is_local(location):
            status = os.stat(location)  # noqa: PTH116 - one call, hot
            return FileInfo(location, status.st_size, str(status.st_mtime_ns))
        filesystem = self.filesystem(location)
        filesystem.invalidate_cache()
        return self._info(filesystem.info(self.path(location)), scheme_of(location))

    def children(self, location: str) -> "builtins.list[str]":
        """The names directly below a folder, in order; none when it is not there."""
        if is_local(location):
            try:
                return sorted(os.listdir(location))  # noqa: PTH208 - names, not paths
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(entry.rpartition("/")[2] for entry in self._entries(location))

    def entries(self, location: str) -> "tuple[builtins.list[str], builtins.list[FileInfo]]":
        """The folders and the files directly below a folder, each in order; none when it is not there."""
        if is_local(location):
            return list_local_folder(location)
        found = self._entries(location)
        scheme = scheme_of(location)
        folders = [path for path in found if found[path]["type"] == "directory"]
        files = [self._info(found[path], scheme) for path in found if found[path]["type"] == "file"]
        return [self.locate(path, location) for path in folders], files

    def list(self, location: str) -> Iterator[FileInfo]:
        """All files below a location, at any depth, in the order of their paths; none when there is nothing."""
        if is_local(location):
            yield from list_local(location)
            return
        found = self._find(location)
        scheme = scheme_of(location)
        for path in sorted(found):
            if found[path]["type"] == "file":
                yield self._info(found[path], scheme)

    def delete(self, location: str) -> None:
        """Remove one file; nothing happens when it is not there."""
        with contextlib.suppress(FileNotFoundError):
            if is_local(location):
                os.unlink(location)  # noqa: PTH108 - text in
            else:
                self.filesystem(location).rm_file(self.path(location))

    def delete_tree(self, location: str) -> None:
        """Remove a folder and all below it; nothing happens when it is not there. Links are removed, not followed.

        Raises:
            OSError: something could not be removed.
        """
        if is_local(location):
            delete_local_tree(location)
            return
        filesystem = self.filesystem(location)
        folders = scheme_of(location) not in _OBJECT_STORES
        for last in (False, True):
            found = self._find(location, folders=folders)
            files = [path for path, info in found.items() if info["type"] == "file"]
            # Given a list, fsspec removes many at a time, but takes names for patterns and, on S3, drops the errors.
            plain = [path for path in files if not last and _MAGIC.isdisjoint(path)]
            if plain:
                filesystem.rm(plain)
            for path in files if last else set(files).difference(plain):
                with contextlib.suppress(FileNotFoundError):
                    filesystem.rm_file(path)
        for path in sorted(self._find(location, folders=True), reverse=True) if folders else ():
            with contextlib.suppress(FileNotFoundError, OSError):
                filesystem.rmdir(path)
        if left := [info for info in self._find(location).values() if info["type"] == "file"]:
            raise OSError(
                errno.ENOTEMPTY, f"{len(left)} files could not be removed, such as {left[0]['name']}", location
            )

    def move(self, source: str, target: str) -> None:
        """Move one file within one filesystem, replacing the target; atomic on a local disk, server-side on S3.

        Raises:
            FileNotFoundError: the source is not there.
        """
        if is_local(source):
            try:
                os.replace(source, target)  # noqa: PTH105 - hot: once for each part of an output
            except FileNotFoundError:
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                os.replace(source, target)  # noqa: PTH105
            return
        filesystem = self.filesystem(source)
        filesystem.cp_file(self.path(source), self.path(target))
        filesystem.rm_file(self.path(source))

    def _find(self, location: str, *, folders: bool = False) -> dict[str, Any]:
        filesystem = self.filesystem(location)
        filesystem.invalidate_cache()
        try:
            return dict(filesystem.find(self.path(location), detail=True, withdirs=folders))
        except FileNotFoundError:
            return {}

    def _entries(self, location: str) -> dict[str, Any]:
        filesystem = self.filesystem(location)
        filesystem.invalidate_cache()
        own = self.path(location).strip("/")
        try:
            found = filesystem.ls(self.path(location), detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        # A file is listed as the only thing in itself, and an object store's folder may hold a marker of its own name.
        entries = {str(entry["name"]).rstrip("/"): entry for entry in found}
        return {path: entries[path] for path in sorted(entries) if path.strip("/") != own}

    def _info(self, info: Mapping[str, Any], scheme: str) -> FileInfo:
        name = str(info["name"])
        return FileInfo(name if "://" in name else f"{scheme}://{name}", int(info.get("size") or 0), _version(info))

    def _create(self, location: str, data: bytes) -> None:
        """Exclusive creation on an object store, by a condition that the store checks."""
        filesystem = self.filesystem(location)
        # A request may be done and its answer lost; the client's retry then fails on our own object. The mark tells.
        mark = secrets.token_hex(16)
        marked = scheme_of(location) == "s3"
        options: dict[str, Any] = {"mode": "create"} if scheme_of(location) in ("gs", "s3") else {"overwrite": False}
        if marked:
            options["Metadata"] = {"gristmill-writer": mark}
        for last in (False, False, False, True):
            try:
                filesystem.pipe_file(self.path(location), data, **options)
            except Exception as error:
                code = _store_code(error)
                if code in ("ConditionalRequestConflict", "409", "OperationAborted") and not last:
                    continue
                if not isinstance(error, FileExistsError) and code not in _EXISTS:
                    raise
                if marked and filesystem.metadata(self.path(location)).get("gristmill-writer") == mark:
                    return
                raise FileExistsError(errno.EEXIST, "the file exists already", location) from error
            return


def _store_code(error: BaseException) -> str:
    """The object store's own word behind an fsspec error: botocore's code, gcsfs's status, or azure's class."""
    response = getattr(error.__cause__, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    status = getattr(error, "code", None)
    return type(error).__name__ if status is None else str(status)
