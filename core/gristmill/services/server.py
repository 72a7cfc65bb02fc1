"""Which process serves a request: its command and what it adds to the environment."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from gristmill.engines.vllm import library
from gristmill.engines.vllm.arguments import engine_arguments, split_arguments
from gristmill.errors import SpecError
from gristmill.models.reference import parse_reference
from gristmill.services.guard import VARIABLE, Guard
from gristmill.services.ray_server import ORDER
from gristmill.services.request import ServiceRequest
from gristmill.settings import PoolSettings

__all__ = ["ServerCommand", "check_arguments", "ray_command", "server_command"]

_FIELD = "engine_args_override"
_OWNED = {
    "config": "a file could hold arguments that are not checked; write them out",
    "data-parallel-size": "replicas says how many copies there are",
    "enable-lora": "a service has one model, without adapters",
    "grpc": "a service speaks the OpenAI API",
    "headless": "a service answers by itself",
    "model": "the service's model is its first argument",
    "served-model-name": "give served_model_name",
    "task": "vLLM has no such argument any more",
    "uds": "a service listens at a host and a port",
}
_QUIET = "disable-access-log-for-endpoints"


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """How to start a server.

    Attributes:
        command: program and arguments; no secret is among them.
        environment: what is added to the environment; the key is.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)


def check_arguments(request: ServiceRequest) -> None:
    """Refuse arguments that are the service's own; vLLM's parser sees the others when it starts.

    Raises:
        SpecError: names the argument and the way out.

    Example:
        >>> check_arguments(ServiceRequest(model="hf:m", served_model="m", engine="vllm", pool="local", kind="local",
        ...     engine_args_override=("--served-model-name=x",)))
        Traceback (most recent call last):
        gristmill.errors.SpecError: engine_args_override: --served-model-name cannot be set: give served_model_name
    """
    if request.engine == "echo":
        if request.engine_args_override:
            raise SpecError(f"{_FIELD}: 'echo:chat' takes no arguments; leave them out")
        return
    try:
        given = split_arguments(request.engine_args_override)
        engine_arguments("model", _options(request), gpus=request.gpu_requests or 0, on_cpu=False)
    except SpecError as error:
        raise SpecError(_own_words(str(error))) from None
    for argument in given:
        name = argument.lstrip("-").partition("=")[0].partition(".")[0].removeprefix("no-")
        # argparse takes the beginning of a name for the name
        owned = next((one for one in _OWNED if one == name or (len(name) > 1 and one.startswith(name))), None)
        if owned is not None:
            raise SpecError(f"{_FIELD}: --{owned} cannot be set: {_OWNED[owned]}")


def _own_words(message: str) -> str:
    """What the arguments of a job are told, as a service has them."""
    return message.replace("inference_engine_options.", "").replace(
        "say so in inference_engine_options, {'trust_remote_code': True},", "give trust_remote_code=True"
    )


def ray_command(
    request: ServiceRequest, *, name: str, model: str, port: int, digest: str, pool: PoolSettings
) -> ServerCommand:
    """The process that has Ray serve a request, on a machine of the cluster or with a Ray of its own.

    Args:
        request: what was asked.
        name: of the service; the path that it is served under.
        model: as it is here: `hf:<folder or name>`.
        port: where Ray Serve listens.
        digest: of the key that is asked of clients; see `gristmill.services.keys.digest_of`.
        pool: an address in it means that the process joins a Ray that runs.
    """
    order = {
        "request": request.model_dump(mode="json"),
        "name": name,
        "model": model,
        "port": port,
        "digest": digest,
        "pool": pool.model_dump(mode="json", include={"kind", "address", "runtime_env", "init"}),
    }
    return ServerCommand((sys.executable, "-m", "gristmill.services.ray_server"), {ORDER: json.dumps(order)})


def server_command(request: ServiceRequest, *, port: int, key: str) -> ServerCommand:
    """The server for a request, on this machine, without Ray.

    Args:
        request: with a model that is here: `hf:` or `echo:chat`.
        port: where it listens.
        key: what it asks of its clients.
    """
    if request.engine == "echo":
        arguments = [f"--host={request.host}", f"--port={port}", f"--model={request.served_model}"]
        return ServerCommand((sys.executable, "-m", "gristmill.services.echo_server", *arguments), {VARIABLE: key})
    on_cpu = library.is_built_for_cpu()
    arguments = engine_arguments(
        parse_reference(request.model).target,
        _options(request),
        gpus=request.gpu_requests or 0,
        on_cpu=on_cpu,
    )
    arguments += [
        f"--served-model-name={request.served_model}",
        f"--host={request.host}",
        f"--port={port}",
        f"--middleware={Guard.__module__}.{Guard.__qualname__}",
    ]
    if not any(argument.startswith((f"--{_QUIET}", "--no-disable-access-log")) for argument in arguments):
        arguments.append(f"--{_QUIET}=/health,/v1/models")  # its keeper asks every few seconds
    environment = {VARIABLE: key, "VLLM_NO_USAGE_STATS": "1", **library.film_variables()}
    if request.cpu_requests and on_cpu:
        threads = str(max(1, math.floor(request.cpu_requests)))
        environment |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": threads}
    # not `vllm serve`, which looks for a distribution of the name vllm, and vllm-cpu is another
    return ServerCommand((sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments), environment)


def _options(request: ServiceRequest) -> dict[str, object]:
    return {
        "engine_args_override": list(request.engine_args_override),
        **({"trust_remote_code": True} if request.trust_remote_code else {}),
    }
