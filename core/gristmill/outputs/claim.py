"""`OutputClaim`: one job's right to an output location."""

import os
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from gristmill.errors import ConflictError
from gristmill.outputs.journal import clean_up, roll_forward, staging_in
from gristmill.outputs.log import ClaimEntry, OutputLog, now
from gristmill.outputs.manifest import Manifest
from gristmill.outputs.sentinel import read_sentinel, restore, settled
from gristmill.storage.storage import Storage

__all__ = ["ClaimEntry", "OutputClaim", "claim_location"]

_TRIES = 100


@dataclass(frozen=True, slots=True)
class OutputClaim:
    """A job's right to an output location, until it publishes, releases it, or another takes over.

    Attributes:
        location: the output location.
        entry: the claim in the location's log; it was not written when `published` is set.
        published: the manifest, where this job had published already and nothing is left to do.
    """

    storage: Storage
    location: str
    entry: ClaimEntry
    published: Manifest | None = None

    def assert_held(self) -> None:
        """Check that the location is still ours.

        Raises:
            ConflictError: another runner or job has taken over.
        """
        self._check(self.entry.number)

    def begin(self, lines: Iterable[bytes], *, target: bytes) -> ClaimEntry:
        """Put a publication into the log, the point of no return: whoever comes next will finish it.

        Args:
            lines: the journal.
            target: the `_SUCCESS` it leads to.

        Raises:
            ConflictError: another runner or job has taken over; nothing has begun.
        """
        self.assert_held()
        entry = replace(
            self.entry, number=self.entry.number + 1, kind="publish", time=now(), token=secrets.token_hex(8)
        )
        log = OutputLog(self.storage, self.location)
        if not log.create(entry, lines):
            raise self._fenced()
        try:
            self._check(entry.number)
        except ConflictError:
            if read_sentinel(self.storage, self.location) == target:
                return entry  # another runner has finished it meanwhile
            log.remove([entry.number])
            raise
        return entry

    def release(self) -> None:
        """Let the location go, for another job; nothing happens when it is not held any more."""
        try:
            self.assert_held()
        except ConflictError:
            return
        log = OutputLog(self.storage, self.location)
        number = self.entry.number + 1
        if log.create(replace(self.entry, number=number, kind="released", time=now(), token=secrets.token_hex(8))):
            log.remove([self.entry.number])

    def _check(self, top: int) -> None:
        # The log is read before `_SUCCESS`: an entry goes only once `_SUCCESS` has a number as high.
        log = OutputLog(self.storage, self.location)
        numbers = log.numbers()
        mine = log.read(self.entry.number)
        manifest = settled(read_sentinel(self.storage, self.location))
        if (
            not numbers
            or numbers[-1] != top
            or mine is None
            or mine.token != self.entry.token
            or (manifest is not None and manifest.generation >= self.entry.number)
        ):
            raise self._fenced()

    def _fenced(self) -> ConflictError:
        log = OutputLog(self.storage, self.location)
        numbers = log.numbers()
        last = log.read(numbers[-1]) if numbers and numbers[-1] != self.entry.number else None
        manifest = settled(read_sentinel(self.storage, self.location))
        if last is not None:
            other = f"job {last.job!r} ({last.owner}, generation {last.generation})"
        elif manifest is not None:
            other = f"job {manifest.job!r}, which has published there,"
        else:
            other = "another runner"
        return ConflictError(
            f"job {self.entry.job!r} (generation {self.entry.generation}) no longer holds {self.location!r}: "
            f"{other} has taken over"
        )


def claim_location(
    storage: Storage,
    location: str,
    *,
    job: str,
    generation: int,
    home: str,
    is_live: Callable[[ClaimEntry], bool],
    owner: str | None = None,
) -> OutputClaim:
    """Claim an output location for a job, finishing first what a dead runner was publishing there.

    Args:
        storage: where.
        location: the output location.
        job: the job's id.
        generation: the runner's; a claim of the same job with a lower one is taken over without asking.
        home: where the job's record lives.
        is_live: whether the runner behind another's entry is alive.
        owner: the runner, for people; its host and process where not given.

    Returns:
        The claim. Its `published` is set, and nothing was claimed, when this job's output stands there already.

    Raises:
        ConflictError: a live runner of this or another job holds the location.
    """
    log = OutputLog(storage, location)
    who = f"process {os.getpid()} on {socket.gethostname()}" if owner is None else owner
    for _ in range(_TRIES):
        numbers = log.numbers()
        sentinel = read_sentinel(storage, location)
        manifest = settled(sentinel)
        floor = manifest.generation if manifest is not None else 0
        entry = ClaimEntry(
            max([floor, *numbers[-1:]]) + 1, "claim", job, generation, home, who, now(), secrets.token_hex(8)
        )
        last = None
        if numbers and numbers[-1] > floor and (last := log.read(numbers[-1])) is None:
            continue
        if last is not None and last.kind == "publish":
            if _holds(last, job=job, generation=generation, is_live=is_live):
                raise _busy(last, location, "is publishing at")
            _finish(storage, location, last)
            continue
        if sentinel is None and restore(storage, location):
            continue
        if manifest is not None and sentinel is not None:
            _sweep(storage, location, log, numbers, manifest, sentinel)
            if manifest.job == job:
                return OutputClaim(storage, location, entry, published=manifest)
        if last is not None and last.kind == "claim" and _holds(last, job=job, generation=generation, is_live=is_live):
            raise _busy(last, location, "holds")
        if not log.create(entry):
            continue
        claim = OutputClaim(storage, location, entry)
        try:
            claim.assert_held()
        except ConflictError:
            log.remove([entry.number])
            continue
        log.remove(numbers)
        return claim
    raise ConflictError(f"{location!r} is claimed by others again and again; try later")


def _busy(last: ClaimEntry, location: str, doing: str) -> ConflictError:
    return ConflictError(
        f"job {last.job!r} ({last.owner}, generation {last.generation}, since {last.time}) {doing} {location!r}; "
        "wait for it or cancel it, or choose another output location"
    )


def _holds(last: ClaimEntry, *, job: str, generation: int, is_live: Callable[[ClaimEntry], bool]) -> bool:
    if last.job == job and last.generation != generation:
        return last.generation > generation
    return is_live(last)


def _finish(storage: Storage, location: str, entry: ClaimEntry) -> None:
    try:
        roll_forward(storage, location, entry)
    except ConflictError:
        return  # another process has finished it, or begun the next; look again


def _sweep(
    storage: Storage, location: str, log: OutputLog, numbers: list[int], manifest: Manifest, sentinel: bytes
) -> None:
    """Remove what a publication left that was killed while it cleaned up."""
    entry = log.read(manifest.generation) if manifest.generation in numbers else None
    if entry is not None and entry.kind == "publish" and entry.job == manifest.job:
        try:
            staging = staging_in(log.journal(entry.number))
        except FileNotFoundError:
            return  # swept by another
        clean_up(storage, location, staging, manifest.generation, sentinel)
    log.remove(number for number in numbers if number <= manifest.generation)
