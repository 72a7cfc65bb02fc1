"""Running a model from a folder of MLflow: each by the best way there is, by the signature that is stored with it.

A model that Gristmill has logged says how it is stored (`gristmill.mlflow.stored`). Of one that plain MLflow has logged
its flavors tell: estimators of scikit-learn, XGBoost and their like run as such, with all their functions, transformers
pipelines and sentence-transformers too; whatever else there is runs through MLflow's own Python interface.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from gristmill.engines.custom import FrameModel
from gristmill.engines.estimator import FUNCTIONS, EstimatorModel, describe_estimator
from gristmill.engines.native import estimator_flavor, load_estimator, load_flavor
from gristmill.engines.pipeline import PipelineModel, describe_hf, load_pipeline
from gristmill.engines.protocol import BatchModel, LoadContext, ModelInfo
from gristmill.engines.pyfunc import PyfuncModel
from gristmill.engines.requirements import check_requirements
from gristmill.engines.sentences import ENCODE, SentenceModel
from gristmill.engines.signed import SignedModel, overlaid
from gristmill.engines.tasks import TASKS, task_of
from gristmill.errors import GristmillError, ModelError
from gristmill.mlflow.custom import load_custom
from gristmill.mlflow.stored import StoredModel
from gristmill.models.signature import Signature

__all__ = ["assume_stored", "describe_stored", "load_stored"]

_Way = Literal["frames", "estimator", "pipeline", "checkpoint", "sentences", "pyfunc"]

_TORCH = ("torch", "transformers")
_PRELOAD: Mapping[_Way, tuple[str, ...]] = {
    "frames": ("pandas",),
    "estimator": ("numpy", "pandas", "sklearn", "sklearn.pipeline"),
    "pipeline": (*_TORCH, "transformers.pipelines", "mlflow.transformers"),
    "checkpoint": (*_TORCH, "transformers.pipelines"),
    "sentences": (*_TORCH, "sentence_transformers", "mlflow.sentence_transformers"),
    "pyfunc": ("pandas", "mlflow.pyfunc"),
}
"""What each way imports; done once before workers are forked."""


def describe_stored(stored: StoredModel, options: Mapping[str, Any]) -> ModelInfo:
    """The functions of a stored model. Only an estimator of plain MLflow is loaded for it, to see what it can do.

    Args:
        stored: the model.
        options: of the engine; `task` of a transformers model.

    Raises:
        ModelError: packages that it asks for are missing, or there is no way to run it; says which.
    """
    check_requirements(stored.requirements, model=_name(stored))
    way = _way(stored)
    if way == "estimator" and stored.form == "flavor":
        return _info_of_estimator(stored)
    if way == "checkpoint" and not stored.functions:
        return describe_hf(str(stored.checkpoint), options)
    return _known(stored, way)


def assume_stored(stored: StoredModel, options: Mapping[str, Any]) -> ModelInfo:
    """The same from the MLmodel file alone: an estimator of plain MLflow may turn out not to have all its functions."""
    way = _way(stored)
    if way == "estimator" and stored.form == "flavor":
        inputs = next(iter(stored.functions.values())).inputs
        functions = {name: Signature(inputs) for name in FUNCTIONS} | dict(stored.functions)
        return ModelInfo(functions, stored.default_function, uses_gpu=False)
    if way == "checkpoint" and not stored.functions:
        signature = TASKS[task_of(str(stored.checkpoint), options)].signature
        return ModelInfo({"__call__": signature}, "__call__")
    return _known(stored, way)


def load_stored(stored: StoredModel, context: LoadContext) -> BatchModel:
    """The model with its weights, ready to run.

    Raises:
        ModelError: it cannot be loaded here; says what is missing.
    """
    check_requirements(stored.requirements, model=context.model)
    with _loading(context.model):
        return _loaded(stored, context)


@contextlib.contextmanager
def _loading(model: str) -> Iterator[None]:
    try:
        yield
    except GristmillError:
        raise
    except ModuleNotFoundError as error:
        raise ModelError(f"model {model!r} needs the module {error.name!r}, which is not installed here") from error
    except Exception as error:  # whatever unpickling and building the model raise
        raise ModelError(f"model {model!r} cannot be loaded: {type(error).__name__}: {error}") from error


def _loaded(stored: StoredModel, context: LoadContext) -> BatchModel:
    way = _way(stored)
    signature = stored.functions.get(context.function, Signature())
    if way == "frames":
        found = load_custom(stored.folder)
        function = found if stored.form == "function" else getattr(found, context.function)
        return FrameModel(function, context, signature=signature)
    if way == "estimator":
        estimator = load_estimator(stored)
        own = describe_estimator(estimator).functions
        if context.function not in own:
            raise ModelError(f"model {context.model!r} has no function {context.function!r}, only {', '.join(own)}")
        signature = _whole(own[context.function], signature)
        return SignedModel(lambda narrowed: EstimatorModel(estimator, narrowed), context, signature)
    if way == "pyfunc":
        return PyfuncModel(load_flavor("pyfunc", stored), context, signature)
    if not _is_ours(stored):
        signature = Signature()  # MLflow's own for these is of texts without names, and of embeddings as numbers
    if way == "sentences":
        model = load_flavor("sentence_transformers", stored)
        return SignedModel(lambda narrowed: SentenceModel(model, narrowed), context, signature)
    if way == "checkpoint":
        return SignedModel(lambda narrowed: load_pipeline(str(stored.checkpoint), narrowed), context, signature)
    pipeline = load_flavor("transformers", stored)
    return SignedModel(lambda narrowed: PipelineModel(pipeline, narrowed), context, signature)


def _way(stored: StoredModel) -> _Way:
    """How a model runs, told from its MLmodel file alone."""
    if stored.form in ("custom", "function"):
        return "frames"
    if stored.form in ("estimator", "pipeline", "checkpoint"):
        return stored.form
    flavors = stored.flavors
    if estimator_flavor(stored) is not None:
        return "estimator"
    if "sentence_transformers" in flavors:
        return "sentences"
    if str(flavors.get("transformers", {}).get("task")) in TASKS:
        return "pipeline"
    if "python_function" in flavors:
        return "pyfunc"
    raise ModelError(
        f"model {_name(stored)!r} has no flavor that can be run over rows ({', '.join(flavors) or 'none'}); "
        "log it with its pyfunc flavor"
    )


def _is_ours(stored: StoredModel) -> bool:
    """Whether what is said of the functions is Gristmill's; plain MLflow knows one, under the name `predict`."""
    return stored.form != "flavor" or [*stored.functions] != ["predict"]


def _known(stored: StoredModel, way: _Way) -> ModelInfo:
    functions, default = stored.functions, stored.default_function
    if way == "sentences" and not _is_ours(stored):
        functions, default = {"encode": ENCODE, "predict": ENCODE}, "encode"
    if way == "pipeline" and not _is_ours(stored):
        task = TASKS[str(stored.flavors["transformers"]["task"])]
        functions, default = {"__call__": task.signature, "predict": task.signature}, "__call__"
    return ModelInfo(functions, default, uses_gpu=way != "estimator", preload=_PRELOAD[way])


def _info_of_estimator(stored: StoredModel) -> ModelInfo:
    with _loading(_name(stored)):
        estimator = load_estimator(stored)
        info = describe_estimator(estimator)
    inputs = next(iter(stored.functions.values())).inputs
    functions = {
        name: _whole(own, stored.functions.get(name, Signature(inputs))) for name, own in info.functions.items()
    }
    default = stored.default_function if stored.default_function in functions else info.default_function
    return replace(info, functions=functions, default_function=default)


def _whole(own: Signature, stored: Signature) -> Signature:
    """The stored signature of an estimator's function, with all columns that it was fitted on.

    MLflow calls those optional in which the example had nulls, and they are none that its signature asks for here.
    """
    found = overlaid(own, stored)
    fitted, asked = own.inputs or (), {feature.name: feature for feature in found.inputs or ()}
    if asked.keys() < {feature.name for feature in fitted}:
        return replace(found, inputs=tuple(asked.get(feature.name, feature) for feature in fitted))
    return found


def _name(stored: StoredModel) -> str:
    return f"mlflow:{stored.folder}"
