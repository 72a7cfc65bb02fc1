"""Creating a service: check, claim, start; or attach to the same one."""

import hmac
import secrets
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from gristmill.errors import ConflictError
from gristmill.jobs.process import process_of
from gristmill.services.checks import CheckedService
from gristmill.services.drop import end
from gristmill.services.health import url_host
from gristmill.services.keys import forget_key, keep_key, key_of, log_folder, new_key
from gristmill.services.launch import KeeperProcess, check_port, free_port, submit_keeper
from gristmill.services.record import ServiceRecord, StartClaim, StartRecord, StartState
from gristmill.services.request import ServiceRequest
from gristmill.services.service import Service
from gristmill.services.status import ServiceStatus
from gristmill.settings import PoolSettings
from gristmill.storage.location import is_local, join
from gristmill.submission.launch import user

__all__ = ["create"]

_TRIES = 20
_SERVE_PORT = 8000
"""Where Ray Serve listens on a cluster unless somebody says otherwise; all its apps share it."""


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
        if start is not None:
            end(record, start, start.claim())  # a server that died may have left an engine, which holds the GPU
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
    settings = record.storage.settings
    pool = settings.pool(checked.request.pool)
    number = 1 if before is None else before.number + 1
    port = _port(checked.request, pool)
    path = f"/{record.name}" if pool.kind == "ray" else ""
    key = _key(before, api_key)
    begun = None
    claim = StartClaim(
        request=checked.request,
        owner=user(),
        machine=socket.gethostname(),
        claimed=time.time(),
        port=port,
        base_url=f"http://{_outside(checked.request.host, pool)}:{port}{path}/v1",
        key=key.name,
    )
    try:
        if pool.kind == "ray" and pool.address is not None:
            submission = f"service-{record.name}-{number}-{secrets.token_hex(4)}"
            claim = replace(claim, address=pool.address, submission_id=submission)
            begun = record.claim(claim, after=number - 1)
            if begun is not None:
                _submit(record, begun, claim)
        else:
            begun = _start_here(record, number, claim, checked.local_model)
    finally:
        if begun is None and key.is_new:
            forget_key(key.name)
    if begun is not None and before is not None and key.is_new:
        forget_key(before.claim().key)
    return begun is not None


def _start_here(record: ServiceRecord, number: int, claim: StartClaim, model: str | None) -> StartRecord | None:
    # a folder of the record where that is on this machine, else one beside the keys
    own = join(record.start(number).folder, "logs")
    log = Path(own) if is_local(own) else log_folder(record.home, record.name) / f"{time.time_ns():x}"
    with KeeperProcess(record.storage.settings, log) as keeper:
        claim = replace(claim, process=process_of(keeper.pid), log=None if is_local(own) else str(log))
        begun = record.claim(claim, after=number - 1)
        if begun is not None:
            keeper.keep(home=record.home, name=record.name, number=number, model=model)
    return begun


def _submit(record: ServiceRecord, start: StartRecord, claim: StartClaim) -> None:
    try:
        submit_keeper(record.storage, claim, home=record.home, name=record.name, number=start.number)
    except Exception as error:
        now = time.time()
        message = f"the cluster did not start it: {error}"
        start.write_state(StartState(ServiceStatus.FAILED, message, time=now, ended=now))
        raise


def _port(request: ServiceRequest, pool: PoolSettings) -> int:
    if pool.kind == "ray" and pool.address is not None:
        return _SERVE_PORT if request.port is None else request.port
    if request.port is None:
        return free_port(request.host)
    check_port(request.host, request.port)
    return request.port


def _key(before: StartRecord | None, api_key: str | None) -> _Key:
    if before is not None:
        had = before.claim().key
        kept = key_of(had)
        if kept is not None and api_key in (None, kept):
            return _Key(had, is_new=False)
    return _Key(keep_key(new_key() if api_key is None else api_key), is_new=True)


def _outside(host: str, pool: PoolSettings) -> str:
    """The host of the address that clients are told."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return url_host(host)
    return socket.gethostname() if pool.address is None else url_host(urlsplit(pool.address).hostname or host)
