"""Models as objects: what they are, loading them from a reference, saving them under a job."""

import hashlib
import importlib
import inspect
import io
import pickle
import site
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Literal

from gristmill.errors import MissingExtraError, ModelError
from gristmill.models.custom import ModelContext, inference_functions
from gristmill.storage.storage import Storage

__all__ = [
    "ModelObject",
    "ObjectKind",
    "check_class",
    "instance_of",
    "load_object",
    "modules_by_value",
    "object_digest",
    "object_kind",
    "pickle_object",
    "save_object",
]

ObjectKind = Literal["custom", "estimator", "function", "pipeline"]
"""A custom model (class or instance), a scikit-learn estimator, a function over frames, a transformers pipeline."""

_BY_VALUE = threading.RLock()
"""Cloudpickle keeps one list of such modules for the whole process."""


@dataclass(frozen=True, slots=True)
class ModelObject:
    """A model given as an object; `save_object` makes a reference of it.

    Attributes:
        value: the object.
        kind: what it is.
    """

    value: Any
    kind: ObjectKind


def object_kind(value: Any) -> ObjectKind:
    """What kind of model an object is, told without importing the library it comes from.

    Raises:
        ModelError: it is no model.
    """
    if inference_functions(value):
        return "custom"
    owner = value if isinstance(value, type) else type(value)
    if not isinstance(value, type):
        if any(base.__module__.startswith("transformers.pipelines") for base in owner.__mro__):
            return "pipeline"
        if hasattr(value, "get_params") and (hasattr(value, "predict") or hasattr(value, "transform")):
            return "estimator"
        if isinstance(value, FunctionType) and _takes_frame(value):
            return "function"
    what = (
        f"the class {owner.__qualname__}"
        if isinstance(value, type)
        else f"an object of {owner.__module__}.{owner.__qualname__}"
    )
    raise ModelError(
        f"{what} is no model: give a class or an object with @inference_api methods, a fitted scikit-learn estimator, "
        "a transformers pipeline, or a function over frames"
    )


def _takes_frame(function: FunctionType) -> bool:
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    return (
        sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds) == 1
    )


def load_object(scheme: str, target: str, storage: Storage) -> Any:
    """The object that a `python:` or `pickle:` reference names; a function without arguments is called for it.

    A class stays a class, so that what is known of it can be read without building it: see `instance_of`.

    Raises:
        ModelError: it cannot be found or loaded; says what is missing.
    """
    found = _import(target) if scheme == "python" else _unpickle(target, storage)
    if isinstance(found, FunctionType) and not inspect.signature(found).parameters:
        found = found()
    return found


def instance_of(model: Any) -> Any:
    """The model itself for an object; for a class an object of it, with an empty context where it needs one.

    Raises:
        ModelError: the class needs more than that.
    """
    return model(**_arguments(model)) if isinstance(model, type) else model


def check_class(model: Any) -> None:
    """Refuse a class that `instance_of` could not build, without building it; an object is no class.

    Raises:
        ModelError: it needs more than a context.
    """
    if isinstance(model, type):
        _arguments(model)


def _arguments(model: type) -> dict[str, Any]:
    required = [
        parameter.name
        for parameter in inspect.signature(model).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if required and required != ["context"]:
        raise ModelError(
            f"the class {model.__qualname__} needs arguments ({', '.join(required)}): "
            "give an object of it, or a function without arguments that returns one"
        )
    return {name: ModelContext() for name in required}


def _import(target: str) -> Any:
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(missing + "."):
            problem = f"the module {missing!r} cannot be found here; install it, or put its folder on PYTHONPATH"
        else:
            problem = f"the module {module_name!r} needs {missing!r}, which is not installed here"
        raise ModelError(f"model 'python:{target}': {problem}") from error
    except Exception as error:  # whatever a user's module raises while it is imported
        raise ModelError(
            f"model 'python:{target}': importing {module_name!r} failed: {type(error).__name__}: {error}"
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise ModelError(f"model 'python:{target}': {module_name!r} has no attribute {path!r}")
        found = getattr(found, name)
    return found


def _unpickle(location: str, storage: Storage) -> Any:
    try:
        with storage.open(location) as file:
            return _reader()(file)
    except FileNotFoundError as error:
        raise ModelError(f"model 'pickle:{location}': there is no such file") from error
    except ModuleNotFoundError as error:
        raise ModelError(
            f"model 'pickle:{location}' needs the module {error.name!r}, which is not installed here"
        ) from error
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(f"model 'pickle:{location}' cannot be loaded: {type(error).__name__}: {error}") from error


def _reader() -> Callable[[Any], Any]:
    try:
        import joblib
    except ImportError:
        return pickle.load
    read: Callable[[Any], Any] = joblib.load  # reads plain pickles too
    return read


def pickle_object(value: Any) -> bytes:
    """The object as bytes that can be loaded where the caller's own modules are not.

    Classes and functions of `__main__` and of modules that are not installed travel with the object.

    Raises:
        ModelError: it cannot be pickled.
        MissingExtraError: cloudpickle is not installed.
    """
    try:
        import cloudpickle
    except ImportError as error:
        raise MissingExtraError.of("cloudpickle", "python", need="a model given as an object") from error
    buffer = io.BytesIO()
    with modules_by_value():
        try:
            cloudpickle.dump(value, buffer)
        except Exception as error:  # whatever an object's own pickling raises
            raise ModelError(
                f"the model ({type(value).__qualname__}) cannot be pickled: {type(error).__name__}: {error}; "
                "give it as python:package.module:attribute instead"
            ) from error
    return buffer.getvalue()


def object_digest(value: Any) -> str:
    """What tells a model from another one, the same in every process: its code by source, its state by content.

    Pickles do not serve: those of classes that travel by value differ from one process to the next.

    Raises:
        MissingExtraError: joblib is not installed.
    """
    try:
        import joblib
    except ImportError as error:
        raise MissingExtraError.of("joblib", "python", need="a model given as an object") from error
    owner = value if isinstance(value, type | FunctionType) else type(value)
    try:
        code = inspect.getsource(owner)
    except (OSError, TypeError):
        code = ""  # built in, or typed at a prompt
    state = "" if owner is value else joblib.hash(getattr(value, "__dict__", None) or pickle_object(value))
    text = f"{owner.__module__}.{owner.__qualname__}\0{code}\0{state}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def save_object(value: Any, storage: Storage, location: str) -> str:
    """Save a model under a folder and return its reference; the name follows from the content.

    Args:
        value: the object, or a `ModelObject`.
        storage: where to write.
        location: the folder, in normal form.
    """
    data = pickle_object(value.value if isinstance(value, ModelObject) else value)
    target = f"{location.rstrip('/')}/model-{hashlib.sha256(data).hexdigest()[:16]}.pkl"
    storage.write_bytes(target, data)
    return f"pickle:{target}"


def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    named = [
        paths["stdlib"],
        paths["platstdlib"],
        paths["purelib"],
        paths["platlib"],
        *site.getsitepackages(),
        site.getusersitepackages(),
    ]
    return tuple(Path(path).resolve() for path in named)


def _local_modules() -> Iterator[ModuleType]:
    installed = _installed_folders()
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if (
            not origin
            or name == "__main__"
            or name.partition(".")[0] == "gristmill"
            or not isinstance(module, ModuleType)
        ):
            continue
        if not _is_installed(origin.rpartition("/")[0], installed):
            yield module


@cache
def _is_installed(folder: str, installed: tuple[Path, ...]) -> bool:
    """Whether a folder of modules is among the installed ones; thousands of modules stand in some hundred folders."""
    real = Path(folder).resolve()
    return any(real.is_relative_to(root) for root in installed)


@contextmanager
def modules_by_value() -> Iterator[None]:
    """Within this, cloudpickle takes along the code of modules that are not installed; one thread at a time.

    Raises:
        MissingExtraError: cloudpickle is not installed.
    """
    try:
        import cloudpickle
    except ImportError as error:
        raise MissingExtraError.of("cloudpickle", "python", need="a model given as an object") from error
    with _BY_VALUE:
        chosen = [
            module for module in _local_modules() if module.__name__ not in cloudpickle.list_registry_pickle_by_value()
        ]
        registered = []
        try:
            for module in chosen:
                if module.__name__ in sys.modules:
                    cloudpickle.register_pickle_by_value(module)
                    registered.append(module)
            yield
        finally:
            for module in registered:
                cloudpickle.unregister_pickle_by_value(module)
