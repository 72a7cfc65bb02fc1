"""Following what a job prints, without reading anything twice."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gristmill.jobs.logs import instances
from gristmill.jobs.record import RunRecord
from gristmill.storage.failure import may_pass
from gristmill.storage.location import join

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job

__all__ = ["LogTail"]

_AT_ONCE = 1024**2
"""Bytes of one instance that one call reads; the rest comes with the next."""

_LONGEST = 64 * 1024
"""Bytes of a line that is not finished, after which it is told in pieces."""


@dataclass(slots=True)
class _Place:
    """How far an instance's log was read.

    Attributes:
        name: the file; empty before the first.
        offset: bytes of it that were read.
        half: the beginning of a line that is not finished.
    """

    name: str = ""
    offset: int = 0
    half: bytes = b""


class LogTail:
    """What a job's newest run prints, from its beginning on.

    It holds a place in each instance's log and at most a megabyte of text for each.

    Args:
        job: the job; it may be started again meanwhile.

    Example:
        >>> job = gristmill.run_batch(
        ...     "echo:",
        ...     pa.table({"x": [1, 2]}),
        ...     compute_pool="inline",
        ...     output_spec=gristmill.OutputSpec(location="memory://tail-of-an-example", mode="overwrite"),
        ...     settings=gristmill.Settings(home="memory://home"),
        ... )
        >>> tail = LogTail(job)
        >>> _ = job.wait()
        >>> [line[-12:] for line in tail.lines()], tail.lines()
        (['DONE: 2 rows'], [])
    """

    def __init__(self, job: "Job") -> None:
        self._record = job.record
        self._run: RunRecord | None = None
        self._places: dict[str, _Place] = {}

    def lines(self, *, last: bool = False) -> list[str]:
        """The whole lines since the last call, each with its instance, as `get_logs(verbose=True)` has them.

        Nothing is told while the record cannot be read for a moment; it is then told by a later call. When a newer run
        has begun, the rest of the one before comes first.

        Args:
            last: the job has ended; also tell a line that is not finished. Call until nothing comes.

        Raises:
            OSError: the logs cannot be read, and another try is no use.
        """
        found: list[str] = []
        try:
            self._collect(found, last=last)
        except FileNotFoundError:
            pass  # the job is being deleted
        except OSError as error:
            if not may_pass(error):
                raise
        return found

    def _collect(self, found: list[str], *, last: bool) -> None:
        newest = self._record.latest()
        if self._run is not None and newest is not None and newest.generation > self._run.generation:
            self._read_all(self._run, found, last=True)
            if found:
                return
            self._run, self._places = None, {}
        if self._run is None:
            self._run = newest
        if self._run is not None:
            self._read_all(self._run, found, last=last)

    def _read_all(self, run: RunRecord, found: list[str], *, last: bool) -> None:
        names = [name for name in run.storage.children(run.logs) if name.endswith(".log")]
        for instance in instances(run.storage, run.logs):
            place = self._places.setdefault(instance, _Place())
            own = [name for name in names if name.split(".", 1)[0] == instance]
            found += [f"[{instance}] {line}" for line in self._read(run, place, own, last=last)]

    def _read(self, run: RunRecord, place: _Place, names: list[str], *, last: bool) -> list[str]:
        """Read on in an instance's files: one that grows, or pieces of which each is whole and stays as it is."""
        data = place.half
        wanted = _AT_ONCE
        for name in names:
            if name < place.name or (name == place.name and place.offset < 0):
                continue
            offset = place.offset if name == place.name else 0
            with run.storage.open(join(run.logs, name)) as file:
                file.seek(offset)
                read = file.read(wanted)
            data += read
            wanted -= len(read)
            is_piece = name.count(".") > 1
            place.name = name
            place.offset = -1 if is_piece and wanted else offset + len(read)
            place.half = data
            if not wanted:
                break
        return _take_lines(place, last=last and bool(wanted))


def _take_lines(place: _Place, *, last: bool) -> list[str]:
    end = len(place.half) if last else place.half.rfind(b"\n") + 1
    if not end and len(place.half) > _LONGEST:
        end = len(place.half)
    whole, place.half = place.half[:end], place.half[end:]
    return whole.decode(errors="replace").splitlines()
