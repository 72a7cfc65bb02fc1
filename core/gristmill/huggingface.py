"""Models of Hugging Face that are logged without loading them."""

import os

from gristmill.errors import SpecError

__all__ = ["TransformersPipeline"]


class TransformersPipeline:
    """A transformers model by its name or folder: large models are logged without their weights being loaded.

    A folder's files are stored with the model as they are. Of a model on the hub only the name is stored; each worker
    fetches it as it would by itself.

    Args:
        model: a folder, or a name on the hub (`org/name`).
        task: what the model does, such as `text-generation`, where its config does not tell.

    Raises:
        SpecError: the model or the task is no text.

    Example:
        >>> TransformersPipeline(model="Qwen/Qwen2.5-0.5B-Instruct", task="text-generation")
        TransformersPipeline(model='Qwen/Qwen2.5-0.5B-Instruct', task='text-generation')
    """

    def __init__(self, *, model: str | os.PathLike[str], task: str | None = None) -> None:
        for name, value in (("model", os.fspath(model) if isinstance(model, os.PathLike) else model), ("task", task)):
            if not (isinstance(value, str) and value.strip()) and not (name == "task" and value is None):
                raise SpecError(f"TransformersPipeline.{name}: must be text that names one (given: {value!r})")
        self.model = os.fspath(model)
        self.task = None if task is None else task.strip()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, task={self.task!r})"
