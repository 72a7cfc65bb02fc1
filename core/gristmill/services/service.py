"""`Service`: the hold that one has on a service."""

import contextlib
import sys
import time
from typing import Any

from gristmill.errors import AccessError, GristmillError, JobNotFoundError, ServiceFailedError
from gristmill.jobs.cluster import cluster_at
from gristmill.jobs.process import is_alive
from gristmill.services.logs import LogTail, read_logs
from gristmill.services.record import ServiceRecord, StartRecord
from gristmill.services.status import ServiceStatus

__all__ = ["Service"]

_FIRST_LOOK = 0.05
_LAST_LOOK = 0.5
_LINES = 20


class Service:
    """A service, wherever it stands; it goes on without this object.

    Args:
        record: its record.
    """

    def __init__(self, record: ServiceRecord) -> None:
        self.record = record

    def __repr__(self) -> str:
        return f"Service({self.name!r}, {self.base_url!r})"

    @property
    def name(self) -> str:
        """Its name, in lower case."""
        return self.record.name

    @property
    def status(self) -> ServiceStatus:
        """Where it stands now.

        Raises:
            ServiceNotFoundError: it was dropped.
        """
        return self.record.verdict().status

    @property
    def message(self) -> str:
        """One line about its status; empty when there is nothing to say."""
        return self.record.verdict().message

    @property
    def base_url(self) -> str:
        """The address before `/chat/completions`."""
        return self.record.base_url

    @property
    def model(self) -> str:
        """The model's reference."""
        return self.record.newest().claim().request.model

    @property
    def served_model(self) -> str:
        """What requests call the model."""
        return self.record.served_model

    @property
    def api_key(self) -> str:
        """The key that requests need, as a bearer token.

        Raises:
            AccessError: it is another machine's, or another user's.
        """
        return self.record.api_key()

    def wait(self, timeout: float = -1) -> ServiceStatus:
        """Until it answers, or has ended.

        Args:
            timeout: seconds to wait at most; -1 waits as long as it may take to start.

        Raises:
            TimeoutError: it still starts; it goes on.
            ServiceNotFoundError: it was dropped.
        """
        deadline = None if timeout < 0 else time.monotonic() + timeout
        start = self.record.newest()
        pause = _FIRST_LOOK
        while True:
            verdict = start.verdict()
            if verdict.status is not ServiceStatus.STARTING and not _has_more_to_say(start):
                return verdict.status
            if deadline is not None and time.monotonic() + pause > deadline:
                raise TimeoutError(f"service {self.name!r} still starts after {timeout:g} s; it goes on")
            time.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)

    def logs(self, limit: int = -1) -> str:
        """What its server has printed since its newest start.

        Args:
            limit: the last so many lines; negative for all.

        Raises:
            AccessError: the log is on another machine until the service has ended.
        """
        return _logs_of(self.record, self.record.newest(), limit)

    def tail(self) -> LogTail:
        """What its server prints from now on and has printed, for following it on its own machine."""
        start = self.record.newest()
        return LogTail(self.record.storage, start.claim().log or start.logs)

    def show_logs(self, limit: int = 100) -> None:
        """Print the end of its log."""
        sys.stdout.write(self.logs(limit) + "\n")

    def raise_for_end(self) -> None:
        """Raise what a service that has ended ended with, with the last lines of its log.

        Raises:
            ServiceFailedError: it has ended.
        """
        start = self.record.newest()
        verdict = start.verdict()
        if not verdict.status.has_ended:
            return
        try:
            said = _logs_of(self.record, start, _LINES)
        except GristmillError:  # another machine has it, or a cluster that does not answer
            said = ""
        log = f"\nthe end of its log:\n{said}" if said else ""
        raise ServiceFailedError(f"service {self.name!r}: {verdict.message}{log}")

    def drop(self) -> None:
        """End it and forget it; see `drop_service`."""
        from gristmill.services.drop import drop

        drop(self.record)

    def facts(self) -> dict[str, Any]:
        """All that is known of it, without its key."""
        start = self.record.newest()
        claim, state, verdict = start.claim(), start.state(), start.verdict()
        request = claim.request
        return {
            "name": self.name,
            "status": verdict.status.value,
            "message": verdict.message,
            "model": request.model,
            "served_model": request.served_model,
            "compute_pool": request.pool,
            "base_url": claim.base_url,
            "owner": claim.owner,
            "machine": claim.machine,
            "created_time": claim.claimed,
            "ready_time": state.ready,
            "ended_time": state.ended,
            "engine": request.engine,
            "engine_args_override": list(request.engine_args_override),
            "gpu_requests": request.gpu_requests,
            "cpu_requests": request.cpu_requests,
            "host": request.host,
            "port": claim.port,
            "digest": request.digest,
            "processes": _pids(state.process, state.server),
        }


def _has_more_to_say(start: StartRecord) -> bool:
    """Whether a server has ended whose keeper is about to say how."""
    state = start.state()
    return not state.status.has_ended and is_alive(state.server) is False and is_alive(state.process) is True


def _pids(*processes: dict[str, Any]) -> list[int]:
    """Those of this machine that live."""
    return [int(process["pid"]) for process in processes if is_alive(process)]


def _logs_of(record: ServiceRecord, start: StartRecord, limit: int) -> str:
    claim = start.claim()
    if claim.address is not None and claim.submission_id is not None:
        with contextlib.suppress(JobNotFoundError):  # the cluster forgets; then what the record has is told
            return _last(cluster_at(record.storage.settings, claim.address).logs(claim.submission_id), limit)
    text = read_logs(record.storage, claim.log) if claim.log is not None else ""
    text = text or read_logs(record.storage, start.logs)
    if not text and claim.log is not None and is_alive(start.state().process or claim.process) is None:
        raise AccessError(f"service {record.name!r}: its log is on {claim.machine!r} until it has ended")
    return _last(text, limit)


def _last(text: str, limit: int) -> str:
    lines = text.splitlines()
    return "\n".join(lines if limit < 0 else lines[max(0, len(lines) - limit) :])
