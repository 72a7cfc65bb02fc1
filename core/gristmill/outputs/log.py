"""`OutputLog`: who holds an output location, and what is being published there."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from gristmill.errors import OutputError
from gristmill.outputs.layout import log_of
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["ClaimEntry", "OutputLog", "now"]

_NAME = re.compile(r"(\d{8,})\.jsonl")
_VERSION = 1
_TRIES = 20


def now() -> str:
    """The time, UTC, as ISO text with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class ClaimEntry:
    """One entry of the log.

    Attributes:
        number: its place; the highest one rules.
        kind: `claim` holds the location, `publish` is publishing there, `released` has let it go.
        job: the job.
        generation: the job's runner, counted.
        home: where the job's record lives, to ask whether it is alive.
        owner: the runner, for people: host and process.
        time: UTC, ISO.
        token: random; tells this entry from any other that ever had the number.
    """

    number: int
    kind: Literal["claim", "publish", "released"]
    job: str
    generation: int
    home: str
    owner: str
    time: str
    token: str


class OutputLog:
    """The log of an output location: numbered entries, each created by one writer only.

    An entry is a file of JSON lines: the entry itself, then, for a publication, its journal.
    """

    def __init__(self, storage: Storage, location: str) -> None:
        self._storage = storage
        self._folder = log_of(location)

    def numbers(self) -> list[int]:
        """The numbers that are there now, ascending."""
        found = []
        for info in self._storage.list(self._folder):
            match = _NAME.fullmatch(info.location.rpartition("/")[2])
            if match:
                found.append(int(match[1]))
        return sorted(found)

    def read(self, number: int) -> ClaimEntry | None:
        """An entry; None when it is gone.

        Raises:
            OutputError: it is damaged.
        """
        try:
            with self._storage.open(self._path(number), "rb") as file:
                line = file.readline()
        except FileNotFoundError:
            return None
        return self._entry(number, line)

    def journal(self, number: int) -> Iterator[bytes]:
        """The lines that follow an entry.

        Raises:
            FileNotFoundError: the entry is gone.
        """
        data = self._storage.read_bytes(self._path(number))
        at = data.find(b"\n") + 1
        while at < len(data):
            end = data.find(b"\n", at)
            yield data[at:end]
            at = end + 1

    def create(self, entry: ClaimEntry, lines: Iterable[bytes] = ()) -> bool:
        """Add an entry, unless another writer has its number: then False."""
        head = json.dumps({"version": _VERSION, **asdict(entry)}).encode()
        data = b"".join((head, b"\n", *(line + b"\n" for line in lines)))
        for _ in range(_TRIES):
            try:
                self._storage.write_bytes(self._path(entry.number), data, exclusive=True)
            except FileExistsError:
                return False
            except FileNotFoundError:
                continue  # the folder was empty, and whoever finished before us has just removed it
            return True
        raise OutputError(f"{self._folder!r} vanishes while it is being written to; something else removes it")

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove entries."""
        for number in numbers:
            self._storage.delete(self._path(number))

    def _path(self, number: int) -> str:
        return join(self._folder, f"{number:08d}.jsonl")

    def _entry(self, number: int, line: bytes) -> ClaimEntry:
        try:
            fields = json.loads(line)
            version = fields.pop("version")
            if version != _VERSION:
                raise OutputError(f"{self._path(number)!r} has version {version}; this Gristmill reads {_VERSION}")
            return ClaimEntry(**fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(f"log entry {self._path(number)!r} is damaged: {error}; remove it by hand") from error
