"""Custom models and functions in a model's folder: the object, pickled, and the files it is built from beside it.

::

    model/model.pkl          the object, or its class and the models that it is built from
    model/context.json       its files by name, and whether it is built again
    model/artifacts/0/...    the context's files, each in a folder of its own

A `CustomModel` that is made of nothing but a context, with models or files, is built again from its class and its
context where it is loaded, as when it was first made; files are then where they were copied to. A class is built where
it is loaded, too. Any other object is loaded as it was, and paths of its context's files in it lead to the copies.
"""

import errno
import inspect
import io
import json
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from gristmill.errors import GristmillError, MissingExtraError, ModelError
from gristmill.models.custom import CustomModel, ModelContext
from gristmill.models.objects import instance_of, modules_by_value
from gristmill.storage.location import is_local
from gristmill.storage.storage import Storage

__all__ = ["MODEL", "check_artifacts", "load_custom", "save_custom"]

MODEL = "model"
"""The folder, within a model's, that holds the object and its files."""

_FILE = "model.pkl"
_CONTEXT = "context.json"
_ARTIFACTS = "artifacts"


def check_artifacts(model: Any, storage: Storage) -> dict[str, str]:
    """Where the files of a model's context are, by name; empty for a model without any.

    Raises:
        ModelError: one does not exist or may not be read.
    """
    found = {}
    for name, given in _context_of(model).artifacts.items():
        location = storage.resolve(given, what=f"the model's artifact {name!r}")
        try:
            there = Path(location).exists() if is_local(location) else _is_there(storage, location)
        except OSError as error:
            raise ModelError(f"the model's artifact {name!r} ({given}) may not be read: {error}") from error
        if not there:
            raise ModelError(f"the model's artifact {name!r}: there is no file or folder {given}; write it first")
        found[name] = location
    return found


def _is_there(storage: Storage, location: str) -> bool:
    return storage.exists(location) or next(iter(storage.list(location)), None) is not None


def _context_of(model: Any) -> ModelContext:
    context = getattr(model, "context", None) if not isinstance(model, type) else None
    return context if isinstance(context, ModelContext) else ModelContext()


def save_custom(model: Any, folder: Path, storage: Storage) -> None:
    """Write a custom model or a function into a model's folder.

    Args:
        model: a class or an object with `@inference_api` methods, or a function over frames.
        folder: the model's folder; `model/` is made in it.
        storage: where files of the context may lie.

    Raises:
        ModelError: a file of the context is missing, or the object cannot be pickled.
    """
    places = check_artifacts(model, storage)
    target = folder / MODEL
    target.mkdir(parents=True)
    copies = {
        name: _copied(location, target / _ARTIFACTS / str(number), storage, name=name)
        for number, (name, location) in enumerate(places.items())
    }
    written = {name: path.relative_to(target).as_posix() for name, path in copies.items()}
    context = _context_of(model)
    builds = _is_built_from_context(model, context)
    value = (type(model), dict(context.models)) if builds else model
    moved = {} if builds else {str(path): written[name] for name, path in context.artifacts.items()}
    (target / _FILE).write_bytes(_pickled(value, moved, what=type(model).__qualname__))
    (target / _CONTEXT).write_text(json.dumps({"builds": builds, "artifacts": written}), encoding="utf-8")


def _is_built_from_context(model: Any, context: ModelContext) -> bool:
    if not isinstance(model, CustomModel) or not (context.models or context.artifacts):
        return False
    signature = inspect.signature(type(model))
    try:
        signature.bind(context)
    except TypeError:
        return False
    return len(signature.parameters) == 1  # what else it was made with would be lost


def _copied(location: str, folder: Path, storage: Storage, *, name: str) -> Path:
    """The copy of a file or folder of a context, within a folder of its own."""
    target = folder / PurePath(location.rstrip("/")).name
    folder.mkdir(parents=True)
    try:
        if not is_local(location):
            _fetch(location.rstrip("/"), target, storage)
        elif Path(location).is_dir():
            shutil.copytree(location, target)
        else:
            shutil.copyfile(location, target)
    except (OSError, shutil.Error) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ModelError(f"the model's artifact {name!r} ({location}) cannot be copied: {error}") from error
    return target


def _fetch(location: str, target: Path, storage: Storage) -> None:
    for info in list(storage.list(location)):
        inner = info.location.removeprefix(location).lstrip("/")
        path = target / inner if inner else target
        path.parent.mkdir(parents=True, exist_ok=True)
        with storage.open(info.location) as source, path.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1024**2)


def _pickled(value: Any, moved: Mapping[str, str], *, what: str) -> bytes:
    """The object; a path of `moved`, or below one, is written as that place of the model's folder."""
    try:
        import cloudpickle
    except ImportError as error:
        raise MissingExtraError.of("cloudpickle", "python", need="a model given as an object") from error

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def persistent_id(self, item: Any) -> Any:
            return _place_of(item, moved) if moved and isinstance(item, str | PurePath) else None

    buffer = io.BytesIO()
    with modules_by_value():
        try:
            Pickler(buffer).dump(value)
        except Exception as error:  # whatever an object's own pickling raises
            raise ModelError(
                f"the model ({what}) cannot be pickled: {type(error).__name__}: {error}; "
                "leave out of it what cannot be stored, such as connections and locks, and make that where it is used"
            ) from error
    return buffer.getvalue()


def _place_of(item: str | PurePath, moved: Mapping[str, str]) -> tuple[str, str, bool] | None:
    text = str(item)
    if "/" not in text:
        return None  # a word that is a file's name may as well be a column's
    for path, place in moved.items():
        root = path.rstrip("/")
        if text.rstrip("/") == root or text.startswith(root + "/"):
            return place, text[len(root) :].strip("/"), isinstance(item, PurePath)
    return None


class _Unpickler(pickle.Unpickler):
    """Reads paths of a context's files as they are here."""

    def __init__(self, file: Any, folder: Path) -> None:
        super().__init__(file)
        self._folder = folder

    def persistent_load(self, pid: Any) -> Any:
        place, inner, is_path = pid
        path = self._folder / place / inner
        return path if is_path else str(path)


def load_custom(folder: str | Path) -> Any:
    """The custom model or function that `save_custom` wrote; its context's files are those in the folder.

    Of a class it is an object: see `gristmill.models.objects.instance_of`.

    Args:
        folder: the model's folder, which holds `model/`.

    Raises:
        ModelError: it cannot be loaded; says what is missing.
    """
    target = Path(folder).absolute() / MODEL
    try:
        context = json.loads((target / _CONTEXT).read_text(encoding="utf-8"))
        with (target / _FILE).open("rb") as file:
            value = _Unpickler(file, target).load()
        artifacts = {name: str(target / place) for name, place in context["artifacts"].items()}
        if context["builds"]:
            owner, models = value
            return owner(ModelContext(models=models, artifacts=artifacts))
        value = instance_of(value)
    except GristmillError:
        raise
    except ModuleNotFoundError as error:
        raise ModelError(
            f"the model in {str(folder)!r} needs the module {error.name!r}, which is not installed here"
        ) from error
    except Exception as error:  # whatever unpickling and building the model raise
        raise ModelError(f"the model in {str(folder)!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if artifacts:
        _context_of(value).artifacts.update(artifacts)
    return value
