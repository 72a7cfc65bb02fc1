"""`FollowedJob`: a job that a step waits for, with what it says and prints."""

import sys
from typing import TYPE_CHECKING

from gristmill.jobs.watch import Watch, observe

if TYPE_CHECKING:
    import logging

    from gristmill.jobs.handle import Job

__all__ = ["FollowedJob"]


class FollowedJob:
    """Progress goes to Dagster's log, what the job prints to the step's output, where `stdout` shows it.

    Args:
        job: the job.
        label: what its lines begin with, to tell it from others; may be empty.
        log: Dagster's.
        now: seconds of the clock that `look` is given too.
        log_interval: seconds between lines of progress.
        poll_interval: seconds between two looks at most.
        prints: whether to forward what it prints; that of a job which was done before has been told.
    """

    def __init__(
        self,
        job: "Job",
        *,
        label: str,
        log: "logging.Logger",
        now: float,
        log_interval: float,
        poll_interval: float,
        prints: bool = True,
    ) -> None:
        from gristmill.jobs.tail import LogTail

        self.job = job
        self._label = label
        self._log = log
        self._watch = Watch(began=now, say_every=log_interval, longest_pause=poll_interval)
        self._tail = LogTail(job) if prints else None

    def look(self, now: float) -> bool:
        """Look once more; whether the job has ended.

        Raises:
            Exception: the job's record cannot be read, and has not been for ten minutes.
        """
        self._watch = observe(self._watch, self.job, now=now)
        if self._watch.due is not None:
            self._log.info("%s%s", self._label, self._watch.due)
        self._forward()
        return self._watch.has_ended

    def _forward(self) -> None:
        if self._tail is None:
            return
        try:
            self._print(self._tail.lines())
            while self._watch.has_ended and (lines := self._tail.lines(last=True)):
                self._print(lines)
        except Exception as error:  # noqa: BLE001 - each storage has errors of its own, and logs are no reason to fail
            self._tail = None
            self._log.warning("%swhat job %s prints cannot be read: %s", self._label, self.job.id, error)

    def _print(self, lines: list[str]) -> None:
        if lines:
            sys.stdout.write("".join(f"{self._label}{line}\n" for line in lines))
            sys.stdout.flush()

    def pause(self, now: float) -> float:
        """Seconds until the next look."""
        return self._watch.pause(now)
