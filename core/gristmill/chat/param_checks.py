"""What a type cannot say of a chat param: ranges, shapes, and which go together."""

import functools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from gristmill.errors import SpecError

__all__ = ["check_one", "check_together"]

_FORMATS = ("text", "json_object", "json_schema", "structural_tag")
_KINDS = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
_HOW = ("disable_any_whitespace", "disable_additional_properties", "whitespace_pattern")
_RENDERING = frozenset(
    {
        "add_generation_prompt", "continue_final_message", "conversation", "messages", "return_assistant_tokens_mask",
        "return_dict", "return_tensors", "tokenize", "tokenizer_kwargs", "tools",
    }
)  # fmt: skip
"""Arguments of the function that renders a template, beside which the template's own are given."""
_MOST_STOPS = 4
"""Of the OpenAI API, and of vLLM."""
_SCHEMA_NAME = "response"
_NAMED_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})


def check_one(name: str, value: Any, *, what: str) -> Any:
    """A param's value, checked and in its plain form; None and what is no chat param pass.

    Args:
        name: the param's own name.
        value: of the param's type.
        what: what it is called in errors.

    Raises:
        SpecError: it cannot be right.

    Example:
        >>> check_one("stop", "END", what="stop")
        ['END']
    """
    check = _CHECKS.get(name)
    return value if value is None or check is None else check(value, what)


def check_together(values: Mapping[str, Any], *, what: str) -> None:
    """Refuse values that cannot stand beside each other.

    Raises:
        SpecError: they cannot; says `what` and the param.
    """
    if values.get("top_logprobs") is not None and not values.get("logprobs"):
        raise SpecError(f"{what}.top_logprobs: needs logprobs=True beside it")
    form = values.get("response_format")
    if form is not None and form["type"] != "text" and values.get("structured_outputs") is not None:
        raise SpecError(f"{what}.structured_outputs: stands beside response_format, and only one can hold; leave one")
    _check_stops(values, what=what)
    least, most = values.get("min_tokens"), values.get("max_completion_tokens")
    if least is not None and most is not None and least > most:
        raise SpecError(f"{what}.min_tokens: {least} is more than max_completion_tokens={most}")


def _check_stops(values: Mapping[str, Any], *, what: str) -> None:
    """Refuse what ends a text early beside what the whole text must be."""
    stops = [name for name in ("stop", "stop_token_ids") if values.get(name)]
    form, shape = values.get("response_format"), values.get("structured_outputs")
    asked = "response_format" if form is not None and form["type"] != "text" else "structured_outputs"
    if stops and (asked == "response_format" or shape is not None):
        raise SpecError(
            f"{what}.{stops[0]}: stands beside {asked}, and would end a text before it is what that asks for; leave one"
        )


def _within(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[Any, str], Any]:
    """A check for numbers from `low` (or above it) to `high`."""
    least = f"more than {low:g}" if above else f"at least {low:g}"
    text = least if high == math.inf else f"{least} and at most {high:g}"

    def check(value: Any, what: str) -> Any:
        if not math.isfinite(value) or value > high or value < low or (above and value == low):
            raise SpecError(f"{what}: must be {text} (given: {value!r})")
        return value

    return check


def _or_all(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """A check that lets -1 stand for all."""
    return lambda value, what: value if value == -1 else check(value, what)


def _stream(value: bool, what: str) -> bool:  # noqa: FBT001 - the value of a param
    if value:
        raise SpecError(f"{what}: a job reads whole responses, so nobody would see a stream; leave it out")
    return value


def _stop(value: Any, what: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
        raise SpecError(f"{what}: must be a text or a list of texts, none of them empty (given: {value!r})")
    if len(texts) > _MOST_STOPS:
        raise SpecError(f"{what}: must be at most {_MOST_STOPS} texts, and {len(texts)} are given; leave some out")
    return list(texts)


def _text(value: str, what: str) -> str:
    if not value.strip():
        raise SpecError(f"{what}: must not be empty")
    return value


def _template_kwargs(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    if "chat_template" in value:
        raise SpecError(
            f"{what}.chat_template: a template runs code, so it is the job's and not a row's; "
            "give it to vLLM as --chat-template in engine_args_override"
        )
    taken = sorted(_RENDERING & value.keys())
    if taken:
        raise SpecError(f"{what}.{taken[0]}: is the engine's to say, not the template's; leave it out")
    return dict(value)


def _logit_bias(value: Mapping[Any, Any], what: str) -> dict[str, float]:
    bias = {}
    for token, amount in value.items():
        if not str(token).isdecimal():
            raise SpecError(f"{what}: names tokens by their ids, such as {{'50256': -100}} (given: {token!r})")
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not -100 <= amount <= 100:
            raise SpecError(f"{what}.{token}: must be a number from -100 to 100 (given: {amount!r})")
        bias[str(token)] = float(amount)
    return bias


def _response_format(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    kind = value.get("type")
    if kind not in _FORMATS:
        raise SpecError(f"{what}.type: must be one of {', '.join(_FORMATS)} (given: {kind!r})")
    if kind != "json_schema":
        return dict(value)
    inner = value.get("json_schema")
    if not isinstance(inner, Mapping) or "schema" not in inner:
        raise SpecError(
            f"{what}.json_schema: must be a dict such as "
            "{'name': 'answer', 'schema': {'type': 'object', 'properties': {...}}}"
        )
    _check_schema(inner["schema"], f"{what}.json_schema.schema")
    return {**value, "json_schema": inner if "name" in inner else {"name": _SCHEMA_NAME, **inner}}


def _structured_outputs(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    unknown = [name for name in value if name not in _KINDS and name not in _HOW]
    if unknown:
        raise SpecError(f"{what}.{unknown[0]}: is not known; there are: {', '.join((*_KINDS, *_HOW))}")
    given = [name for name in _KINDS if value.get(name) is not None]
    if len(given) != 1:
        raise SpecError(f"{what}: give exactly one of {', '.join(_KINDS)} (given: {', '.join(given) or 'none'})")
    rule = value[given[0]]
    if given[0] == "json":
        _check_schema(rule, f"{what}.json")
    elif given[0] == "choice":
        if not isinstance(rule, list | tuple) or not rule or not all(isinstance(item, str) for item in rule):
            raise SpecError(f"{what}.choice: must be a list of texts, at least one (given: {rule!r})")
    elif given[0] == "json_object":
        if rule is not True:
            raise SpecError(f"{what}.json_object: must be True, or be left out (given: {rule!r})")
    elif not isinstance(rule, str) or not rule:
        raise SpecError(f"{what}.{given[0]}: must be a text (given: {rule!r})")
    return dict(value)


def _check_schema(schema: Any, what: str) -> None:
    """Refuse what is no JSON schema; fully where `jsonschema` is installed, by its types otherwise."""
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError as error:
            raise SpecError(f"{what}: is not JSON: {error}") from None
    if not isinstance(schema, Mapping):
        raise SpecError(f"{what}: must be a JSON schema, a dict (given: {type(schema).__name__})")
    try:
        text = json.dumps(schema, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise SpecError(f"{what}: is not JSON: {error}") from None
    problem = _schema_problem(text)
    if problem is not None:
        raise SpecError(f"{what}: is not a JSON schema: {problem}")


@functools.lru_cache(maxsize=256)
def _schema_problem(text: str) -> str | None:
    """What is wrong with a schema; many rows have the same."""
    schema = json.loads(text)
    try:
        from jsonschema import Draft202012Validator, SchemaError
    except ImportError:
        kind = schema.get("type")
        kinds = kind if isinstance(kind, list) else [] if kind is None else [kind]
        wrong = [item for item in kinds if item not in _NAMED_TYPES]
        return f"type {wrong[0]!r} is none of {', '.join(sorted(_NAMED_TYPES))}" if wrong else None
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"{error.json_path.removeprefix('$.')}: {error.message}"
    return None


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "chat_template_kwargs": _template_kwargs,
    "frequency_penalty": _within(-2, 2),
    "logit_bias": _logit_bias,
    "max_completion_tokens": _within(1),
    "min_p": _within(0, 1),
    "min_tokens": _within(0),
    "model": _text,
    "n": _within(1),
    "presence_penalty": _within(-2, 2),
    "reasoning_effort": _text,
    "repetition_penalty": _within(0, above=True),
    "response_format": _response_format,
    "stop": _stop,
    "stream": _stream,
    "structured_outputs": _structured_outputs,
    "temperature": _within(0),
    "top_k": _or_all(_within(0)),
    "top_logprobs": _or_all(_within(0)),
    "top_p": _within(0, 1, above=True),
    "truncate_prompt_tokens": _or_all(_within(1)),
}
