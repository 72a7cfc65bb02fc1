"""`Target`: a function of a model, found and described, before anything is known of its rows."""

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from gristmill.engines.protocol import Engine, ModelInfo
from gristmill.engines.python import describe_object
from gristmill.engines.registry import engine_for, load_engine
from gristmill.errors import ModelError
from gristmill.models.objects import ModelObject, object_kind
from gristmill.models.signature import Signature
from gristmill.settings import Settings
from gristmill.spec.engine import EngineOptions
from gristmill.storage.storage import Storage
from gristmill.submission.checks import choose_function
from gristmill.submission.model import OBJECT, FoundModel, content_of, find_model

__all__ = ["Target", "found_model", "storage_for", "target_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """A function of a model.

    Attributes:
        model: the reference that the engine is given on this machine, or the object.
        engine: what runs it.
        options: the engine's options.
        function: the function's name.
        signature: the function's.
        key: the same for the same function of the same model, asked at the same endpoints; None for an object, which
            nothing tells again.
    """

    model: str | ModelObject
    engine: Engine
    options: Mapping[str, Any]
    function: str
    signature: Signature
    key: Hashable | None


def storage_for(settings: Settings, engine_options: Mapping[str, Any] | None) -> Storage:
    """Storage with the settings, which know the service of ours that engine options name as an endpoint.

    Raises:
        ServiceFailedError: the service has ended.
    """
    if isinstance(engine_options, Mapping) and "endpoint" in engine_options:
        from gristmill.services.endpoint import with_service

        settings = with_service(settings, engine_options, pool="inline")
    return Storage(settings)


def found_model(model: Any, storage: Storage, engine_options: Mapping[str, Any] | None = None) -> FoundModel:
    """The model that a user means, with what is known of it, or was when its files were the same.

    Raises:
        ModelError: there is no such model, or it cannot be run here.
        SpecError: the engine does not know an option.
    """
    options = EngineOptions.of(engine_options)
    if not isinstance(model, str | os.PathLike) and options.registry is None:
        # an object stays as it is: it is neither hashed nor pickled
        given = ModelObject(model, object_kind(model))
        return FoundModel(given, engine_for(OBJECT, options), options.for_engine(), describe_object(given), {})
    return find_model(model, storage, options, warm=_Seen(storage))


def target_of(
    model: Any,
    storage: Storage,
    *,
    function_name: str | None = None,
    engine_options: Mapping[str, Any] | None = None,
) -> Target:
    """The function that a user means; a registered model is pinned to the version that its reference means now.

    Raises:
        ModelError: there is no such model or function, or it cannot be run here.
        SpecError: the engine does not know an option.

    Example:
        >>> target_of("echo:", storage).function
        'echo'
    """
    found = found_model(model, storage, engine_options)
    function, signature = choose_function(found.info, function_name, model=str(model))
    if found.local is None:
        return Target(found.model, found.engine, found.options, function, signature, None)
    told = [found.local, found.digests, found.engine.name, found.options, function]
    key = json.dumps(told, sort_keys=True, default=repr), frozenset(storage.settings.endpoints.items())
    return Target(found.local, found.engine, found.options, function, signature, key)


class _Seen:
    """What models have said of themselves: to look at a pickled one is to load it, which is not done for each call.

    See `gristmill.submission.model.Looking`.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def describe(self, engine: str, model: str, options: dict[str, Any]) -> ModelInfo:
        """What the engine says, or has said when the model's file was the same."""
        key = json.dumps([engine, model, options, self._content(model)], sort_keys=True, default=repr)
        with _lock:
            if key in _infos:
                _infos.move_to_end(key)
                return _infos[key]
        info = load_engine(engine).describe(model, options, self._storage)
        with _lock:
            _infos[key] = info
            if len(_infos) > _KEPT:
                _infos.popitem(last=False)
        return info

    def _content(self, model: str) -> str:
        try:
            return content_of(self._storage, model)
        except FileNotFoundError as error:
            raise ModelError(f"model {model!r}: there is no such file") from error


_KEPT = 256
_infos: OrderedDict[str, ModelInfo] = OrderedDict()
_lock = threading.Lock()
