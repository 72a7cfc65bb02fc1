"""The engine of Python models: estimators, custom models, functions over frames, transformers pipelines."""

from collections.abc import Mapping
from typing import Any

from gristmill.engines.custom import FrameModel, describe_custom, describe_function
from gristmill.engines.estimator import EstimatorModel, describe_estimator
from gristmill.engines.pipeline import PipelineModel, describe_hf, describe_pipeline, load_pipeline
from gristmill.engines.protocol import BatchModel, LoadContext, ModelInfo
from gristmill.engines.registered import describe_stored, load_stored
from gristmill.errors import ModelError
from gristmill.mlflow.stored import StoredModel
from gristmill.models.objects import ModelObject, ObjectKind, instance_of, load_object, object_kind
from gristmill.models.reference import ModelReference, parse_reference
from gristmill.storage.storage import Storage

__all__ = ["PythonEngine", "describe_object"]

_SCHEMES = ("python", "pickle", "hf", "mlflow")


class PythonEngine:
    """Runs `python:`, `pickle:`, `hf:` and `mlflow:` models in the worker's own process.

    Options:
        task: the task of a transformers model, where its config does not tell.
        column: the column that a pipeline runs on, where several could be it.
        batch_size: rows of one forward pass of a pipeline.
    """

    name = "python_generic"
    option_names = frozenset({"batch_size", "column", "task"})

    def handles(self, model: str) -> bool:
        """Whether the reference is one of this engine's schemes."""
        return parse_reference(model).scheme in _SCHEMES

    def describe(self, model: str, options: Mapping[str, Any], storage: Storage) -> ModelInfo:
        """The model's functions: a class is not built and a transformers model not loaded for it."""
        reference = _reference(model)
        if reference.scheme == "hf":
            return describe_hf(reference.target, options)
        if reference.scheme == "mlflow":
            return describe_stored(StoredModel.read(reference.target), options)
        found = load_object(reference.scheme, reference.target, storage)
        return describe_object(ModelObject(found, _kind(found, model)))

    def load(self, context: LoadContext) -> BatchModel:
        """The model, built or unpickled, with its weights."""
        reference = _reference(context.model)
        if reference.scheme == "hf":
            return load_pipeline(reference.target, context)
        if reference.scheme == "mlflow":
            return load_stored(StoredModel.read(reference.target), context)
        found = load_object(reference.scheme, reference.target, context.storage)
        kind = _kind(found, context.model)
        if kind == "custom":
            return FrameModel(getattr(instance_of(found), context.function), context)
        if kind == "function":
            return FrameModel(found, context)
        return EstimatorModel(found, context) if kind == "estimator" else PipelineModel(found, context)


def describe_object(model: ModelObject) -> ModelInfo:
    """The functions of a model that is given as an object."""
    if model.kind == "custom":
        return describe_custom(model.value)
    if model.kind == "function":
        return describe_function(model.value)
    return describe_estimator(model.value) if model.kind == "estimator" else describe_pipeline(model.value)


def _reference(model: str) -> ModelReference:
    reference = parse_reference(model)
    if reference.scheme not in _SCHEMES:
        known = ", ".join(f"{scheme}:" for scheme in _SCHEMES)
        raise ModelError(f"model {model!r}: the engine python_generic runs {known} models, not {reference.scheme}:")
    return reference


def _kind(found: Any, model: str) -> ObjectKind:
    try:
        return object_kind(found)
    except ModelError as error:
        raise ModelError(f"model {model!r}: {error}") from error
