"""What is refused before anything of a service is written."""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gristmill.engines.vllm import library
from gristmill.engines.vllm.recognition import answers_chats, generates
from gristmill.errors import MissingExtraError, ModelError, SpecError
from gristmill.executors.resources import Resources
from gristmill.models.objects import ModelObject
from gristmill.models.reference import normalize_model, parse_reference
from gristmill.services.request import ServiceRequest
from gristmill.services.server import check_arguments
from gristmill.spec.engine import check_engine_args
from gristmill.spec.registry import is_embedded
from gristmill.storage.location import scheme_of
from gristmill.storage.storage import Storage
from gristmill.submission.checks import check_place

__all__ = ["CheckedService", "check_service"]

_SERVE_NEEDS = ("ray", "fastapi", "uvicorn", "grpc_reflection", "mmh3")
"""What Ray Serve imports that Ray without its extra may not bring."""

_NEEDS = "a service answers chats: it needs a model that generates text (hf:, models:) or 'echo:chat'"


@dataclass(frozen=True, slots=True)
class CheckedService:
    """A request that can be granted, and the model as it is on this machine.

    Attributes:
        request: with a pinned model.
        local_model: `hf:<folder or name>` or `echo:chat`; None for one that a cluster fetches by itself.
    """

    request: ServiceRequest
    local_model: str | None


def check_service(
    storage: Storage,
    home: str,
    model: Any,
    *,
    pool: str | None,
    engine_args_override: Iterable[str],
    served_model_name: str | None,
    **fields: Any,
) -> CheckedService:
    """The request for a service, once all of it can be right.

    Args:
        storage: of the settings.
        home: the normal location of all records.
        model: a reference, or a folder of a model.
        pool: the pool's name; None for the settings' default.
        engine_args_override: arguments of the engine's own server.
        served_model_name: what requests call the model; None for its own name.
        fields: the other fields of `ServiceRequest`.

    Raises:
        SpecError: the request cannot be right; the message names the field, the value and the way out.
        MissingExtraError: what serves the model is not installed.
    """
    if scheme_of(home) == "memory":
        raise SpecError("settings.home: a service runs in processes of its own, which do not see memory://")
    check_place(home, what="settings.home")
    settings = storage.settings
    wanted = settings.default_pool if pool is None else pool
    place = settings.pool(wanted)
    kind = place.kind
    is_elsewhere = kind == "ray" and place.address is not None
    if kind == "inline":
        raise SpecError(f"pool: {wanted!r} runs in this process, and a service outlives it; take a pool of kind local")
    reference, digest, local = _model(model, storage, is_elsewhere=is_elsewhere)
    is_echo = reference == "echo:chat"
    try:
        arguments = check_engine_args(engine_args_override)
    except SpecError as error:
        raise SpecError(str(error).replace("inference_engine_options.", "")) from None
    request = ServiceRequest(
        model=reference,
        digest=digest,
        served_model=_own_name(reference) if served_model_name is None else served_model_name,
        engine="echo" if is_echo else "vllm",
        pool=wanted,
        kind=kind,
        engine_args_override=arguments,
        **fields,
    )
    _check_pool(request)
    check_arguments(request)
    if not is_elsewhere and not is_echo:
        library.check_release(need=f"the service of {reference!r}")
        if kind == "ray":
            _check_serve()
        if local is not None:
            _check_chats(local, reference, request)
    return CheckedService(request, local)


def _model(model: Any, storage: Storage, *, is_elsewhere: bool) -> tuple[str, str | None, str | None]:
    """The reference that is recorded, the digest of a registered model's files, and the model on this machine.

    The last is None for one that only the machines of a cluster fetch.
    """
    normal = normalize_model(model, storage, is_elsewhere=is_elsewhere)
    if isinstance(normal, ModelObject):
        raise ModelError(f"model: an object ({type(model).__name__}) cannot be served; {_NEEDS}")
    scheme = parse_reference(normal).scheme
    if scheme == "models":
        from gristmill.mlflow.pin import pinned
        from gristmill.mlflow.resolved import resolved

        pin = pinned(normal, storage.settings)
        if is_elsewhere and is_embedded(pin.registry):
            raise SpecError(
                f"model {pin.reference!r}: the registry {pin.registry} is on this machine's disk, which the pool's "
                "cluster cannot reach; register the model at a server, and name it in settings.registry"
            )
        if is_elsewhere:
            return pin.reference, pin.digest, None
        local = resolved(pin.reference, storage, digest=pin.digest)
        if not local.startswith("hf:"):
            raise ModelError(f"model {pin.reference!r} is not a checkpoint of a language model; {_NEEDS}")
        return pin.reference, pin.digest, local
    if normal == "echo:chat" or scheme == "hf":
        return normal, None, normal
    raise ModelError(f"model {normal!r}: {_NEEDS}")


def _own_name(reference: str) -> str:
    """What a model is called where nobody says otherwise.

    Only `hf:org/name` keeps its whole name; a folder is called as its last part, `models:/name/3` as `name`.
    """
    parsed = parse_reference(reference)
    if parsed.scheme == "echo":
        return "echo"
    if parsed.scheme == "models":
        return parsed.target.strip("/").split("/")[0]
    return parsed.target.rstrip("/").rsplit("/", 1)[-1] if parsed.target.startswith("/") else parsed.target


def _check_pool(request: ServiceRequest) -> None:
    if request.kind == "ray":
        if request.engine == "echo":
            raise SpecError(
                f"pool: 'echo:chat' is served on this machine: take a pool of kind local for {request.pool!r}"
            )
        Resources.of_replica(
            num_workers=1, cpus=request.cpu_requests, memory=request.memory_requests, gpus=request.gpu_requests
        )
        return
    if request.replicas != 1:
        raise SpecError(
            f"replicas={request.replicas}: the pool {request.pool!r} runs one copy of a service's model; leave it out, "
            "or take a pool of kind ray"
        )
    gpus = request.gpu_requests or 0
    if gpus % 1:
        raise SpecError(
            f"gpu_requests={gpus:g}: a service on this machine has whole GPUs; leave it out, and share one with "
            "--gpu-memory-utilization in engine_args_override"
        )
    if request.memory_requests is not None:
        raise SpecError(
            f"memory_requests: nothing bounds the memory of a process in the pool {request.pool!r}; leave it out, and "
            "bound the cache with --kv-cache-memory-bytes in engine_args_override"
        )


def _check_serve() -> None:
    for package in _SERVE_NEEDS:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(
                f"a service on a pool of kind ray needs Ray Serve, which lacks {package!r}: pip install 'ray[serve]'"
            )


def _check_chats(local: str, reference: str, request: ServiceRequest) -> None:
    target = parse_reference(local).target
    found = generates(target)
    if found is None:
        return  # its files cannot be read from here: the server will tell
    has_template = any(
        argument.lstrip("-").replace("_", "-").startswith("chat-template") for argument in request.engine_args_override
    )
    if not found:
        raise ModelError(f"model {reference!r} does not generate text, as its config.json says; {_NEEDS}")
    if not has_template and not answers_chats(target):
        raise ModelError(
            f"model {reference!r} has no chat template; give one with --chat-template=<file> in engine_args_override"
        )
