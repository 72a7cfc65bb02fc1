"""What is logged: the object, how it is stored, and what is known of its functions before they run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.chat.form import response_form
from gristmill.chat.params import CHAT_PARAMS
from gristmill.chat.signature import chat_signature
from gristmill.engines.custom import describe_custom, describe_function
from gristmill.engines.estimator import describe_estimator
from gristmill.engines.protocol import ModelInfo
from gristmill.engines.tasks import TASKS, task_of
from gristmill.engines.vllm.recognition import answers_chats
from gristmill.errors import ModelError, SpecError
from gristmill.huggingface import TransformersPipeline
from gristmill.mlflow.flavor import Flavor, flavor_of
from gristmill.mlflow.stored import Form
from gristmill.models.objects import check_class, load_object
from gristmill.models.reference import normalize_model, parse_reference
from gristmill.models.signature import Feature, Signature
from gristmill.storage.storage import Storage

__all__ = ["Subject", "subject_of"]

_COLUMNS: Mapping[str, Feature] = {
    "audio-classification": Feature("audio", pa.binary()),
    "automatic-speech-recognition": Feature("audio", pa.binary()),
    "image-classification": Feature("images", pa.binary()),
    "image-feature-extraction": Feature("images", pa.binary()),
    "object-detection": Feature("images", pa.binary()),
    "text-classification": Feature("text", pa.string()),
}
"""What the one column of a pipeline is called, by task; for other tasks `inputs`, of text."""

_CHAT_TASKS = frozenset({"audio-text-to-text", "image-text-to-text", "video-text-to-text"})
"""Tasks that no pipeline runs over rows here, and vLLM does."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is to be logged.

    Attributes:
        model: the object.
        flavor: how MLflow stores it, or how we do.
        functions: what is known of its functions, by name.
        default_function: the one that runs when none is named; None where there are several.
        hub: of a transformers model that is only named: its name on the hub.
        task: of a transformers model that is not loaded: its task.
    """

    model: Any
    flavor: Flavor
    functions: dict[str, Signature] = field(default_factory=dict)
    default_function: str | None = None
    hub: str | None = None
    task: str | None = None

    @property
    def form(self) -> Form:
        """How it is stored, as engines ask for it."""
        if self.flavor in ("custom", "function", "checkpoint"):
            return self.flavor
        if self.flavor == "transformers":
            return "pipeline"
        is_estimator = self.flavor == "sklearn" or (self.flavor == "xgboost" and hasattr(self.model, "get_params"))
        return "estimator" if is_estimator else "flavor"


def subject_of(model: Any, storage: Storage) -> Subject:
    """A model as a user gives it.

    Args:
        model: an object, or a reference to one (`python:`, `pickle:` or a path, `hf:` or a model's folder).
        storage: resolves paths.

    Raises:
        ModelError: it is no model, it cannot be found or loaded, or it is a class that needs more than a context.
        MissingExtraError: a library that it takes is not installed.
    """
    if isinstance(model, str | os.PathLike):
        model = _referred(model, storage)
    flavor = flavor_of(model)
    if flavor == "checkpoint":
        return _checkpoint(model, storage)
    if flavor in ("custom", "function"):
        check_class(model)
        return _told(model, flavor, describe_custom(model) if flavor == "custom" else describe_function(model))
    if flavor == "transformers":
        return _pipeline(model)
    if flavor == "sklearn" or (flavor == "xgboost" and hasattr(model, "get_params")):
        return _told(model, flavor, describe_estimator(model))
    if flavor == "xgboost":
        return Subject(model, flavor, {"predict": Signature(_booster_inputs(model))}, "predict")
    if flavor == "sentence_transformers":
        return Subject(model, flavor, {"encode": _encoding(model)}, "encode")
    return Subject(model, flavor, {"predict": Signature()}, "predict")


def _told(model: Any, flavor: Flavor, info: ModelInfo) -> Subject:
    if not info.functions:
        raise ModelError(f"the model ({type(model).__qualname__}) has no function that runs over rows; is it fitted?")
    return Subject(model, flavor, dict(info.functions), info.default_function)


def _referred(model: str | os.PathLike[str], storage: Storage) -> Any:
    found = normalize_model(model, storage)
    reference = parse_reference(str(found))
    if reference.scheme in ("python", "pickle"):
        return load_object(reference.scheme, reference.target, storage)
    if reference.scheme == "hf":
        return TransformersPipeline(model=reference.target)
    if reference.scheme == "models":
        raise ModelError(
            f"model {os.fspath(model)!r} is registered already; set an alias for it, or log another object"
        )
    raise ModelError(
        f"model {os.fspath(model)!r}: what is registered are models, and {reference.scheme}: names an engine's own; "
        "give an object, or python:, pickle: or hf:"
    )


def _pipeline(pipeline: Any) -> Subject:
    if pipeline.task not in TASKS:
        raise ModelError(
            f"the pipeline's task {pipeline.task!r} does not run over rows; those that do: {', '.join(TASKS)}"
        )
    return Subject(pipeline, "transformers", {"__call__": _call(pipeline.task)}, "__call__")


def _call(task: str) -> Signature:
    return replace(TASKS[task].signature, inputs=(_COLUMNS.get(task, Feature("inputs", pa.string())),))


def _booster_inputs(booster: Any) -> tuple[Feature, ...] | None:
    names = booster.feature_names
    return None if not names else tuple(Feature(str(name), pa.null()) for name in names)


def _encoding(model: Any) -> Signature:
    width = getattr(model, "get_embedding_dimension", model.get_sentence_embedding_dimension)()
    vector = pa.list_(pa.float32(), width if width is not None else -1)
    return Signature((Feature("input_feature_0", pa.string()),), (Feature("output_feature_0", vector),))


def _checkpoint(given: TransformersPipeline, storage: Storage) -> Subject:
    target = str(normalize_model(f"hf:{given.model}", storage)).removeprefix("hf:")
    is_folder = Path(target).is_dir()
    if not is_folder and target.startswith("/"):
        raise ModelError(f"TransformersPipeline.model: there is no folder {given.model!r}; give one, or a hub's name")
    task = None if given.task is None else given.task.lower().replace("_", "-")
    if task is not None and task not in _CHAT_TASKS:
        task = task_of(target, {"task": task})
    elif task is None and is_folder:
        task = _task_of_folder(target)
    if task is None:
        raise SpecError(
            f"TransformersPipeline.task: {given.model!r} is on the hub, where nothing is asked; name the task, "
            f"such as {', '.join([*list(TASKS)[-3:], *sorted(_CHAT_TASKS)[:2]])}"
        )
    functions = {"__call__": _call(task)} if task in TASKS else {}
    if task in _CHAT_TASKS or (task == "text-generation" and (not is_folder or answers_chats(target))):
        functions["chat"] = chat_signature(outputs=response_form({}, {}).schema, params=CHAT_PARAMS)
    return Subject(
        TransformersPipeline(model=target, task=task), "checkpoint", functions, next(iter(functions), None),
        None if is_folder else target, task,
    )  # fmt: skip


def _task_of_folder(target: str) -> str:
    try:
        return task_of(target, {})
    except ModelError:
        if answers_chats(target):
            return "image-text-to-text"
        raise
