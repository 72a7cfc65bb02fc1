"""The parameters of a call of `ai_complete`: those of a chat job, as a struct, a map or JSON text."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from gristmill.chat.params import CHAT_PARAMS, check_chat_params, unset_params
from gristmill.errors import SpecError
from gristmill.models.params import check_params
from gristmill.models.signature import Param, Signature

__all__ = ["PARAMETERS", "chat_parameters", "plain"]

_FIELD = "model_parameters"
_ARGUMENTS = frozenset({"model", "response_format"})
"""What an argument of the function says."""

_LEFT_OUT = _ARGUMENTS | {"stream"}
_OTHER_NAMES = {"max_tokens": "max_completion_tokens"}
_KEPT = ["max_completion_tokens"]

PARAMETERS: tuple[Param, ...] = tuple(
    param for param in unset_params(CHAT_PARAMS, keep=_KEPT) if param.name not in _LEFT_OUT
)
"""The parameters that a call takes; only what is given is sent, besides the bound on tokens."""

_SIGNATURE = Signature(params=PARAMETERS)
_WHOLE = frozenset(param.name for param in PARAMETERS if pa.types.is_integer(param.type))


def chat_parameters(given: Any, *, response_format: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The parameters of a request, checked as those of a job are.

    Args:
        given: a struct or a map as Arrow gives it, JSON text, or None for the defaults.
        response_format: the request's, which must be able to stand beside them.

    Raises:
        SpecError: one is not known or has a wrong value, or `guardrails` is asked for.

    Example:
        >>> chat_parameters({"temperature": 0, "max_tokens": 64})["max_completion_tokens"]
        64
    """
    named = _named(given)
    chosen: dict[str, Any] = {}
    for written, value in named.items():
        name = written.strip().lower()
        if value is None:
            continue
        if name == "guardrails":
            raise SpecError(
                f"{_FIELD}.guardrails: is not supported, since the model is a server of your own that has none; "
                "leave it out, and look at the answers with a second call if they need to be looked at"
            )
        if name in _ARGUMENTS:
            raise SpecError(f"{_FIELD}.{written}: is an argument of ai_complete itself; write {name} => ...")
        name = _OTHER_NAMES.get(name, name)
        if name in chosen:
            raise SpecError(f"{_FIELD}.{written}: is given twice, by two names; leave one out")
        if name in _WHOLE and isinstance(value, float) and value.is_integer():
            value = int(value)  # noqa: PLW2901 - a map holds values of one type
        chosen[name] = value
    try:
        form = {} if response_format is None else {"response_format": response_format}
        return check_chat_params({**check_params(chosen, _SIGNATURE), **form})
    except SpecError as error:
        raise SpecError(str(error).replace("input_spec.params", _FIELD)) from None


def _named(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"{_FIELD}: is not JSON: {error} (given: {given[:80]!r})") from None
    if given is None:
        return {}
    value = plain(given)
    if not isinstance(value, Mapping):
        raise SpecError(
            f"{_FIELD}: must be a struct such as {{'temperature': 0.2}}, a map or JSON text "
            f"(given: {type(value).__name__})"
        )
    return dict(value)


def plain(value: Any) -> Any:
    """A value of Arrow as JSON has it: maps become objects, fields that are null are gone, decimals become numbers.

    Example:
        >>> plain([("a", Decimal("0.5"))]), plain({"a": None, "b": [Decimal(1)]})
        ({'a': 0.5}, {'b': [1]})
    """
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return {str(name): plain(item) for name, item in value if item is not None}
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    return value
