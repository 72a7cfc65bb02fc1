"""`Target`: a function of a model, found and described, before anything is known of its rows."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gristmill.engines.protocol import Engine, ModelInfo
from gristmill.engines.python import describe_object
from gristmill.engines.registry import engine_for
from gristmill.errors import ModelError
from gristmill.models.objects import ModelObject
from gristmill.models.reference import normalize_model
from gristmill.models.signature import Signature
from gristmill.spec.engine import EngineOptions
from gristmill.storage.storage import Storage
from gristmill.submission.checks import choose_function

__all__ = ["Target", "target_of"]

_OBJECT = "pickle:object"
"""What stands for an object where an engine is looked for; it is never saved."""


@dataclass(frozen=True, slots=True)
class Target:
    """A function of a model.

    Attributes:
        model: the model's reference, or the object.
        engine: what runs it.
        options: the engine's options.
        info: what is known of the model.
        function: the function's name.
        signature: the function's.
        key: the same text for the same function of the same model; None for an object, which nothing tells again.
    """

    model: str | ModelObject
    engine: Engine
    options: Mapping[str, Any]
    info: ModelInfo
    function: str
    signature: Signature
    key: str | None


def target_of(
    model: Any,
    storage: Storage,
    *,
    function_name: str | None = None,
    engine_options: Mapping[str, Any] | None = None,
) -> Target:
    """The function that a user means; a reference that may move is pinned to what it stands for now.

    Raises:
        ModelError: there is no such model or function, or it cannot be run here.
        SpecError: the engine does not know an option.

    Example:
        >>> target_of("echo:", storage).function
        'echo'
    """
    options = EngineOptions.of(engine_options)
    told = options.for_engine()
    found = normalize_model(model, storage)
    key = None
    if isinstance(found, ModelObject):
        engine = engine_for(_OBJECT, options)
        info = describe_object(found)
    else:
        engine = engine_for(found, options)
        content = _content(found, storage)
        key = json.dumps([found, content, engine.name, told], sort_keys=True, default=repr)
        info = _described.of(key, lambda: engine.describe(found, told, storage))
    function, signature = choose_function(info, function_name, model=str(model))
    return Target(found, engine, told, info, function, signature, None if key is None else f"{key} {function}")


def _content(model: str, storage: Storage) -> str:
    """What tells what a reference leads to from what it led to before."""
    if not model.startswith("pickle:"):
        return ""
    try:
        info = storage.info(model.removeprefix("pickle:"))
    except FileNotFoundError as error:
        raise ModelError(f"model {model!r}: there is no such file") from error
    return f"{info.size} {info.version}"


class _Described:
    """What models said of themselves: to look at a pickled one is to load it, which had better not be done each time.

    Args:
        kept: how many.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._infos: OrderedDict[str, ModelInfo] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: str, describe: Callable[[], ModelInfo]) -> ModelInfo:
        """What is known of the model of a key, described if nobody has yet."""
        with self._lock:
            if key in self._infos:
                self._infos.move_to_end(key)
                return self._infos[key]
        info = describe()
        with self._lock:
            self._infos[key] = info
            if len(self._infos) > self._kept:
                self._infos.popitem(last=False)
        return info


_described = _Described(kept=256)
