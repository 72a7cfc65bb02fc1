"""The form of a chat job's response: which columns its params and engine options make."""

from collections.abc import Mapping
from typing import Any

from gristmill.chat.response import ResponseForm
from gristmill.errors import SpecError

__all__ = ["CHAT_OPTIONS", "check_chat_options", "response_form"]

CHAT_OPTIONS = frozenset({"output_prefix", "param_columns", "prefix_grouping", "response_column", "window"})
"""The options that every engine for chats knows."""


def check_chat_options(options: Mapping[str, Any]) -> None:
    """Refuse a `window` or a `prefix_grouping` that cannot be right.

    Raises:
        SpecError: names the option.
    """
    field = "inference_engine_options"
    window = options.get("window")
    if window is not None and (isinstance(window, bool) or not isinstance(window, int) or window < 1):
        raise SpecError(f"{field}.window: must be a number of rows of at least 1 (given: {window!r})")
    grouping = options.get("prefix_grouping")
    if grouping is not None and not isinstance(grouping, bool):
        raise SpecError(f"{field}.prefix_grouping: must be True or False (given: {grouping!r})")


def response_form(params: Mapping[str, Any], options: Mapping[str, Any]) -> ResponseForm:
    """The form of a job's responses.

    Args:
        params: the job's params; `logprobs` adds them to each choice.
        options: the engine options: `response_column`, `output_prefix`, and `param_columns`, one of which may be
            `logprobs`.

    Raises:
        SpecError: the prefix or the column is no text, or collides.

    Example:
        >>> response_form({}, {"response_column": "text"}).schema.names
        ['id', 'object', 'created', 'model', 'choices', 'usage', 'text']
    """
    columns = {str(name).strip().lower() for name in options.get("param_columns") or ()}
    prefix = options.get("output_prefix")
    return ResponseForm(
        logprobs=bool(params.get("logprobs")) or "logprobs" in columns,
        response_column=options.get("response_column"),
        prefix="" if prefix is None else prefix,
    )
