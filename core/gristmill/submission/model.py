"""The model of a request: what is recorded of it, which engine runs it, and what that knows of it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gristmill.engines.protocol import AssumingEngine, Engine, ModelInfo
from gristmill.engines.python import describe_object
from gristmill.engines.registry import engine_for
from gristmill.errors import MissingExtraError, ModelError, SpecError
from gristmill.models.objects import ModelObject, object_digest
from gristmill.models.reference import normalize_model, parse_reference
from gristmill.settings import Settings
from gristmill.spec.engine import EngineOptions
from gristmill.spec.registry import is_embedded
from gristmill.storage.location import is_local
from gristmill.storage.storage import Storage

__all__ = ["OBJECT", "FoundModel", "Looking", "content_of", "find_model"]

OBJECT = "pickle:object"
"""The reference of a model given as an object, until it is saved."""


class Looking(Protocol):
    """Looks at models instead of this process, or knows what was seen before."""

    def describe(self, engine: str, model: str, options: dict[str, Any]) -> ModelInfo:
        """What `Engine.describe` says."""
        ...


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that there is, and that an engine runs.

    Attributes:
        model: its reference, that of a registered model pinned to a version; or the object.
        engine: what runs it.
        options: what the engine is told: the user's options, and what is stored with the model.
        info: what is known of it.
        digests: what tells the content where the reference does not, as a job's record has it.
        registry: the address of the registry, where it is not the settings'.
        local: the reference that engines on this machine are given; None for an object, and for a model that only
            other machines have.
    """

    model: str | ModelObject
    engine: Engine
    options: dict[str, Any]
    info: ModelInfo
    digests: dict[str, str]
    registry: str | None = None
    local: str | None = None


def find_model(
    given: Any,
    storage: Storage,
    options: EngineOptions,
    *,
    warm: Looking | None = None,
    is_elsewhere: bool = False,
) -> FoundModel:
    """The model that a user means, as it is now.

    Args:
        given: a reference or an object.
        storage: with the settings in force.
        options: the engine, its options, another registry.
        warm: a runner that can look at the model instead of this process.
        is_elsewhere: whether it runs on other machines.

    Raises:
        ModelError: there is none, or no engine runs it.
        SpecError: the engine does not know an option, or the registry is of no use for the model or the pool.
        AccessError, RegistryError: the registry is not trusted, refuses, or does not answer.
    """
    model = normalize_model(given, storage, is_elsewhere=is_elsewhere)
    scheme = "" if isinstance(model, ModelObject) else parse_reference(model).scheme
    if options.registry is not None and scheme != "models":
        raise SpecError(
            "inference_engine_options.registry: only a model that is given as models:/<name>/<version> is looked up in "
            "a registry; leave it out"
        )
    if isinstance(model, ModelObject):
        engine = engine_for(OBJECT, options)
        digests = {"model": object_digest(model.value)}
        return FoundModel(model, engine, options.for_engine(), describe_object(model), digests)
    if scheme == "models":
        return _registered(model, storage, options, warm=warm, is_elsewhere=is_elsewhere)
    if scheme == "mlflow" and not (is_elsewhere and not Path(parse_reference(model).target).exists()):
        return _stored(model, storage, options, warm=warm)
    engine = engine_for(model, options)
    info = _describe(engine, model, options.for_engine(), storage, warm=warm, is_elsewhere=is_elsewhere)
    return FoundModel(model, engine, options.for_engine(), info, _digests(storage, model), local=model)


def content_of(storage: Storage, model: str) -> str:
    """What tells the file that a reference names from what stood there before; empty where it names none.

    Raises:
        FileNotFoundError: there is no such file.
    """
    reference = parse_reference(model)
    if reference.scheme not in ("pickle", "mlflow"):
        return ""
    file = reference.target if reference.scheme == "pickle" else f"{reference.target}/MLmodel"
    info = storage.info(file)
    return f"{info.size} {info.version}"


def _digests(storage: Storage, model: str) -> dict[str, str]:
    if not model.startswith("pickle:"):
        return {}
    return {"model": f"{model} {content_of(storage, model)}"}


def _registered(
    model: str, storage: Storage, options: EngineOptions, *, warm: Looking | None, is_elsewhere: bool
) -> FoundModel:
    """A registered model: pinned before anything else of it is looked at."""
    from gristmill.mlflow.address import registry_address
    from gristmill.mlflow.pin import pinned

    settings = storage.settings
    pin = pinned(model, settings, registry=options.registry)
    other = None if pin.registry == registry_address(settings) else pin.registry
    digests = {"model": f"{pin.reference} {pin.digest}"}
    if is_elsewhere:
        if is_embedded(pin.registry):
            raise SpecError(
                f"model {pin.reference!r}: the registry {pin.registry} is on this machine's disk, which the pool's "
                "cluster cannot reach; register the model at a server, and name it in settings.registry"
            )
        with _head(pin, settings) as (local, stored):
            engine = engine_for(local.reference, options)
            told = _told(engine, options, local.task, name=pin.reference)
            info = _assume(engine, stored, pin.reference, told, storage)
        return FoundModel(pin.reference, engine, told, info, digests, other)
    from gristmill.mlflow.resolved import localized

    here = localized(pin.reference, storage, registry=other, digest=pin.digest)
    engine = engine_for(here.reference, options)
    told = _told(engine, options, here.task, name=pin.reference)
    local = here.for_engine(engine.name)
    info = _describe(engine, local, told, storage, warm=warm, is_elsewhere=False)
    return FoundModel(pin.reference, engine, told, info, digests, other, local)


def _stored(model: str, storage: Storage, options: EngineOptions, *, warm: Looking | None) -> FoundModel:
    """A folder of MLflow, told from another that takes its place by its MLmodel file."""
    from gristmill.mlflow.resolved import localized

    content = content_of(storage, model)
    here = localized(model, storage)
    engine = engine_for(here.reference, options)
    told = _told(engine, options, here.task, name=model)
    local = here.for_engine(engine.name)
    known = _describe(engine, local, told, storage, warm=warm, is_elsewhere=False)
    digests = {"model": f"{model} {content}"}
    return FoundModel(model, engine, told, known, digests, local=local)


def _told(engine: Engine, options: EngineOptions, task: str | None, *, name: str) -> dict[str, Any]:
    """The options, and what the name of a registered model's folder does not say: its task, and what it is called."""
    told = options.for_engine()
    if task is not None and "task" in engine.option_names:
        told.setdefault("task", task)
    if engine.name == "vllm" and name.startswith("models:"):
        given = list(told.get("engine_args_override") or ())
        if not any(argument.replace("_", "-").startswith("--served-model-name") for argument in given):
            told["engine_args_override"] = [*given, f"--served-model-name={name}"]
    return told


@contextlib.contextmanager
def _head(pin: Any, settings: Settings) -> Iterator[tuple[Any, Any]]:
    """A reference to what little is read of a model that others run, and what that says."""
    from gristmill.mlflow.fetch import head_of
    from gristmill.mlflow.resolved import local_form
    from gristmill.mlflow.stored import StoredModel

    with head_of(pin) as folder:
        stored = StoredModel.read(folder)
        yield local_form(stored, settings), stored


def _assume(engine: Engine, stored: Any, model: str, options: dict[str, Any], storage: Storage) -> ModelInfo:
    """What is known of a model that this machine has not."""
    if isinstance(engine, AssumingEngine):
        return engine.assume(f"hf:{model}", options, storage)
    if engine.name == "python_generic":
        from gristmill.engines.registered import assume_stored

        return assume_stored(stored, options)
    return engine.describe(f"mlflow:{stored.folder}", options, storage)


def _describe(
    engine: Engine,
    model: str,
    options: dict[str, Any],
    storage: Storage,
    *,
    warm: Looking | None,
    is_elsewhere: bool,
) -> ModelInfo:
    """What is known of the model; asked of the warm runner, where there is one, since it needs the libraries anyway.

    A client that lacks the libraries or the model's folder may submit to a cluster that has them, where the engine can
    do with that.
    """
    if warm is not None:
        return warm.describe(engine.name, model, options)
    assuming = engine if is_elsewhere and isinstance(engine, AssumingEngine) else None
    if assuming is not None and _is_missing(model):
        return assuming.assume(model, options, storage)
    try:
        return engine.describe(model, options, storage)
    except MissingExtraError:
        if assuming is None:
            raise
        return assuming.assume(model, options, storage)
    except SystemExit as error:
        raise ModelError(
            f"model {model!r}: looking at it would have ended this process (exit code {error.code}); "
            "importing or loading a model must not exit"
        ) from error


def _is_missing(model: str) -> bool:
    """Whether the model is a folder that this machine has not."""
    reference = parse_reference(model)
    return reference.scheme == "hf" and is_local(reference.target) and not Path(reference.target).exists()
