"""Creating a service: check, claim, start; or attach to the same one."""

import hmac
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from gristmill.errors import ConflictError
from gristmill.jobs.process import process_of
from gristmill.services.checks import CheckedService
from gristmill.services.health import url_host
from gristmill.services.keys import forget_key, keep_key, key_of, local_folder, new_key
from gristmill.services.launch import KeeperProcess, check_port, free_port
from gristmill.services.record import ServiceRecord, StartClaim, StartRecord
from gristmill.services.service import Service
from gristmill.storage.location import is_local, join
from gristmill.submission.launch import user

__all__ = ["create"]

_TRIES = 20


@dataclass(frozen=True, slots=True)
class _Key:
    """A key on this machine, and whether it was made for this start alone."""

    name: str
    is_new: bool


def create(record: ServiceRecord, checked: CheckedService, *, api_key: str | None) -> Service:
    """Start the service, or attach to it where it is there.

    Of several creators one starts it. One that has ended is started again, with the key that it had.

    Args:
        record: of the service.
        checked: what is asked.
        api_key: the key; None keeps the one that it had, or makes one.

    Raises:
        ConflictError: another service has the name, or something listens at the port.
    """
    for _ in range(_TRIES):
        start = record.latest()
        if start is not None and not start.verdict().status.has_ended:
            _check_same(record, start, checked, api_key=api_key)
            return Service(record)
        if _started(record, start, checked, api_key=api_key):
            return Service(record)
    raise ConflictError(f"name: service {record.name!r} is created and dropped by others all the time; try again")


def _check_same(record: ServiceRecord, start: StartRecord, checked: CheckedService, *, api_key: str | None) -> None:
    claim = start.claim()
    different = claim.request.differences(checked.request)
    if api_key is not None and not hmac.compare_digest(key_of(claim.key) or "", api_key):
        different.append("api_key")
    if different:
        raise ConflictError(
            f"name: there is a service {record.name!r} of {claim.request.model!r} already, with another "
            f"{', '.join(different)}; drop_service({record.name!r}) first, or take another name"
        )


def _started(
    record: ServiceRecord, before: StartRecord | None, checked: CheckedService, *, api_key: str | None
) -> bool:
    """Whether this call has started it; False where another was faster."""
    request = checked.request
    if request.port is None:
        port = free_port(request.host)
    else:
        port = request.port
        check_port(request.host, port)
    number = 1 if before is None else before.number + 1
    # a folder of the record where that is on this machine, else one beside the keys
    own = join(record.start(number).folder, "logs")
    log = Path(own) if is_local(own) else local_folder() / "logs" / record.name / f"{time.time_ns():x}"
    key = _key(before, api_key)
    begun = None
    try:
        with KeeperProcess(record.storage.settings, log) as keeper:
            claim = StartClaim(
                request=request,
                owner=user(),
                machine=socket.gethostname(),
                claimed=time.time(),
                port=port,
                base_url=f"http://{_outside(request.host)}:{port}/v1",
                key=key.name,
                process=process_of(keeper.pid),
                log=None if is_local(own) else str(log),
            )
            begun = record.claim(claim, after=number - 1)
            if begun is not None:
                keeper.keep(home=record.home, name=record.name, number=number, model=checked.local_model)
    finally:
        if begun is None and key.is_new:
            forget_key(key.name)
    return begun is not None


def _key(before: StartRecord | None, api_key: str | None) -> _Key:
    if before is not None:
        had = before.claim().key
        kept = key_of(had)
        if kept is not None and api_key in (None, kept):
            return _Key(had, is_new=False)
    return _Key(keep_key(new_key() if api_key is None else api_key), is_new=True)


def _outside(host: str) -> str:
    """The host of the address that clients are told."""
    return socket.gethostname() if host in ("0.0.0.0", "::") else url_host(host)  # noqa: S104 - compared, not bound
