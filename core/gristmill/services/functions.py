"""The functions of services that users call."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gristmill.errors import ServiceNotFoundError, SpecError
from gristmill.settings import Settings

if TYPE_CHECKING:
    from gristmill.inputs.frame import Frame
    from gristmill.services.record import ServiceRecord
    from gristmill.services.service import Service
    from gristmill.storage.storage import Storage

__all__ = ["create_service", "describe_service", "drop_service", "get_service", "list_services"]


def _storage(settings: Settings | None) -> "Storage":
    from gristmill.storage.storage import Storage

    return Storage(Settings.load() if settings is None else settings)


def _home(storage: "Storage") -> str:
    return storage.resolve(storage.settings.home, what="settings.home")


def _record(name: str, settings: Settings | None) -> "ServiceRecord":
    from gristmill.services.record import ServiceRecord

    storage = _storage(settings)
    return ServiceRecord.find(storage, _home(storage), name)


def create_service(
    name: str,
    model: str | os.PathLike[str],
    *,
    pool: str | None = None,
    engine_args_override: Sequence[str] = (),
    trust_remote_code: bool = False,
    gpu_requests: float | str | None = None,
    cpu_requests: float | str | None = None,
    memory_requests: int | str | None = None,
    replicas: int = 1,
    port: int | None = None,
    host: str = "127.0.0.1",
    api_key: str | None = None,
    timeout: float = 600.0,
    served_model_name: str | None = None,
    settings: Settings | None = None,
    block: bool = True,
) -> "Service":
    """Serve a chat model under an address that speaks the OpenAI API, until `drop_service`.

    Everything is checked first. The service outlives this process. Creating it again with the same request attaches to
    it, or starts it again where it has ended; with another request it is refused.

    Args:
        name: by which SQL, jobs and other processes find it; also `db.schema.name`, in any case.
        model: `hf:<org/name or folder>`, the folder of a model, `models:/name/3` of the registry, or `echo:chat`, which
            answers with what it is told and needs nothing installed.
        pool: the pool's name in the settings.
        engine_args_override: arguments of vLLM's server, such as `["--max-model-len=4096"]`.
        trust_remote_code: let the model's own files run code.
        gpu_requests: whole GPUs; the model is cut over them.
        cpu_requests: CPU threads, where vLLM runs on CPUs.
        memory_requests: of one copy, on a pool that can hold it to that.
        replicas: copies of the model.
        port: where it listens; any that is free by default.
        host: the address that it listens at: by default only processes of this machine reach it.
        api_key: what it asks of its clients; by default one is made. It is kept in a file that only this user can read,
            and stands in no record, log or command line.
        timeout: seconds until it must answer; one that does not is ended.
        served_model_name: what requests call the model; by default its own name.
        settings: instead of those in force.
        block: wait until it answers.

    Returns:
        Its handle.

    Raises:
        SpecError: the request cannot be right; the message names the field, the value and the way out.
        ConflictError: another service has the name, or something listens at the port.
        MissingExtraError: vLLM is not installed.
        ServiceFailedError: `block`, and it did not start; with the end of its log.
    """
    from gristmill.services.checks import check_service
    from gristmill.services.create import create
    from gristmill.services.keys import check_key
    from gristmill.services.record import ServiceRecord

    storage = _storage(settings)
    home = _home(storage)
    record = ServiceRecord(storage, home, name)
    if isinstance(engine_args_override, str):
        raise SpecError("engine_args_override: must be a list such as ['--max-model-len=4096'] (given: str)")
    checked = check_service(
        storage,
        home,
        model,
        pool=pool,
        engine_args_override=engine_args_override,
        served_model_name=served_model_name,
        trust_remote_code=trust_remote_code,
        gpu_requests=gpu_requests,
        cpu_requests=cpu_requests,
        memory_requests=memory_requests,
        replicas=replicas,
        port=port,
        host=host,
        timeout=timeout,
    )
    service = create(record, checked, api_key=None if api_key is None else check_key(api_key))
    if block:
        service.wait()
        service.raise_for_end()
    return service


def get_service(name: str, *, settings: Settings | None = None) -> "Service":
    """The handle of a service.

    Raises:
        ServiceNotFoundError: there is none of this name.
    """
    from gristmill.services.service import Service

    return Service(_record(name, settings))


def describe_service(name: str, *, settings: Settings | None = None) -> "Frame":
    """All that is known of a service, without its key, as one row.

    Raises:
        ServiceNotFoundError: there is none of this name.
    """
    from gristmill.inputs.frame import Frame
    from gristmill.services.listing import details_table

    return Frame(details_table(get_service(name, settings=settings)))


def list_services(*, settings: Settings | None = None) -> "Frame":
    """All services: name, status, message, model, served_model, compute_pool, base_url, owner, machine, created_time.

    Example:
        >>> list_services(settings=Settings(home="memory://home-without-services")).collect()
        []
    """
    from gristmill.inputs.frame import Frame
    from gristmill.services.listing import services_table

    storage = _storage(settings)
    return Frame(services_table(storage, _home(storage)))


def drop_service(name: str, *, missing_ok: bool = False, settings: Settings | None = None) -> None:
    """End a service and all its processes, and forget it, its logs and its key.

    Args:
        name: of the service, in any case.
        missing_ok: a service that is not there is dropped already.
        settings: instead of those in force.

    Raises:
        ServiceNotFoundError: there is none, and that is not fine.
        ConflictError: it is another machine's, and does not end.

    Example:
        >>> drop_service("chat", missing_ok=True, settings=Settings(home="memory://home-without-services"))
    """
    from gristmill.services.drop import drop

    try:
        drop(_record(name, settings))
    except ServiceNotFoundError:
        if not missing_ok:
            raise
