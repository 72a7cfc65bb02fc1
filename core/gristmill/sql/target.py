"""What the argument `model` names: a running service, or a model at an endpoint of the settings."""

from dataclasses import dataclass

from pydantic import SecretStr

from gristmill.engines.openai.endpoint import DEFAULT_ENDPOINT, Endpoint, endpoint_of
from gristmill.errors import ServiceFailedError, ServiceNotFoundError, SpecError
from gristmill.services.record import ServiceRecord, service_names
from gristmill.services.status import ServiceStatus
from gristmill.settings import EndpointSettings
from gristmill.storage.storage import Storage

__all__ = ["Target", "named_target", "one_of", "why_ended"]


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a row is sent to.

    Attributes:
        endpoint: the service.
        model: its name there; empty for the only one that it has.
        service: the record, where it is a service of ours.
    """

    endpoint: Endpoint
    model: str
    service: ServiceRecord | None = None


def named_target(name: str, storage: Storage) -> Target:
    """The service of a name, else the endpoint; `endpoint/model` is one of an endpoint's models.

    Raises:
        SpecError: there is neither, or the service does not run; lists what there is.
        AccessError: the service's key is another machine's, or another user's.

    Example:
        >>> named_target("openai/gpt-4o-mini", storage).model
        'gpt-4o-mini'
    """
    wanted = name.strip()
    service = _service(wanted, storage)
    if service is not None:
        return _of_service(service, wanted)
    settings = storage.settings
    known = {DEFAULT_ENDPOINT, *settings.endpoints}
    first, _, model = wanted.partition("/")
    found = next((one for one in sorted(known) if one.lower() in (first.lower(), f"endpoints.{first}".lower())), None)
    if found is None or not wanted:
        services = ", ".join(service_names(storage, _home(storage))) or "none"
        raise SpecError(
            f"model: there is no service and no endpoint {name!r}; services: {services}; endpoints of the settings: "
            f"{', '.join(sorted(known))}. Start a service with create_service(name, model), or write endpoint/model"
        )
    return Target(endpoint_of(settings, {"endpoint": found}), model.strip())


def one_of(target: Target, models: list[str] | None) -> Target:
    """The target with the name of its model, now that the models of its endpoint are known.

    Args:
        target: of an endpoint.
        models: those there are; None where the endpoint does not tell.

    Raises:
        SpecError: none is named and there are several, or the one that is named is not there.
    """
    where = f"the endpoint {target.endpoint.name!r} at {target.endpoint.base_url}"
    name = target.endpoint.name
    if target.model:
        if models and target.model not in models:
            raise SpecError(f"model: {where} has no model {target.model!r}; it has: {_shown(models)}")
        return target
    if models is None:
        raise SpecError(f"model: {where} does not tell which models it has; write '{name}/MODEL'")
    if len(models) != 1:
        raise SpecError(f"model: {where} has {len(models)} models; write '{name}/MODEL' with one of: {_shown(models)}")
    return Target(target.endpoint, models[0], target.service)


def why_ended(service: ServiceRecord) -> Exception | None:
    """Why a service of ours answers nobody any more; None while it may."""
    try:
        verdict = service.verdict()
    except ServiceNotFoundError:
        return ServiceFailedError(f"the service {service.name!r} was dropped while the query ran")
    if not verdict.status.has_ended:
        return None
    said = f" ({verdict.message})" if verdict.message else ""
    return ServiceFailedError(
        f"the service {service.name!r} is {verdict.status.value}{said}, and no row is at fault; start it again, "
        "and run the query again"
    )


_SHOWN = 20


def _shown(models: list[str]) -> str:
    more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
    return ", ".join(models[:_SHOWN]) + more


def _home(storage: Storage) -> str:
    return storage.resolve(storage.settings.home, what="settings.home")


def _service(name: str, storage: Storage) -> ServiceRecord | None:
    try:
        return ServiceRecord.find(storage, _home(storage), name)
    except (ServiceNotFoundError, SpecError):
        return None


def _of_service(record: ServiceRecord, name: str) -> Target:
    verdict = record.verdict()
    if verdict.status is not ServiceStatus.RUNNING:
        way = "wait for it" if verdict.status is ServiceStatus.STARTING else "start it again with create_service"
        said = f" ({verdict.message})" if verdict.message else ""
        raise SpecError(f"model: the service {name!r} is {verdict.status.value}{said}; {way}")
    key = record.api_key()
    secret = SecretStr(key) if key else None
    settings = EndpointSettings(base_url=record.base_url, api_key=secret)
    endpoint = Endpoint(
        name=record.name, base_url=settings.base_url or "", settings=settings, window=settings.window, api_key=key
    )
    return Target(endpoint, record.served_model, record)
