"""Ray Serve's LLM app as a service: deploys it, stays while it serves, and takes it down again.

Run as `python -m gristmill.services.ray_server`; its order is JSON in the environment. It needs what `ray[serve]`
and vLLM bring, on the machine that it runs on and on those of the replicas.
"""

import contextlib
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from gristmill.engines.vllm import library
from gristmill.engines.vllm.arguments import engine_arguments
from gristmill.executors.ray_session import RaySession
from gristmill.models.reference import parse_reference
from gristmill.services.request import ServiceRequest
from gristmill.settings import PoolSettings

__all__ = ["ORDER", "engine_kwargs", "llm_config"]

ORDER = "GRISTMILL_SERVICE_ORDER"
"""The variable that holds the order: request, model, name, port, digest of the key, pool."""

_PAUSE = 2.0
"""Seconds between looks at how the app is."""

_GONE = "GONE"
_ENDED = frozenset({"DEPLOY_FAILED", _GONE})

_JSON = ("{", "[", '"')


def engine_kwargs(arguments: Iterable[str]) -> dict[str, Any]:
    """Arguments of vLLM's server in the form in which Ray Serve takes them.

    Example:
        >>> engine_kwargs(["--max-model-len=4096", "--enforce-eager", "--no-enable-prefix-caching", "--dtype=half"])
        {'max_model_len': 4096, 'enforce_eager': True, 'enable_prefix_caching': False, 'dtype': 'half'}
    """
    found: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        if not equals:
            found[name.removeprefix("no-").replace("-", "_")] = not name.startswith("no-")
            continue
        place = found
        *groups, last = name.replace("-", "_").split(".")  # --json-arg.key=value
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = _value(value)
    return found


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.startswith(_JSON):
        return json.loads(text)
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def llm_config(request: ServiceRequest, *, model: str, on_cpu: bool) -> dict[str, Any]:
    """The `LLMConfig` of a request, as its fields.

    Args:
        request: what was asked.
        model: as it is on the cluster: `hf:<folder or name>`.
        on_cpu: whether vLLM runs on CPUs there.

    Example:
        >>> request = ServiceRequest(model="hf:org/m", served_model="m", engine="vllm", pool="gpu", kind="ray",
        ...     gpu_requests=2, replicas=3)
        >>> config = llm_config(request, model="hf:org/m", on_cpu=False)
        >>> config["placement_group_config"], config["engine_kwargs"]["tensor_parallel_size"]
        ({'bundle_per_worker': {'CPU': 1.0, 'GPU': 1.0}}, 2)
    """
    target = parse_reference(model).target
    gpus = request.gpu_requests or (0.0 if on_cpu else 1.0)
    options: dict[str, Any] = {"engine_args_override": list(request.engine_args_override)}
    if request.trust_remote_code:
        options["trust_remote_code"] = True
    arguments = engine_arguments(target, options, gpus=gpus, on_cpu=on_cpu)
    kwargs = engine_kwargs(argument for argument in arguments if not argument.startswith("--model="))
    workers = max(1, math.ceil(gpus))
    bundle = {
        "CPU": (request.cpu_requests or workers) / workers,
        **({"GPU": gpus / workers} if gpus else {}),
        **({"memory": float(request.memory_requests // workers)} if request.memory_requests else {}),
    }
    return {
        "model_loading_config": {"model_id": request.served_model, "model_source": target},
        "engine_kwargs": kwargs,
        "deployment_config": {"num_replicas": request.replicas},
        "placement_group_config": {"bundle_per_worker": bundle},
        **({"accelerator_config": {"kind": "cpu"}} if on_cpu else {}),
    }


def _application(config: Mapping[str, Any], *, digest: str) -> Any:
    """The app: Ray's own, with a guard before it and one more path, `/health`, which asks the model's replicas."""
    from ray import serve

    # what Ray calls by these names in its documentation of the ingress has no public place yet
    from ray.llm._internal.serve.core.configs.openai_api_models import to_model_metadata
    from ray.llm._internal.serve.core.ingress.ingress import DEFAULT_ENDPOINTS, init
    from ray.serve.llm import LLMConfig, build_llm_deployment
    from ray.serve.llm.ingress import OpenAiIngress, make_fastapi_ingress

    from gristmill.services.guard import Guard

    class Ingress(OpenAiIngress):  # type: ignore[misc]
        async def health(self) -> dict[str, str]:
            for handle in self._default_serve_handles.values():
                await handle.check_health.remote()
            return {}

    one = LLMConfig(**config)
    app = init()
    app.add_middleware(Guard, digest=digest)
    paths = {**DEFAULT_ENDPOINTS, "health": lambda app: app.get("/health")}
    ingress = serve.deployment(make_fastapi_ingress(Ingress, endpoint_map=paths, app=app))
    return ingress.options(**OpenAiIngress.get_deployment_options([one])).bind(
        llm_deployments={one.model_id: build_llm_deployment(one)},
        model_cards={one.model_id: to_model_metadata(one.model_id, one)},
    )


def _serve(order: Mapping[str, Any]) -> int:
    """Serve until somebody says stop; the exit code, which is 1 where Ray gives up."""
    from ray import serve

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    request, pool, name = ServiceRequest(**order["request"]), PoolSettings(**order["pool"]), order["name"]
    session = RaySession(pool)
    config = llm_config(request, model=order["model"], on_cpu=library.is_built_for_cpu())
    application = _application(config, digest=order["digest"])
    serve.start(http_options={"host": request.host, "port": order["port"]})
    serve.run(application, name=name, route_prefix=f"/{name}", blocking=False)
    problem, told = None, ""
    while problem is None and not stop.wait(_PAUSE):
        status, said = _look(name)
        if said != told:  # such as what the cluster lacks for a replica
            told = said
            print(f"Ray Serve: {status}: {said}", flush=True)  # noqa: T201 - to the service's log
        problem = said if status in _ENDED else None
    if problem is not None:
        print(f"Error: Ray Serve gives up: {problem}", flush=True)  # noqa: T201
    if pool.address is None:
        serve.shutdown()
        session.close()
    else:
        serve.delete(name, _blocking=False)
    return 0 if problem is None else 1


def _look(name: str) -> tuple[str, str]:
    """The status of an app, and what Ray says about it, on one line."""
    from ray import serve

    found = serve.status().applications.get(name)
    if found is None:
        return _GONE, "its app is gone"
    said = [found.message, *(deployment.message for deployment in found.deployments.values())]
    lines = " | ".join(line.strip() for text in said for line in text.splitlines() if line.strip())
    return str(found.status.value), lines[-4_000:]


def _main() -> None:
    sys.exit(_serve(json.loads(os.environ[ORDER])))


if __name__ == "__main__":
    _main()
