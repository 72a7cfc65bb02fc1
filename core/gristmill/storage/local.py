"""File operations on this machine's disks."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gristmill.storage.info import FileInfo

__all__ = ["delete_local_tree", "list_local", "list_local_folder", "write_local"]

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


def write_local(path: Path, data: bytes, *, exclusive: bool) -> None:
    """Write a whole file through a temporary one beside it, so that a reader sees all of it or nothing.

    Raises:
        FileExistsError: `exclusive`, and the file is there already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            _link(temporary, path, data)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _link(temporary: Path, path: Path, data: bytes) -> None:
    """Give the temporary file its name, unless the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        # A network disk may do the link and lose the answer; the retry then finds our own file.
        if temporary.stat().st_nlink != 2:
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with path.open("xb") as file:  # no hard links here: exclusive still, though a reader may see the start of it
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def delete_local_tree(location: str) -> None:
    """Remove a folder and all below it, or a file, or a link but not what it points to."""
    if os.path.islink(location) or not os.path.isdir(location):  # noqa: PTH112, PTH114 - text in, text out
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(location)  # noqa: PTH108
        return
    shutil.rmtree(location, onerror=_unless_gone)


def _unless_gone(function: Any, path: str, info: Any) -> None:  # noqa: ARG001 - the signature that rmtree calls
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]


def list_local_folder(location: str) -> tuple[list[str], list[FileInfo]]:
    """The folders and the files directly below a folder, each in order; none when it is not there."""
    entries = _entries(location)
    folders = [entry.path for name, entry in entries if name.endswith("/")]
    return folders, [info for name, entry in entries if not name.endswith("/") for info in _file(entry)]


def list_local(location: str) -> Iterator[FileInfo]:
    """Each file below a location, in path order; links to folders are followed, cycles not."""
    try:
        status = os.stat(location)  # noqa: PTH116 - text in, text out
    except (FileNotFoundError, NotADirectoryError):
        return
    if os.path.isfile(location):  # noqa: PTH113
        yield FileInfo(location, status.st_size, str(status.st_mtime_ns))
    elif os.path.isdir(location):  # noqa: PTH112
        yield from _walk(location, ((status.st_dev, status.st_ino),))


def _walk(folder: str, ancestors: tuple[tuple[int, int], ...]) -> Iterator[FileInfo]:
    for name, entry in _entries(folder):
        if not name.endswith("/"):
            yield from _file(entry)
            continue
        status = entry.stat()
        if (identity := (status.st_dev, status.st_ino)) not in ancestors:
            yield from _walk(entry.path, (*ancestors, identity))


def _entries(folder: str) -> "list[tuple[str, os.DirEntry[str]]]":
    """A folder's entries in order, each folder as `name/`, which gives the order of whole paths: `a-b` before `a/b`."""
    try:
        with os.scandir(folder) as found:
            entries = [(entry.name + "/" if entry.is_dir() else entry.name, entry) for entry in found]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(entries, key=lambda named: named[0])


def _file(entry: "os.DirEntry[str]") -> Iterator[FileInfo]:
    try:
        if entry.is_file():
            status = entry.stat()
            yield FileInfo(entry.path, status.st_size, str(status.st_mtime_ns))
    except FileNotFoundError:  # removed since the folder was read
        return
