"""Writing a run's logs next to its record, on storage that may know no appending."""

import threading
from datetime import UTC, datetime
from pathlib import Path

from gristmill.storage.location import is_local, join
from gristmill.storage.storage import Storage

__all__ = ["RUNNER", "LogWriter"]

RUNNER = "runner"
"""The instance name of the runner itself; workers are `worker-0`, `worker-1`, ..."""

_MOST_PENDING = 8 * 1024**2
"""Characters that are kept for one instance between two flushes."""


class LogWriter:
    """Collects text by instance; `flush` appends it to `<folder>/<instance>.log`, or adds numbered pieces beside it.

    Of an instance that prints more than 8 Mi characters between two flushes the rest is dropped, and the log says so.

    Args:
        storage: where.
        folder: the run's log folder.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._folder = folder
        self._lock = threading.Lock()
        self._pending: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}
        self._pieces: dict[str, int] = {}

    def write(self, instance: str, text: str) -> None:
        """Keep some text for the next flush."""
        with self._lock:
            size = self._sizes[instance] = self._sizes.get(instance, 0) + len(text)
            if size > _MOST_PENDING:
                return
            self._pending.setdefault(instance, []).append(text)

    def note(self, text: str) -> None:
        """A line of the runner's own, with the time (UTC)."""
        self.write(RUNNER, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")

    def flush(self) -> None:
        """Make everything kept so far readable."""
        with self._lock:
            pending, self._pending = self._pending, {}
            sizes, self._sizes = self._sizes, {}
            for instance, texts in pending.items():
                text = "".join(texts)
                if dropped := sizes[instance] - len(text):
                    text += f"\n[{dropped} characters dropped: more than the log takes at once]\n"
                data = text.encode(errors="replace")
                if is_local(self._folder):
                    path = Path(self._folder) / f"{instance}.log"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("ab") as file:
                        file.write(data)
                else:
                    piece = self._pieces[instance] = self._pieces.get(instance, 0) + 1
                    self._storage.write_bytes(join(self._folder, f"{instance}.{piece:06d}.log"), data)
