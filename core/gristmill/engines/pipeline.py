"""Running a transformers pipeline: one column's cells in, its answers as columns out."""

import importlib.util
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from gristmill.engines.media import to_audio, to_image
from gristmill.engines.protocol import BatchModel, LoadContext, ModelInfo
from gristmill.engines.result import to_output
from gristmill.engines.tasks import TASKS, Task, task_of
from gristmill.engines.threads import ThreadLimit
from gristmill.errors import MissingExtraError, ModelError, SchemaError
from gristmill.models.columns import match_columns

__all__ = ["PipelineModel", "describe_hf", "describe_pipeline", "load_pipeline"]

_FUNCTION = "__call__"
_PRELOAD = ("torch", "transformers", "transformers.pipelines")
_BATCH = 32


def describe_hf(target: str, options: Mapping[str, Any]) -> ModelInfo:
    """What a transformers model does, from its config alone.

    Raises:
        ModelError: there is no such model, or no task for it.
        MissingExtraError: transformers or torch is not installed.
    """
    for package in ("transformers", "torch"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError.of(package, "transformers", need=f"model 'hf:{target}'")
    return _info(TASKS[task_of(target, options)])


def describe_pipeline(pipeline: Any) -> ModelInfo:
    """What a pipeline object does.

    Raises:
        ModelError: its task does not run over rows.
    """
    return _info(_task(pipeline))


def _info(task: Task) -> ModelInfo:
    return ModelInfo({_FUNCTION: task.signature}, _FUNCTION, preload=_PRELOAD)


def _task(pipeline: Any) -> Task:
    if pipeline.task not in TASKS:
        raise ModelError(
            f"the pipeline's task {pipeline.task!r} does not run over rows; those that do: {', '.join(TASKS)}"
        )
    return TASKS[pipeline.task]


def load_pipeline(target: str, context: LoadContext) -> BatchModel:
    """The pipeline of a transformers model, with its weights, on the worker's first GPU where it has one."""
    from transformers import pipeline

    return PipelineModel(pipeline(task_of(target, context.options), model=target, device=_device(context)), context)


def _device(context: LoadContext) -> str:
    return "cuda:0" if context.gpus > 0 else "cpu"


class PipelineModel(BatchModel):
    """A transformers pipeline as a batch model.

    Args:
        pipeline: the pipeline.
        context: the columns, the params (those that are None are left to the pipeline), the options: `column` names the
            column to run on, `batch_size` the rows of one forward pass.
    """

    def __init__(self, pipeline: Any, context: LoadContext) -> None:
        import torch

        torch.set_num_threads(context.threads)
        self._limit = ThreadLimit(context.threads)
        if str(pipeline.device) != _device(context):
            pipeline.device = torch.device(_device(context))
            pipeline.model.to(pipeline.device)
        self._pipeline, self._task = pipeline, _task(pipeline)
        self._column = _column(self._task, context)
        self._arguments = {name: value for name, value in context.params.items() if value is not None}
        self._arguments["batch_size"] = _batch_size(pipeline, self._task, context)

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The pipeline's answers: the keys of a dict as columns; a list, or speech, as the column `outputs`."""
        self._limit.apply()
        cells = batch.column(self._column).to_pylist()
        if not cells:
            return to_output(
                {feature.name: [] for feature in self._task.signature.outputs or ()}, 0, self._task.signature.outputs
            )
        answers = list(self._pipeline([self._cell(cell) for cell in cells], **self._arguments))
        if self._pipeline.task in ("feature-extraction", "image-feature-extraction"):
            answers = [answer[0] for answer in answers]  # the pipeline keeps a batch of one around each
        declared = self._task.signature.outputs
        has_columns = isinstance(answers[0], dict) and not (declared is not None and declared[0].name == "outputs")
        return to_output(answers if has_columns else {"outputs": answers}, batch.num_rows, declared)

    def close(self) -> None:
        """Let go of the weights and give back the threads."""
        self._pipeline = None
        self._limit.release()

    def _cell(self, cell: Any) -> Any:
        if self._task.medium == "image":
            return to_image(cell)
        if self._task.medium == "audio":
            return to_audio(cell, self._pipeline.feature_extractor.sampling_rate)
        if not isinstance(cell, str):
            raise ValueError(f"the cell holds {'null' if cell is None else type(cell).__name__}, not text")  # noqa: TRY004
        return cell


def _column(task: Task, context: LoadContext) -> int:
    schema, kinds = context.input_schema, pa.types
    named = context.options.get("column")
    if named is not None:
        return match_columns([str(named)], schema)[0]
    text = [
        place for place, field in enumerate(schema) if kinds.is_string(field.type) or kinds.is_large_string(field.type)
    ]
    content = [
        place for place, field in enumerate(schema) if kinds.is_binary(field.type) or kinds.is_large_binary(field.type)
    ]
    samples = [
        place for place, field in enumerate(schema) if kinds.is_list(field.type) or kinds.is_large_list(field.type)
    ]
    fitting = {"text": text, "image": content or text, "audio": content or samples or text}[task.medium]
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(schema.names[place] for place in fitting) or "none"
    raise SchemaError(
        f"the model takes one column of {task.medium}, and the input has {len(fitting)} that could be it ({found}): "
        "name it in inference_engine_options, {'column': ...}"
    )


def _batch_size(pipeline: Any, task: Task, context: LoadContext) -> int:
    if context.options.get("batch_size") is not None:
        return int(context.options["batch_size"])
    tokenizer = getattr(pipeline, "tokenizer", None)
    is_text = task.medium == "text"
    if (is_text or tokenizer is not None) and getattr(tokenizer, "pad_token_id", None) is None:
        return 1  # rows of different lengths cannot stand in one tensor without padding; transformers refuses to try
    return min(_BATCH, context.max_batch_rows or _BATCH)
