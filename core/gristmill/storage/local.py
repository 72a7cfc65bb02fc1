"""File operations on this machine's disks."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["delete_local_tree", "list_local", "write_local"]

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


def list_local(location: str) -> Iterator[tuple[str, int, str]]:
    """Path, bytes and version of each file below a location, in path order; links to folders are followed, cycles not.

    The version is the modification time in nanoseconds.
    """
    try:
        status = os.stat(location)  # noqa: PTH116 - text in, text out
    except (FileNotFoundError, NotADirectoryError):
        return
    if os.path.isfile(location):  # noqa: PTH113
        yield location, status.st_size, str(status.st_mtime_ns)
    elif os.path.isdir(location):  # noqa: PTH112
        yield from _walk(location, ((status.st_dev, status.st_ino),))


def _walk(folder: str, ancestors: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, int, str]]:
    try:
        with os.scandir(folder) as found:
            # A folder sorts as "name/", which gives the order of whole paths: "a-b" comes before "a/b".
            entries = sorted((entry.name + "/" if entry.is_dir() else entry.name, entry) for entry in found)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, entry in entries:
        if name.endswith("/"):
            status = entry.stat()
            if (identity := (status.st_dev, status.st_ino)) not in ancestors:
                yield from _walk(entry.path, (*ancestors, identity))
            continue
        try:
            if not entry.is_file():
                continue
            status = entry.stat()
        except FileNotFoundError:  # removed since the folder was read
            continue
        yield entry.path, status.st_size, str(status.st_mtime_ns)
