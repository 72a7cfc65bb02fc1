"""Custom models: classes with `@inference_api` and `@partitioned_api` methods over frames."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from gristmill.errors import ModelError, SpecError
from gristmill.models.params import check_value
from gristmill.models.signature import Feature, FunctionKind, Param, Signature
from gristmill.models.types import annotated_type, arrow_type

__all__ = [
    "CustomModel",
    "FrameKind",
    "ModelContext",
    "frame_kind",
    "inference_api",
    "inference_functions",
    "partitioned_api",
    "signature_of",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

FrameKind = Literal["pandas", "table", "record_batch"]
"""What a function takes: a pandas DataFrame, a pyarrow Table or a pyarrow RecordBatch."""

_MARK = "__gristmill_inference_api__"

_FUNCTION_TYPES: dict[str, FunctionKind] = {
    "function": "scalar",
    "scalar": "scalar",
    "scalar_function": "scalar",
    "table": "table",
    "table_function": "table",
}


class ModelContext:
    """The models and files that a custom model is built from.

    Args:
        models: objects by name, such as a pipeline or an estimator.
        artifacts: paths of files by name.

    Example:
        >>> context = ModelContext(models={"double": lambda x: 2 * x}, artifacts={"words": "/data/words.txt"})
        >>> context.model_ref("double")(21), context.path("words")
        (42, '/data/words.txt')
    """

    def __init__(self, *, models: Mapping[str, Any] | None = None, artifacts: Mapping[str, str] | None = None) -> None:
        self.models = dict(models or {})
        self.artifacts = dict(artifacts or {})

    def model_ref(self, name: str) -> Any:
        """The object `name` of `models`.

        Raises:
            ModelError: there is none.
        """
        if name not in self.models:
            raise ModelError(f"the model's context has no model {name!r}; it has: {', '.join(self.models) or 'none'}")
        return self.models[name]

    def path(self, name: str) -> str:
        """The path of the file `name` of `artifacts`.

        Raises:
            ModelError: there is none.
        """
        if name not in self.artifacts:
            raise ModelError(
                f"the model's context has no artifact {name!r}; it has: {', '.join(self.artifacts) or 'none'}"
            )
        return self.artifacts[name]


class CustomModel:
    """A base for custom models that are built from other models and files; a class needs no base to be one.

    Example:
        >>> class Doubler(CustomModel):
        ...     @inference_api(outputs={"twice": "double"})
        ...     def predict(self, df, *, factor: float = 2.0):
        ...         return df * factor
        >>> signature_of(inference_functions(Doubler)["predict"]).params[0].default
        2.0
    """

    def __init__(self, context: ModelContext | None = None) -> None:
        self.context = ModelContext() if context is None else context


@dataclass(frozen=True, slots=True)
class _Declared:
    inputs: tuple[Feature, ...] | None = None
    outputs: tuple[Feature, ...] | None = None
    kind: FunctionKind = "scalar"


@overload
def inference_api(function: _Function) -> _Function: ...


@overload
def inference_api(
    *,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    function_type: str = "function",
) -> Callable[[_Function], _Function]: ...


def inference_api(
    function: Any = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    function_type: str = "function",
) -> Any:
    """Mark a method as a function of the model.

    The method takes a frame: a pandas DataFrame, or a `pyarrow.Table` or `pyarrow.RecordBatch` where its annotation
    says so. It returns as many rows, in the same order: a DataFrame, a Series, a numpy array, a list, a dict of columns
    or Arrow. Its keyword-only parameters are the function's params; each has a default.

    Args:
        function: the method, when the decorator is used bare.
        inputs: the columns it needs, name to type; it is given these, under these names. None gives it all columns.
        outputs: the columns it returns, name to type, as `gristmill.models.types.arrow_type` reads them.
        function_type: `"function"`, or `"table_function"` for one whose calls see a whole partition each where the job
            names a partition column; in any case.

    Raises:
        ModelError: `function_type` is neither.

    Example:
        >>> class Lengths:
        ...     @inference_api(inputs={"text": "string"}, outputs={"length": "int64"})
        ...     def predict(self, df):
        ...         return df["text"].str.len()
        >>> signature_of(inference_functions(Lengths)["predict"]).output_schema()
        length: int64
    """
    kind = _FUNCTION_TYPES.get(str(function_type).strip().lower())
    if kind is None:
        way_out = "; mark the method with @partitioned_api instead" if "partition" in str(function_type).lower() else ""
        raise ModelError(
            f'inference_api: function_type={function_type!r} must be "function" or "table_function"{way_out}'
        )
    return _marking(function, _Declared(_features(inputs, "inputs"), _features(outputs, "outputs"), kind))


@overload
def partitioned_api(function: _Function) -> _Function: ...


@overload
def partitioned_api(
    *, inputs: Mapping[str, Any] | None = None, outputs: Mapping[str, Any] | None = None
) -> Callable[[_Function], _Function]: ...


def partitioned_api(
    function: Any = None, *, inputs: Mapping[str, Any] | None = None, outputs: Mapping[str, Any] | None = None
) -> Any:
    """Mark a method as a function of the model that is called once for each partition of the input.

    It takes a frame as `inference_api` methods do. That holds one whole partition: the rows that have the same value in
    the job's `partition_column`, in the order of the input, or the whole input where the job names none. It returns any
    number of rows, perhaps none.

    Args:
        function: the method, when the decorator is used bare.
        inputs: the columns it needs, name to type; None gives it all columns.
        outputs: the columns it returns, name to type; the partition column is none of them, the output has it anyway.

    Example:
        >>> class Totals:
        ...     @partitioned_api(inputs={"price": "double"}, outputs={"total": "double"})
        ...     def total(self, df):
        ...         return {"total": [df["price"].sum()]}
        >>> signature_of(inference_functions(Totals)["total"]).kind
        'partitioned'
    """
    return _marking(function, _Declared(_features(inputs, "inputs"), _features(outputs, "outputs"), "partitioned"))


def _marking(function: Any, declared: _Declared) -> Any:
    def mark(method: Any) -> Any:
        setattr(method, _MARK, declared)
        return method

    return mark if function is None else mark(function)


def _features(written: Mapping[str, Any] | None, what: str) -> tuple[Feature, ...] | None:
    if written is None:
        return None
    return tuple(Feature(name, arrow_type(kind, what=f"{what}.{name}")) for name, kind in written.items())


def inference_functions(model: Any) -> dict[str, Callable[..., Any]]:
    """The marked functions of a class or of an instance's class, by name, in the order they are defined."""
    owner = model if isinstance(model, type) else type(model)
    names = {name: None for base in reversed(owner.__mro__) for name in vars(base)}
    return {name: method for name in names if hasattr(method := getattr(owner, name, None), _MARK) and callable(method)}


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        signature = inspect.signature(function, eval_str=True)
    except (
        NameError,
        AttributeError,
        SyntaxError,
        TypeError,
    ):  # annotations of names that exist for type checkers only
        signature = inspect.signature(function)
    return list(signature.parameters.values())


def frame_kind(function: Callable[..., Any]) -> FrameKind:
    """What the function's first argument is, from its annotation; a pandas DataFrame where it has none."""
    for parameter in _parameters(function):
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) and parameter.name != "self":
            annotation = parameter.annotation
            name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
            kinds: dict[str, FrameKind] = {"Table": "table", "RecordBatch": "record_batch"}
            return kinds.get(name.rpartition(".")[2].strip("\"'"), "pandas")
    return "pandas"


def signature_of(function: Callable[..., Any]) -> Signature:
    """The signature of a marked function: what it declares, and its keyword-only parameters as params.

    Raises:
        ModelError: a parameter has no default, or one that does not fit its annotation.
    """
    declared: _Declared = getattr(function, _MARK, _Declared())
    params = []
    for parameter in _parameters(function):
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        what = f"the parameter {parameter.name!r} of {getattr(function, '__qualname__', function)!s}"
        if parameter.default is parameter.empty:
            raise ModelError(f"{what} needs a default: a job that names no params must run")
        annotation = None if isinstance(parameter.annotation, str) else parameter.annotation
        kind, nullable = annotated_type(annotation, parameter.default)
        default = parameter.default
        try:
            default = None if default is None else check_value(default, kind, what=f"{what}: its default")
        except SpecError as error:
            raise ModelError(str(error)) from error
        params.append(Param(parameter.name, kind, default, nullable))
    return Signature(declared.inputs, declared.outputs, tuple(params), kind=declared.kind)
