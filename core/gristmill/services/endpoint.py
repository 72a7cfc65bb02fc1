"""A service as an endpoint: what jobs on `openai:` models talk to."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from gristmill.errors import ServiceNotFoundError, SpecError
from gristmill.services.record import ServiceRecord
from gristmill.services.service import Service
from gristmill.settings import EndpointSettings, Settings
from gristmill.storage.storage import Storage

__all__ = ["endpoint_settings", "with_service"]


def endpoint_settings(record: ServiceRecord) -> EndpointSettings:
    """The address and the key of a service, for clients of the OpenAI API.

    Raises:
        AccessError: its key is another machine's, or another user's.
    """
    return EndpointSettings(base_url=record.base_url, api_key=SecretStr(record.api_key()))


def with_service(settings: Settings, options: Any, *, pool: str | None) -> Settings:
    """The settings, with the service that a job's engine options name among its endpoints.

    A name that the settings have is theirs; one that is no service either is left for the engine to refuse.

    Args:
        settings: those in force.
        options: `inference_engine_options` as the user wrote them.
        pool: the pool's name, which must be one of this machine: the key does not leave it.

    Raises:
        ServiceFailedError: the service has ended.
        SpecError: the pool is a cluster.

    Example:
        >>> with_service(Settings(home="memory://home"), {"endpoint": "chat"}, pool="local").endpoints
        {}
    """
    name = options.get("endpoint") if isinstance(options, Mapping) else None
    if not isinstance(name, str) or name in settings.endpoints or name.strip().lower() == "openai":
        return settings
    storage = Storage(settings)
    try:
        record = ServiceRecord.find(storage, storage.resolve(settings.home, what="settings.home"), name)
    except (ServiceNotFoundError, SpecError):
        return settings
    where = settings.pool(pool)
    if where.kind == "ray" and where.address is not None:
        raise SpecError(
            f"inference_engine_options.endpoint: {name!r} is a service whose key stays on its machine, and the job's "
            f"workers run at {where.address}; name it in settings.endpoints of the cluster, or take a pool of this "
            "machine"
        )
    Service(record).raise_for_end()
    return settings.model_copy(update={"endpoints": {**settings.endpoints, name: endpoint_settings(record)}})
