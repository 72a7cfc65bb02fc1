"""A service's record: what is known of it, in files under `<home>/services/<name>/`.

::

    starts/000001/claim.json     one start of it: what was asked, who, where; created exclusively, so that of several
                                 creators one starts it
    starts/000001/state.json     its state, written by its keeper alone, every five seconds, which shows that it lives
    starts/000001/stop.json      somebody asked it to end
    starts/000001/logs/          what its server printed

A service that has ended may be started again: the next start has a folder of its own. The key is not in the record but
in a file of the user on the machine of the service; see `gristmill.services.keys`.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from gristmill.errors import AccessError, ConflictError, ServiceNotFoundError, SpecError
from gristmill.jobs.attempts import Attempts, dump
from gristmill.jobs.process import is_alive
from gristmill.services.keys import key_of
from gristmill.services.request import ServiceRequest, checked_name
from gristmill.services.status import ServiceStatus, Verdict, judge
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["ServiceRecord", "StartClaim", "StartRecord", "StartState", "service_names"]


@dataclass(frozen=True, slots=True)
class StartClaim:
    """One start of a service.

    Attributes:
        request: what was asked.
        owner: the user.
        machine: where the server runs, or who asked a cluster for it.
        claimed: seconds since the epoch.
        port: where the server listens.
        base_url: the address before `/chat/completions`.
        key: by which `gristmill.services.keys.key_of` finds the key.
        process: of the keeper, where it is one of the claiming machine; see `gristmill.jobs.process`.
        log: the folder of its logs, where that is on the machine alone; None for the record's own.
        address: the Jobs API of the cluster that runs it; None for this machine.
        submission_id: the id under that address.
    """

    request: ServiceRequest
    owner: str
    machine: str
    claimed: float
    port: int
    base_url: str
    key: str
    process: dict[str, Any] = field(default_factory=dict)
    log: str | None = None
    address: str | None = None
    submission_id: str | None = None


@dataclass(frozen=True, slots=True)
class StartState:
    """The state of a start, as its keeper wrote it.

    Attributes:
        status: the state.
        message: one line for people.
        time: when it was written, seconds since the epoch.
        process: the keeper's; server: the server's.
        ready: when it first answered; ended: when it ended.
    """

    status: ServiceStatus
    message: str = ""
    time: float | None = None
    process: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    ready: float | None = None
    ended: float | None = None


class StartRecord:
    """The record of one start of a service."""

    def __init__(self, storage: Storage, folder: str, number: int) -> None:
        self.storage = storage
        self.folder = folder
        self.number = number

    def _read(self, name: str) -> Any:
        try:
            return json.loads(self.storage.read_bytes(join(self.folder, name)))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> ConflictError:
        return ConflictError(
            f"the record in {self.folder!r} does not read as a service of this release: {error}; where nothing of it "
            "runs any more, remove the folder"
        )

    def claim(self) -> StartClaim:
        """Who started it, and where it stands.

        Raises:
            ServiceNotFoundError: the record is gone.
            ConflictError: another release wrote it, or it is damaged.
        """
        data = self._read("claim.json")
        if data is None:
            raise ServiceNotFoundError(f"start {self.number} in {self.folder!r} is gone")
        try:
            return StartClaim(**{**data, "request": ServiceRequest(**data["request"])})
        except (KeyError, TypeError, SpecError) as error:
            raise self._unreadable(error) from error

    def is_dropped(self) -> bool:
        """Whether its claim is gone; a home that cannot be read raises what its storage does."""
        return self._read("claim.json") is None

    def state(self) -> StartState:
        """The state as written; STARTING before the keeper has written any.

        Raises:
            ConflictError: another release wrote it, or it is damaged.
        """
        data = self._read("state.json")
        if data is None:
            return StartState(ServiceStatus.STARTING)
        try:
            return StartState(**{**data, "status": ServiceStatus(data["status"])})
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreadable(error) from error

    def write_state(self, state: StartState) -> None:
        """Replace the state."""
        self.storage.write_bytes(join(self.folder, "state.json"), dump(asdict(state)))

    def ask_to_stop(self) -> None:
        """Leave word for the keeper to end it."""
        self.storage.write_bytes(join(self.folder, "stop.json"), dump({"time": time.time()}))

    def stop_is_asked(self) -> bool:
        """Whether somebody asked it to end."""
        return self._read("stop.json") is not None

    @property
    def logs(self) -> str:
        """Where its logs stand, unless the claim says otherwise."""
        return join(self.folder, "logs")

    def verdict(self) -> Verdict:
        """The effective state, judged by the record, the processes of this machine and the clock.

        Raises:
            ServiceNotFoundError: the record is gone.
        """
        state, claim = self.state(), self.claim()
        verdict = judge(
            Verdict(state.status, state.message),
            now=time.time(),
            claimed=claim.claimed,
            beat=state.time,
            keeper_lives=is_alive(state.process or claim.process),
            server_lives=is_alive(state.server),
        )
        if verdict.status.has_ended and not state.status.has_ended:
            state = self.state()  # it may have ended while we looked, and said more
            return Verdict(state.status, state.message) if state.status.has_ended else verdict
        return verdict


class ServiceRecord:
    """The record of one service.

    Args:
        storage: where.
        home: the normal location of all records.
        name: of the service, in any case.

    Raises:
        SpecError: that is no name.
    """

    def __init__(self, storage: Storage, home: str, name: str) -> None:
        self.storage = storage
        self.home = home
        self.name = checked_name(name)
        self.folder = join(home, "services", self.name)
        self._starts = Attempts(storage, join(self.folder, "starts"))

    def latest(self) -> StartRecord | None:
        """The newest start; None where there is no such service."""
        number = self._starts.latest()
        return None if number is None else self.start(number)

    def start(self, number: int) -> StartRecord:
        """The record of one start."""
        return StartRecord(self.storage, self._starts.folder_of(number), number)

    def claim(self, claim: StartClaim, *, after: int) -> StartRecord | None:
        """Begin the start after `after` (0 for the first); None when another has begun it."""
        is_ours = self._starts.begin({**asdict(claim), "request": claim.request.model_dump(mode="json")}, after=after)
        return self.start(after + 1) if is_ours else None

    def delete(self) -> None:
        """Remove the record."""
        self.storage.delete_tree(self.folder)

    @property
    def base_url(self) -> str:
        """The address before `/chat/completions`."""
        return self._claim().base_url

    @property
    def served_model(self) -> str:
        """What requests call the model."""
        return self._claim().request.served_model

    def api_key(self) -> str:
        """The key that requests need.

        Raises:
            AccessError: it is another machine's, or another user's.
        """
        claim = self._claim()
        key = key_of(claim.key)
        if key is None:
            raise AccessError(
                f"service {self.name!r}: its key is kept on {claim.machine!r} for the user {claim.owner!r} alone; "
                f"to use it from elsewhere, name it in settings.endpoints, with the base_url {claim.base_url!r} "
                "and its key"
            )
        return key

    def verdict(self) -> Verdict:
        """The effective state of its newest start.

        Raises:
            ServiceNotFoundError: there is no such service (any more).
        """
        return self.newest().verdict()

    def newest(self) -> StartRecord:
        """The newest start.

        Raises:
            ServiceNotFoundError: there is no such service (any more).
        """
        start = self.latest()
        if start is None:
            known = ", ".join(service_names(self.storage, self.home)) or "none"
            raise ServiceNotFoundError(f"there is no service {self.name!r} in {self.home!r}; there are: {known}")
        return start

    def _claim(self) -> StartClaim:
        return self.newest().claim()

    @classmethod
    def find(cls, storage: Storage, home: str, name: str) -> Self:
        """The service of this name, in any case.

        Raises:
            SpecError: that is no name.
            ServiceNotFoundError: there is none; lists those there are.

        Example:
            >>> ServiceRecord.find(storage, "memory:///home-without-services", "chat")
            Traceback (most recent call last):
            gristmill.errors.ServiceNotFoundError: there is no service 'chat' in 'memory:///home-without-services'; \
there are: none
        """
        record = cls(storage, home, name)
        record.newest()
        return record


def service_names(storage: Storage, home: str) -> list[str]:
    """The names of all recorded services."""
    return sorted(storage.children(join(home, "services")))
