"""What a server prints: a file that is bounded in size and never holds the key, and its reading."""

import contextlib
import sys
from collections import deque
from pathlib import Path
from typing import BinaryIO

from gristmill.storage.location import is_local, join
from gristmill.storage.storage import Storage

__all__ = ["LOG", "LogTail", "ServerLog", "copy_logs", "read_logs"]

LOG = "server.log"
_EARLIER = "server.0.log"
"""What was written before the newest file was begun; it sorts first."""

_LARGEST = 32 * 1024**2
_AT_ONCE = 1024**2
_TAIL_LINES = 40
_LONGEST_LINE = 64 * 1024


class ServerLog:
    """Writes lines to `<folder>/server.log`; of more than 64 MiB the earliest are dropped.

    Args:
        folder: on this machine; it is made.
        secret: what is replaced by `***` wherever it stands.
        largest: bytes of one of two files.
        echo: print each line too, for a cluster that keeps what its jobs print.
    """

    def __init__(self, folder: Path, *, secret: str | None, largest: int = _LARGEST, echo: bool = False) -> None:
        self._folder = folder
        self._secret = None if secret is None else secret.encode()
        self._echo = echo
        self._largest = largest
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / LOG).open("ab", buffering=0)

    def pump(self, source: BinaryIO) -> None:
        """Write all that comes from a pipe, until it is closed at its other end."""
        begun = b""  # of a line that is read in pieces: what may be the beginning of the secret
        while piece := source.readline(_LONGEST_LINE):
            line = self._redacted(begun + piece)
            kept = 0 if line.endswith(b"\n") or self._secret is None else len(self._secret) - 1
            end = max(0, len(line) - kept)
            begun = line[end:]
            self.write(line[:end])
        if begun:
            self.write(begun)

    def write(self, line: bytes) -> None:
        """Write one line; a disk that is full loses it, and the server goes on."""
        line = self._redacted(line)
        if self._echo:
            sys.stdout.write(line.decode(errors="replace"))
            sys.stdout.flush()
        self._tail.append(line.decode(errors="replace").rstrip())
        with contextlib.suppress(OSError):
            self._file.write(line)
            if self._file.tell() > self._largest:
                (self._folder / LOG).replace(self._folder / _EARLIER)
                self._file.close()
                self._file = (self._folder / LOG).open("ab", buffering=0)

    def _redacted(self, line: bytes) -> bytes:
        return line if self._secret is None else line.replace(self._secret, b"***")

    def reason(self) -> str:
        """The last line that tells of an error; empty when none does."""
        return next((line.strip() for line in reversed(self._tail) if "rror" in line), "")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_logs(storage: Storage, folder: str) -> str:
    """All that stands in a folder of logs; empty where there are none."""
    texts = []
    for name in (_EARLIER, LOG):
        with contextlib.suppress(FileNotFoundError):
            texts.append(storage.read_bytes(join(folder, name)).decode(errors="replace"))
    return "".join(texts)


class LogTail:
    """What a server prints, from the beginning of its newest file on, without reading anything twice.

    Args:
        storage: where.
        folder: of the logs.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._place = join(folder, LOG)
        self._offset = 0
        self._half = b""

    def lines(self) -> list[str]:
        """The whole lines since the last call, a megabyte of them at most."""
        try:
            size = self._storage.info(self._place).size
            if size < self._offset:  # a new file was begun
                self._offset, self._half = 0, b""
            if size == self._offset:
                return []
            with self._storage.open(self._place) as file:
                file.seek(self._offset)
                data: bytes = file.read(_AT_ONCE)
        except FileNotFoundError:
            return []
        self._offset += len(data)
        whole, _, self._half = (self._half + data).rpartition(b"\n")
        return whole.decode(errors="replace").splitlines()


def copy_logs(storage: Storage, source: Path, folder: str) -> None:
    """Bring the newest file of a folder of this machine to a record's own, where that is elsewhere."""
    if not is_local(folder):
        storage.write_bytes(join(folder, LOG), (source / LOG).read_bytes())
