"""The params of a chat: once for a job, or, where an option says so, from columns of the input for each row."""

import decimal
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from gristmill.chat.param_checks import check_one, check_together
from gristmill.errors import SchemaError, SpecError
from gristmill.models.columns import match_columns
from gristmill.models.params import check_value
from gristmill.models.signature import Feature, Param
from gristmill.models.types import stored_type

__all__ = ["CHAT_PARAMS", "RowParams", "check_chat_params", "check_param_columns", "split_params", "unset_params"]

_TEXT, _WHOLE, _NUMBER, _FLAG, _ANY, _DICT = (
    pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.null(), pa.struct([]),
)  # fmt: skip

CHAT_PARAMS: tuple[Param, ...] = (
    Param("temperature", _NUMBER, 1.0),
    Param("max_completion_tokens", _WHOLE, 250, nullable=True),
    Param("stop", _ANY, []),
    Param("n", _WHOLE, 1),
    Param("stream", _FLAG, default=False),
    Param("top_p", _NUMBER, 1.0),
    Param("frequency_penalty", _NUMBER, 0.0),
    Param("presence_penalty", _NUMBER, 0.0),
    Param("response_format", _DICT, None),
    Param("model", _TEXT, None),
    Param("seed", _WHOLE, None),
    Param("logprobs", _FLAG, None),
    Param("top_logprobs", _WHOLE, None),
    Param("top_k", _WHOLE, None),
    Param("min_p", _NUMBER, None),
    Param("repetition_penalty", _NUMBER, None),
    Param("min_tokens", _WHOLE, None),
    Param("ignore_eos", _FLAG, None),
    Param("stop_token_ids", pa.list_(_WHOLE), None),
    Param("logit_bias", _DICT, None),
    Param("structured_outputs", _DICT, None),
    Param("chat_template_kwargs", _DICT, None),
    Param("reasoning_effort", _TEXT, None),
    Param("truncate_prompt_tokens", _WHOLE, None),
    Param("skip_special_tokens", _FLAG, None),
)
"""What a chat function takes, with its defaults. `max_completion_tokens=None` means as many as fit."""


def unset_params(params: Iterable[Param] = CHAT_PARAMS, *, keep: Iterable[str] = ()) -> tuple[Param, ...]:
    """The params with None for "not given" as the default, for engines that must know what the user gave.

    Args:
        params: the params.
        keep: names of those that stay as they are.

    Example:
        >>> {param.name: param.default for param in unset_params(CHAT_PARAMS[:2], keep=["max_completion_tokens"])}
        {'temperature': None, 'max_completion_tokens': 250}
    """
    kept = frozenset(keep)
    return tuple(param if param.name in kept else replace(param, default=None, nullable=True) for param in params)


def split_params(columns: Any, params: Sequence[Param] = CHAT_PARAMS) -> tuple[tuple[Param, ...], tuple[Feature, ...]]:
    """What stays a param of the job, and what becomes an input column.

    Args:
        columns: the engine option `param_columns`: names of params in any case; None for none.
        params: all params of the function.

    Raises:
        SpecError: a name is no param, or is given twice; names it.

    Example:
        >>> job, inputs = split_params(["TOP_P"], CHAT_PARAMS[:6])
        >>> [feature.name for feature in inputs], "top_p" in {param.name for param in job}
        (['top_p'], False)
    """
    field = "inference_engine_options.param_columns"
    if columns is None:
        return tuple(params), ()
    if isinstance(columns, str | bytes | Mapping) or not isinstance(columns, Iterable):
        raise SpecError(f"{field}: must be a list of names such as ['temperature'] (given: {columns!r})")
    known = {param.name.lower(): param for param in params}
    chosen: dict[str, str] = {}
    for place, written in enumerate(columns):
        param = known.get(written.strip().lower()) if isinstance(written, str) else None
        if param is None:
            names = ", ".join(param.name for param in params)
            raise SpecError(f"{field}[{place}]: {written!r} is not a param of the function; it takes: {names}")
        if param.name in chosen:
            raise SpecError(f"{field}[{place}]: {written!r} is given twice, as {chosen[param.name]!r} too")
        chosen[param.name] = written
    left = tuple(param for param in params if param.name not in chosen)
    return left, tuple(Feature(param.name, param.type) for param in params if param.name in chosen)


def check_chat_params(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `check_params`, checked for what a type cannot say, in the form in which engines read them.

    `stop` becomes a list, a `json_schema` without a name gets one. None is always "not given".

    Args:
        values: by the params' own names; names that are no chat params pass.

    Raises:
        SpecError: a value cannot be right, by itself or beside another; names `input_spec.params.X`.

    Example:
        >>> check_chat_params({"stop": "END", "temperature": 0.0})
        {'stop': ['END'], 'temperature': 0.0}
    """
    checked = {name: check_one(name, value, what=f"input_spec.params.{name}") for name, value in values.items()}
    check_together(checked, what="input_spec.params")
    return checked


def check_param_columns(features: Iterable[Feature], schema: pa.Schema) -> None:
    """Refuse columns whose type can hold no value of their param; values are checked row by row.

    Args:
        features: the params that are columns, as `split_params` gives them; others, and those not there, pass.
        schema: the input's columns.

    Raises:
        SchemaError: names the first such column, its type and what it must hold.

    Example:
        >>> check_param_columns(split_params(["top_p"])[1], pa.schema({"Top_P": pa.float32()}))
        >>> check_param_columns(split_params(["top_p"])[1], pa.schema({"Top_P": pa.string()}))
        Traceback (most recent call last):
        gristmill.errors.SchemaError: the column 'Top_P' holds string; the param top_p needs numbers
    """
    known = {param.name for param in CHAT_PARAMS}
    for feature in features:
        field = next((one for one in schema if one.name.lower() == feature.name.lower()), None)
        if field is None or feature.name not in known:
            continue
        needs = _needs(feature)
        if needs is not None and not any(test(stored_type(field.type)) for test in needs[1]):
            raise SchemaError(
                f"the column {field.name!r} holds {field.type}; the param {feature.name} needs {needs[0]}"
            )


def _needs(feature: Feature) -> tuple[str, tuple[Callable[[pa.DataType], bool], ...]] | None:
    """What a column must hold for a param, in words and as tests of its type; None where anything may do."""
    kinds = pa.types
    numbers = (kinds.is_integer, kinds.is_floating, kinds.is_decimal, kinds.is_null)
    lists = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list, kinds.is_null)
    text = (kinds.is_string, kinds.is_large_string, kinds.is_string_view, kinds.is_null)
    kind = feature.type
    if feature.name == "stop":
        return "text, or lists of text", (*text, *lists)
    if kinds.is_integer(kind) or kinds.is_floating(kind):
        return "numbers", numbers
    if kinds.is_boolean(kind):
        return "true or false", (kinds.is_boolean, kinds.is_null)
    if kinds.is_string(kind):
        return "text", text
    if kinds.is_struct(kind):
        return "JSON text, structs or maps", (*text, kinds.is_struct, kinds.is_map, kinds.is_list)
    return ("lists", lists) if kinds.is_list(kind) else None


class RowParams:
    """The params of each row: the job's, and over them the row's own where params are columns.

    Args:
        params: the job's params, checked.
        columns: the engine option `param_columns`.
        schema: the input columns; a param's column is found in any case.
        defaults: all params of the function: a null cell stands for the default.

    Raises:
        SpecError: a column is no param, or is missing.

    Example:
        >>> row_params = RowParams({"n": 1}, columns=["top_p"], schema=pa.schema({"TOP_P": pa.float64()}))
        >>> dict(row_params({"TOP_P": 0.5})), dict(row_params({"TOP_P": None}))
        ({'top_p': 0.5, 'n': 1}, {'top_p': 1.0, 'n': 1})
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        *,
        columns: Any = None,
        schema: pa.Schema,
        defaults: Sequence[Param] = CHAT_PARAMS,
    ) -> None:
        _, features = split_params(columns, defaults)
        names = [feature.name for feature in features]
        known = {param.name: param for param in defaults}
        places = match_columns(names, schema)
        self._columns = [(schema.names[place], known[name]) for name, place in zip(names, places, strict=True)]
        # A param that is a column comes first, so that the job's are beside it and never over it.
        job = {name: value for name, value in params.items() if name not in names}
        self._shared: Mapping[str, Any] = MappingProxyType({**{name: known[name].default for name in names}, **job})

    def __call__(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The params of a row; one and the same mapping, not to be changed, for all rows without their own.

        Raises:
            ValueError: a cell has a wrong type or value; names the column.
        """
        own: dict[str, Any] = {}
        for column, param in self._columns:
            cell = row[column]
            if cell is not None:
                own[param.name] = _from_cell(cell, param, what=f"column {column!r}")
        if not own:
            return self._shared
        together = {**self._shared, **own}
        try:
            check_together(together, what="params")
        except SpecError as error:
            raise ValueError(str(error)) from None
        return together


def _from_cell(cell: Any, param: Param, *, what: str) -> Any:
    kind = param.type
    if pa.types.is_struct(kind):
        cell = _group(cell, what=what)
    elif isinstance(cell, decimal.Decimal):
        cell = float(cell)
    if pa.types.is_integer(kind) and isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # a column of integers with nulls often comes as floats
    try:
        return check_one(param.name, check_value(cell, kind, what=what), what=what)
    except SpecError as error:
        raise ValueError(str(error)) from None


def _group(cell: Any, *, what: str) -> Any:
    """A dict from a cell: JSON text, a struct without the fields that only other rows have, or a map."""
    if isinstance(cell, str):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{what}: is not JSON: {error}") from None
    if isinstance(cell, list) and all(isinstance(item, tuple) and len(item) == 2 for item in cell):
        return dict(cell)
    return _without_nulls(cell)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
