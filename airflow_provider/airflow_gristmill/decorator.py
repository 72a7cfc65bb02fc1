"""`@task.batch_inference`: a function says what the input is, and the job runs on it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, determine_kwargs, task_decorator_factory
from airflow.sdk.definitions.context import context_merge

from airflow_gristmill.operator import RunBatchOperator
from gristmill.declared import INPUTS, input_arguments
from gristmill.errors import SpecError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from gristmill.settings import Settings

__all__ = ["BatchInferenceOperator", "batch_inference_task"]


class BatchInferenceOperator(DecoratedOperator, RunBatchOperator):
    """A `RunBatchOperator` whose input is what a function returns; see `batch_inference_task`."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *RunBatchOperator.template_fields)
    template_fields_renderers = {
        **DecoratedOperator.template_fields_renderers,
        **RunBatchOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.batch_inference"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, **kwargs)

    def _check_input(self) -> None:
        for name in INPUTS:
            if getattr(self, name) is not None:
                raise SpecError(f"{name}: the decorated function returns the input; leave this out")

    def _input(self, context: "Context", settings: "Settings") -> dict[str, Any]:
        context_merge(context, self.op_kwargs)
        found = self.python_callable(*self.op_args, **determine_kwargs(self.python_callable, self.op_args, context))
        if found is None:
            raise SpecError(
                f"{self.python_callable.__name__}() returned nothing; it returns the input: a location, a frame, "
                "list_files(...), query(...), or {'query': 'SELECT ...'}"
            )
        if isinstance(found, str):
            return {"input_location": found}
        if not isinstance(found, Mapping):
            return {"X": found}
        unknown = sorted(set(map(str, found)) - set(INPUTS))
        if unknown:
            raise SpecError(
                f"{self.python_callable.__name__}() returned a dict with {unknown[0]!r}; "
                f"a dict says one of {', '.join(INPUTS)}"
            )
        return input_arguments({name: found.get(name) for name in INPUTS}, settings)


def batch_inference_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a task of a function that returns an input: the model runs on it, and the task returns the summary.

    The function returns a location (text), a frame (pyarrow, pandas, Polars), `gristmill.list_files(...)`,
    `gristmill.query(...)`, or a dict with one of `input_location`, `query` and `input_files`. It runs on the worker,
    and not again in a retry whose job lives: rows that change meanwhile start no second job.

    Args:
        python_callable: the function, where the decorator stands without parentheses.
        kwargs: those of `RunBatchOperator`, but for the input.

    Example:
        >>> @batch_inference_task(model="echo:", output_spec={"base_location": "/tmp/scores"})
        ... def recent(day: str):
        ...     return f"s3://lake/orders/{day}"
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,  # else a function said to return a dict would have its summary taken apart
        decorated_operator_class=BatchInferenceOperator,
        **kwargs,
    )
