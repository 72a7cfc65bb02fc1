"""The transformers tasks that run over rows: what they take, return and can be told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from gristmill.errors import MissingExtraError, ModelError
from gristmill.models.signature import Feature, Param, Signature

__all__ = ["TASKS", "Medium", "Task", "task_of"]

Medium = Literal["audio", "image", "text"]

_LABELS = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))
_SPEECH = pa.struct([("text", pa.string())])
_TEXTS = pa.list_(pa.struct([("generated_text", pa.string())]))


@dataclass(frozen=True, slots=True)
class Task:
    """A task of transformers pipelines.

    Attributes:
        medium: what a row's cell holds.
        signature: the outputs where they are always the same, and the params that users may set.
    """

    medium: Medium
    signature: Signature


def _features(**types: pa.DataType) -> tuple[Feature, ...]:
    return tuple(Feature(name, kind) for name, kind in types.items())


def _param(name: str, kind: pa.DataType) -> Param:
    return Param(name, kind, None)


_GENERATION = (
    _param("max_new_tokens", pa.int64()),
    _param("temperature", pa.float64()),
    _param("top_k", pa.int64()),
    _param("top_p", pa.float64()),
    _param("do_sample", pa.bool_()),
)

TASKS: Mapping[str, Task] = {
    "audio-classification": Task(
        "audio", Signature(outputs=_features(outputs=_LABELS), params=(_param("top_k", pa.int64()),))
    ),
    "automatic-speech-recognition": Task("audio", Signature(outputs=_features(outputs=_SPEECH))),
    "feature-extraction": Task("text", Signature(outputs=_features(outputs=pa.list_(pa.list_(pa.float64()))))),
    "fill-mask": Task("text", Signature(params=(_param("top_k", pa.int64()),))),
    "image-classification": Task(
        "image",
        Signature(
            outputs=_features(outputs=_LABELS),
            params=(_param("top_k", pa.int64()), _param("function_to_apply", pa.string())),
        ),
    ),
    "image-feature-extraction": Task("image", Signature(outputs=_features(outputs=pa.list_(pa.list_(pa.float64()))))),
    "object-detection": Task("image", Signature(params=(_param("threshold", pa.float64()),))),
    "text-classification": Task(
        "text",
        Signature(
            outputs=_features(label=pa.string(), score=pa.float64()),
            params=(_param("function_to_apply", pa.string()), _param("truncation", pa.bool_())),
        ),
    ),
    "text-generation": Task(
        "text",
        Signature(outputs=_features(outputs=_TEXTS), params=(*_GENERATION, _param("return_full_text", pa.bool_()))),
    ),
    "token-classification": Task("text", Signature(params=(_param("aggregation_strategy", pa.string()),))),
}
"""The tasks by their names in transformers. A param that is None is left to the pipeline."""

_ARCHITECTURES = {
    "ForAudioClassification": "audio-classification",
    "ForCTC": "automatic-speech-recognition",
    "ForCausalLM": "text-generation",
    "ForImageClassification": "image-classification",
    "ForMaskedLM": "fill-mask",
    "ForObjectDetection": "object-detection",
    "ForSequenceClassification": "text-classification",
    "ForSpeechSeq2Seq": "automatic-speech-recognition",
    "ForTokenClassification": "token-classification",
    "LMHeadModel": "text-generation",
    "WhisperForConditionalGeneration": "automatic-speech-recognition",
}
_ALIASES = {
    "asr": "automatic-speech-recognition",
    "ner": "token-classification",
    "sentiment-analysis": "text-classification",
}


def task_of(target: str, options: Mapping[str, Any]) -> str:
    """The task of a transformers model: the option `task`, else what the architecture in its config is made for.

    Args:
        target: a folder or a name on the hub.
        options: the engine's options.

    Raises:
        ModelError: there is no such model, or no task that runs over rows.
    """
    known = ", ".join(TASKS)
    if options.get("task") is not None:
        named = str(options["task"]).strip().lower().replace("_", "-")
        named = _ALIASES.get(named, named)
        if named not in TASKS:
            raise ModelError(
                f"inference_engine_options.task: {options['task']!r} does not run over rows; choose one of: {known}"
            )
        return named
    architectures = [str(name) for name in _config(target).get("architectures") or ()]
    for architecture in architectures:
        for ending, task in _ARCHITECTURES.items():
            if architecture.endswith(ending):
                return task
        if architecture.endswith("Model"):
            return "feature-extraction"
    made_for = f"is made for {', '.join(architectures)}" if architectures else "does not say what it is made for"
    raise ModelError(
        f"model 'hf:{target}' {made_for}: name the task in inference_engine_options, {{'task': ...}}, one of: {known}"
    )


def _config(target: str) -> dict[str, Any]:
    path = Path(target) / "config.json"
    if not target.startswith("/"):
        try:
            from transformers.utils import cached_file
        except ImportError as error:
            raise MissingExtraError.of("transformers", "transformers", need=f"model 'hf:{target}'") from error
        try:
            path = Path(str(cached_file(target, "config.json")))
        except (OSError, ValueError) as error:
            raise ModelError(f"model 'hf:{target}': its config cannot be had: {error}") from error
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"model 'hf:{target}': {path} cannot be read: {error}") from error
    return dict(config)
