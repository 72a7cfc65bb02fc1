"""Loading the estimator of a folder of MLflow, without importing MLflow, which takes seconds in each worker."""

import importlib
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gristmill.errors import MissingExtraError, ModelError
from gristmill.mlflow.stored import StoredModel
from gristmill.models.objects import object_kind

__all__ = ["estimator_flavor", "load_estimator", "load_flavor"]

_ESTIMATORS = ("sklearn", "xgboost", "lightgbm", "catboost")
"""Flavors whose models may be estimators."""
_BOOSTERS = frozenset({"xgboost.core.Booster", "lightgbm.basic.Booster", "CatBoost"})
_ALLOWED = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"


def estimator_flavor(stored: StoredModel) -> str | None:
    """The flavor by which a stored model is an estimator; None where it is none.

    Example:
        >>> flavors = {"xgboost": {"model_class": "xgboost.sklearn.XGBClassifier"}, "python_function": {}}
        >>> estimator_flavor(StoredModel("", "flavor", {}, None, flavors))
        'xgboost'
    """
    for name in _ESTIMATORS:
        if name in stored.flavors:
            flavor = stored.flavors[name]
            owner = str(flavor.get("model_class") or flavor.get("model_type") or _default_class(name))
            return None if owner in _BOOSTERS else name
    return None


def _default_class(flavor: str) -> str:
    return "xgboost.core.Booster" if flavor == "xgboost" else ""


def load_estimator(stored: StoredModel) -> Any:
    """The estimator of a stored model.

    Raises:
        ModelError: it is no estimator, or the environment forbids to unpickle models.
    """
    name = estimator_flavor(stored)
    assert name is not None
    if name == "sklearn":
        found = _load_sklearn(Path(stored.folder), stored.flavors[name])
    elif name == "xgboost":
        found = _load_xgboost(Path(stored.folder), stored.flavors[name])
    else:
        found = load_flavor(name, stored)
    if object_kind(found) != "estimator":
        raise ModelError(f"model 'mlflow:{stored.folder}' is {type(found).__qualname__}, which is no estimator")
    return found


def load_flavor(name: str, stored: StoredModel) -> Any:
    """The model as MLflow's module for a flavor loads it.

    Raises:
        MissingExtraError: MLflow is not installed.
    """
    try:
        library = importlib.import_module(f"mlflow.{name}")
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "mlflow":
            raise
        raise MissingExtraError.of("mlflow", "mlflow", need="a model of MLflow") from error
    from gristmill.mlflow.quiet import quiet

    with quiet():
        return library.load_model(stored.folder)


def _load_sklearn(folder: Path, flavor: Mapping[str, Any]) -> Any:
    if os.environ.get(_ALLOWED, "").lower() in ("false", "0"):
        raise ModelError(
            f"model 'mlflow:{folder}' would be unpickled, which may run code, and {_ALLOWED} forbids it; unset it, and "
            "say in settings.trusted_registries from where models may come"
        )
    _find_code(folder, flavor)
    path = folder / str(flavor["pickled_model"])
    how = flavor.get("serialization_format", "pickle")
    if how == "skops":
        import skops.io  # type: ignore[import-untyped]

        return skops.io.load(path, trusted=flavor.get("skops_trusted_types"))
    if how not in ("cloudpickle", "pickle"):
        raise ModelError(f"model 'mlflow:{folder}' is stored as {how!r}, which this Gristmill does not know; update it")
    with path.open("rb") as file:
        return pickle.load(file)  # cloudpickle writes what pickle reads


def _load_xgboost(folder: Path, flavor: Mapping[str, Any]) -> Any:
    _find_code(folder, flavor)
    module, _, name = str(flavor["model_class"]).rpartition(".")
    model = getattr(importlib.import_module(module), name)()
    model.load_model(str(folder / str(flavor["data"])))
    return model


def _find_code(folder: Path, flavor: Mapping[str, Any]) -> None:
    """Have modules found that were logged with the model."""
    if flavor.get("code") and (path := str(folder / str(flavor["code"]))) not in sys.path:
        sys.path.insert(0, path)
