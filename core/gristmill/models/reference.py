"""References: a model as text, the form in which a job's record names it.

- `python:package.module:attribute`: a class with `@inference_api` methods, an instance of one, an estimator,
  a pipeline, a function over frames, or a function without arguments that returns one of these;
- `pickle:<location>`: such an object, saved with joblib or cloudpickle;
- `hf:<org/name>` or `hf:<folder>`: a transformers model;
- `models:/<name>/<version>`: a registered model, see `gristmill.models.registered`;
- `mlflow:<folder>`: a model that MLflow has stored in a folder, with its `MLmodel` file;
- `<scheme>:...` with any other scheme belongs to the engine that handles it, such as `echo:`.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.errors import ModelError
from gristmill.models.objects import ModelObject, object_kind
from gristmill.models.registered import parse_registered
from gristmill.storage.location import is_local, scheme_of
from gristmill.storage.storage import Storage

__all__ = ["ModelReference", "normalize_model", "parse_reference"]

_REFERENCE = re.compile(r"([a-z][a-z0-9_+\-]*):(?!//)(.*)", re.DOTALL)
_ATTRIBUTE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)?")
_PICKLES = (".joblib", ".pickle", ".pkl")
_FORMS = (
    "write python:package.module:attribute, pickle:<location> (or a path that ends in .joblib or .pkl), "
    "hf:<org/name or folder>, models:/<name>/<version>, mlflow:<folder>, or give the object itself"
)


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model reference in its parts.

    Attributes:
        scheme: what stands before the first colon, such as `python`.
        target: what stands after it.
    """

    scheme: str
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.target}"


def parse_reference(text: str) -> ModelReference:
    """The parts of a model reference.

    Raises:
        ModelError: the text is not one; says the forms.

    Example:
        >>> parse_reference("python:shop.models:Ranker")
        ModelReference(scheme='python', target='shop.models:Ranker')
    """
    match = _REFERENCE.fullmatch(text.strip())
    if not match:
        hint = (
            f"; for an object of a module write 'python:{text.strip()}'" if _ATTRIBUTE.fullmatch(text.strip()) else ""
        )
        raise ModelError(f"model {text!r} is not a model reference: {_FORMS}{hint}")
    reference = ModelReference(match[1], match[2].strip())
    if reference.scheme == "python" and not _ATTRIBUTE.fullmatch(reference.target):
        raise ModelError(
            f"model {text!r} does not name an attribute of a module: write python:package.module:attribute"
        )
    if reference.scheme in ("pickle", "hf", "mlflow") and not reference.target:
        raise ModelError(f"model {text!r} names nothing after the colon: {_FORMS}")
    return reference


def normalize_model(model: Any, storage: Storage, *, is_elsewhere: bool = False) -> str | ModelObject:
    """A model as a user gives it, as a reference that means the same anywhere on this storage, or as an object to save.

    Args:
        model: a reference, the path of a `.joblib` or `.pkl` file or of a model folder, or an object: an estimator, a
            custom model (class or instance), a transformers pipeline, a function over frames.
        storage: resolves stages and relative paths.
        is_elsewhere: whether the model is run on other machines, whose disks may have folders that this one has not.

    Raises:
        ModelError: it is none of these; says the forms.
    """
    if isinstance(model, os.PathLike):
        return _of_path(os.fspath(model), storage)
    if not isinstance(model, str):
        return ModelObject(model, object_kind(model))
    text = model.strip()
    if _looks_like_path(text):
        return _of_path(text, storage)
    reference = parse_reference(text)
    if reference.scheme == "pickle":
        return f"pickle:{storage.resolve(reference.target, what='model')}"
    if reference.scheme == "hf":
        return f"hf:{_hf_target(reference.target, storage, is_elsewhere=is_elsewhere)}"
    if reference.scheme == "models":
        return str(parse_registered(text))
    if reference.scheme == "mlflow":
        return f"mlflow:{_mlflow_folder(reference.target, storage, is_elsewhere=is_elsewhere)}"
    return str(reference)


def _looks_like_path(text: str) -> bool:
    if _REFERENCE.fullmatch(text):
        return False
    return (
        text.startswith(("@", "/", "./", "../", "~"))
        or text.lower().endswith(_PICKLES)
        or (bool(text) and Path(text).is_dir())
    )


def _of_path(path: str, storage: Storage) -> str:
    if path.lower().endswith(_PICKLES):
        return f"pickle:{storage.resolve(path, what='model')}"
    location = storage.resolve(path, what="model")
    if is_local(location) and (Path(location) / "config.json").is_file():
        return f"hf:{location}"
    if is_local(location) and (Path(location) / "MLmodel").is_file():
        return f"mlflow:{location}"
    raise ModelError(
        f"model {path!r} is neither a .joblib or .pkl file nor a folder with a config.json or an MLmodel file: {_FORMS}"
    )


def _hf_target(target: str, storage: Storage, *, is_elsewhere: bool) -> str:
    if not (target.startswith(("@", "/", ".", "~")) or "://" in target or Path(target).is_dir()):
        if not _HUB_NAME.fullmatch(target):
            raise ModelError(f"model 'hf:{target}' is neither the name of a model (org/name) nor a folder")
        return target
    location = storage.resolve(target, what="model")
    if not is_local(location):
        raise ModelError(
            f"model 'hf:{target}' is on {scheme_of(location)}; transformers reads folders: copy it to a local one"
        )
    if is_elsewhere and not Path(location).exists():
        return location
    if not (Path(location) / "config.json").is_file():
        raise ModelError(f"model 'hf:{target}': there is no config.json in {location!r}")
    return location


def _mlflow_folder(target: str, storage: Storage, *, is_elsewhere: bool) -> str:
    location = storage.resolve(target, what="model")
    if not is_local(location):
        raise ModelError(
            f"model 'mlflow:{target}' is on {scheme_of(location)}; register it and write models:/<name>/<version>, or "
            "copy it to a local folder"
        )
    if is_elsewhere and not Path(location).exists():
        return location
    if not (Path(location) / "MLmodel").is_file():
        raise ModelError(f"model 'mlflow:{target}': there is no file MLmodel in {location!r}")
    return location
