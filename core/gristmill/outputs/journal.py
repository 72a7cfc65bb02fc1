"""A publication as data, and rolling it forward: every step may be repeated, by anyone, at any time."""

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from gristmill.errors import ConflictError, OutputError
from gristmill.outputs.layout import SENTINEL, is_stray, log_of, parts_of, private_of, staging_of
from gristmill.outputs.log import ClaimEntry, OutputLog
from gristmill.outputs.manifest import Manifest, with_files
from gristmill.outputs.sentinel import digest, drop_retired, read_sentinel, retire
from gristmill.storage.location import is_local, join
from gristmill.storage.storage import Storage

__all__ = ["Journal", "Move", "clean_up", "roll_forward", "staging_in"]

_T = TypeVar("_T")
_THREADS = 16
_CHUNK = 1024
_TRIES = 20

Move = tuple[str, str, int, int]
"""A part: its name in staging, its final name, its rows, its bytes."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What a publication does.

    Attributes:
        head: JSON of the manifest's fields, `files` left out.
        staging: the folder of the job's work in progress, within Gristmill's own folder at the location.
        replaces: digest of the `_SUCCESS` that is there before; None when there is none.
        moves: the parts, in order.
        removals: the files of the old output, relative to the location.
    """

    head: str
    staging: str
    replaces: str | None
    moves: Sequence[Move]
    removals: Sequence[str]

    def lines(self) -> Iterator[bytes]:
        """The journal as lines for the log."""
        yield json.dumps({"manifest": self.head, "staging": self.staging, "replaces": self.replaces}).encode()
        for move in self.moves:
            yield json.dumps(["move", *move]).encode()
        for path in self.removals:
            yield json.dumps(["remove", path]).encode()

    @classmethod
    def read(cls, lines: Iterable[bytes], *, where: str) -> "Journal":
        """The journal in a log entry's lines.

        Raises:
            OutputError: it is damaged.
        """
        moves: list[Move] = []
        removals: list[str] = []
        try:
            rows = iter(lines)
            first = json.loads(next(rows))
            for line in rows:
                kind, *values = json.loads(line)
                if kind == "move":
                    staged, final, count, size = values
                    moves.append((staged, final, count, size))
                else:
                    removals.append(values[0])
            return cls(first["manifest"], first["staging"], first["replaces"], moves, removals)
        except (ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
            raise OutputError(f"the journal in {where!r} is damaged: {error!r}") from error

    def sentinel(self) -> bytes:
        """What `_SUCCESS` will hold; the same bytes whoever asks."""
        return with_files(self.head, ((final, rows, size) for _, final, rows, size in self.moves))


def staging_in(lines: Iterator[bytes]) -> str:
    """The staging folder's name in a journal."""
    return str(json.loads(next(lines))["staging"])


def roll_forward(storage: Storage, location: str, entry: ClaimEntry) -> Manifest:
    """Finish a publication from its journal, wherever it stopped.

    Several processes may do this at once, and one that wakes up late does no harm: parts have names of this publication
    only, `_SUCCESS` is created exclusively and taken away only when it is the one the journal names, and before each of
    these steps the log must say that this publication still rules.

    Raises:
        ConflictError: another publication has begun since.
        OutputError: a part or the journal is missing or damaged.
    """
    log = OutputLog(storage, location)
    where = join(log_of(location), f"{entry.number:08d}.jsonl")
    try:
        journal = Journal.read(log.journal(entry.number), where=where)
    except FileNotFoundError:
        raise ConflictError(
            f"publication {entry.number} at {location!r} is over; it was finished or replaced"
        ) from None
    target = journal.sentinel()

    def is_finished() -> bool:
        return _is_finished(storage, location, log, entry, target)

    if not is_finished():
        if journal.replaces is not None:
            current = read_sentinel(storage, location)
            if current is not None and digest(current) == journal.replaces:
                retire(storage, location, expected=journal.replaces)
        _move(storage, location, journal, is_finished)
        _remove(storage, location, journal.removals, is_finished)
        _write_sentinel(storage, location, target, is_finished)
    clean_up(storage, location, journal.staging, entry.number, target)
    return Manifest.from_bytes(target, location=location)


def _is_finished(storage: Storage, location: str, log: OutputLog, entry: ClaimEntry, target: bytes) -> bool:
    """Whether `_SUCCESS` is there; False while this publication rules and is still to be finished."""
    # The log is read first: entries go only after `_SUCCESS` has come, so one of the two always tells.
    numbers = log.numbers()
    rules = bool(numbers) and numbers[-1] == entry.number
    current = log.read(entry.number) if rules else None
    if read_sentinel(storage, location) == target:
        return True
    if current is None or current.token != entry.token:
        raise ConflictError(
            f"job {entry.job!r} no longer publishes at {location!r}: "
            f"its publication {entry.number} was finished or replaced by another runner"
        )
    return False


def _each(location: str, items: Iterable[_T], action: Callable[[_T], None]) -> None:
    """Do something for each item: in order on a local disk, on an object store side by side."""
    if is_local(location):
        for item in items:
            action(item)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        rest = iter(items)
        while chunk := list(islice(rest, _CHUNK)):
            for _ in pool.map(action, chunk):
                pass


def _move(storage: Storage, location: str, journal: Journal, is_finished: Callable[[], bool]) -> None:
    folder = parts_of(staging_of(location, journal.staging))

    def move(part: Move) -> None:
        staged, final, _, size = part
        target = join(location, final)
        try:
            storage.move(join(folder, staged), target)
        except FileNotFoundError:
            # Moved already, by an earlier try or by another process at this moment.
            try:
                found = storage.info(target).size
            except FileNotFoundError:
                found = -1
            if found != size and not is_finished():
                raise OutputError(
                    f"part {staged!r} is neither in {folder!r} nor whole at {target!r}: "
                    "something else removed it; delete the job and run it again"
                ) from None

    _each(location, journal.moves, move)
    if is_local(location):
        _sync(location)


def _remove(storage: Storage, location: str, removals: Sequence[str], is_finished: Callable[[], bool]) -> None:
    rest = iter(removals)
    while chunk := list(islice(rest, _CHUNK)):
        if is_finished():
            return
        _each(location, chunk, lambda path: storage.delete(join(location, path)))
    if is_local(location):
        for path in removals:
            folder = Path(path).parent
            while folder != Path():
                if not _remove_folder(join(location, str(folder))):
                    break
                folder = folder.parent


def _write_sentinel(storage: Storage, location: str, target: bytes, is_finished: Callable[[], bool]) -> None:
    for _ in range(_TRIES):
        if is_finished():
            return
        try:
            storage.write_bytes(join(location, SENTINEL), target, exclusive=True)
        except FileExistsError:
            # If we still rule, now that its content is known, then a process that had been frozen for long, or another
            # tool, has put it there.
            current = read_sentinel(storage, location)
            if current is not None and not is_finished():
                retire(storage, location, expected=digest(current))
        except FileNotFoundError:
            continue  # the temporary file was swept by one who finished first
        else:
            return
    raise OutputError(f"{join(location, SENTINEL)!r} is written again and again by something else")


def clean_up(storage: Storage, location: str, staging: str, number: int, target: bytes) -> None:
    """Remove what a finished publication leaves: staging, log entries, empty folders.

    The entry of the publication goes last, so that a later claim finds what a killed clean-up has left.
    """
    if read_sentinel(storage, location) != target:
        return  # another publication has begun, which may be of the same job
    folder = staging_of(location, staging)
    for _ in range(_TRIES):
        try:
            storage.delete_tree(folder)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:  # a worker that was thought dead writes there, or another cleans up too
                raise
        if not storage.exists(folder):
            break
    if is_local(location):
        for folder in (location, log_of(location)):
            for name in storage.children(folder):
                if is_stray(name):
                    storage.delete(join(folder, name))
    drop_retired(storage, location)
    log = OutputLog(storage, location)
    log.remove(old for old in log.numbers() if old <= number)
    if is_local(location):
        _remove_folder(log_of(location))
        _remove_folder(private_of(location))


def _remove_folder(path: str) -> bool:
    """Remove a local folder if it is empty; whether it is gone."""
    try:
        Path(path).rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        return False
    return True


def _sync(folder: str) -> None:
    """Make new names in a local folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
