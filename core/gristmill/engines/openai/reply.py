"""What a service answers, read strictly: an answer that is none is an error, never a success."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gristmill.chat.response import Choice, TokenLogprob
from gristmill.engines.openai.errors import ReplyError, RequestError

__all__ = [
    "LARGE", "Usage", "error_of", "is_object", "no_object", "read_choices", "read_embedding", "read_reply",
    "read_usage", "whole",
]  # fmt: skip

LARGE = 1024**2
"""Bytes; a larger answer takes so long to read that it is done in a thread, which must let others go on meanwhile."""

_VALUES = 4 * 1024**2
"""Values in an answer, at most: each takes a hundred bytes of memory, and a microsecond."""

_TOKENS = 10**8
"""No request takes more; a count beyond that is none."""

_SHOWN = 300

_FAILED = frozenset({"abort", "error"})
"""Why a choice ends where it was not the model that ended it."""

_CUT = frozenset({"content_filter", "length"})
"""Why a choice may end before anything was said in it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request, as the service counted them; None where it did not.

    Attributes:
        prompt: of the prompt.
        completion: of the answers.
        cached: those of the prompt that were cached.
    """

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None


def is_object(content: bytes) -> bool:
    r"""Whether a body begins as a JSON object does; services that keep a connection alive send blanks before it.

    Example:
        >>> is_object(b'\n\n{"id": 1}'), is_object(b"<html>"), is_object(b"")
        (True, False, False)
    """
    return content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def no_object(content: bytes) -> ReplyError:
    """The error for a body that is no JSON object, such as the page of a proxy."""
    return ReplyError(f"200, and the answer is no JSON object (it begins {_begin(content)})")


def read_reply(content: bytes) -> dict[str, Any]:
    """The object in the body of a 200.

    Raises:
        ReplyError: it is no JSON object, or one of millions of values.
        RequestError: it is an error.
    """
    try:
        reply = json.loads(content) if len(content) <= LARGE else _slowly(content)
    except (ValueError, RecursionError) as error:
        raise ReplyError(f"the answer is not JSON: {str(error)[:_SHOWN]} (it begins {_begin(content)})") from None
    if b"\\ud" in content or b"\\uD" in content:  # perhaps half a character, where an answer was cut
        reply = _whole_characters(reply)
    if not isinstance(reply, dict):
        raise no_object(content)
    if reply.get("error") is not None or reply.get("object") == "error":
        raise error_of(200, content)
    return reply


def _slowly(content: bytes) -> Any:
    """The same in Python's own steps, between which other threads may run; strings are still read at once."""
    if content.count(b",") + content.count(b"[") + content.count(b"{") > _VALUES:
        raise ValueError(f"more than {_VALUES:,} values")
    decoder = json.JSONDecoder()
    decoder.scan_once = json.scanner.py_make_scanner(decoder)  # type: ignore[attr-defined]
    return decoder.decode(content.decode())


def error_of(status: int, content: bytes) -> RequestError:
    """The error that an answer holds, in whichever of the usual forms.

    Example:
        >>> print(error_of(400, b'{"error": {"message": "too long", "type": "invalid", "code": "context"}}'))
        400 invalid (context): too long
        >>> print(error_of(502, b"<h1>Bad gateway</h1>"))
        502: <h1>Bad gateway</h1>
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, Mapping):
        text = content.decode("utf-8", "replace").strip()
        return RequestError(f"{status}: {text or 'without a word'}", status=status)
    message = error.get("message", error.get("detail"))
    kind, code = error.get("type"), error.get("code")
    code = code if isinstance(code, str) and code else None
    kind = kind if isinstance(kind, str) and kind else None
    words = [str(status), *([kind] if kind else []), *([f"({code})"] if code else [])]
    text = message if isinstance(message, str) else json.dumps(body, ensure_ascii=False)
    return RequestError(f"{' '.join(words)}: {text}", status=status, code=code, kind=kind)


def read_choices(reply: Mapping[str, Any], *, count: int = 1) -> list[Choice]:
    """The choices of a chat's reply, in their order.

    A refusal stands as the text of its choice, whose reason to end then is `refusal`, where the service has `stop`.

    Args:
        reply: as `read_reply` gives it.
        count: how many were asked for.

    Raises:
        ReplyError: they are fewer, not in the form of the OpenAI API, or one of them failed or is not whole.
    """
    given = reply.get("choices")
    if not isinstance(given, list) or not given:
        raise ReplyError(f"the answer has no choices: {_shown(reply)}")
    if len(given) < count:
        raise ReplyError(f"the answer has {len(given)} of the n={count} choices that were asked for: {_shown(given)}")
    try:
        choices = [_choice(choice, place) for place, choice in enumerate(given)]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ReplyError(f"the answer's choices cannot be read ({problem}): {_shown(given)}") from None
    if len(choices) == 1:
        return choices
    if len({choice.index for choice in choices}) < len(choices):
        raise ReplyError(f"several of the answer's choices have the same index: {_shown(given)}")
    return sorted(choices, key=lambda choice: choice.index)


def _choice(given: Mapping[str, Any], place: int) -> Choice:
    reason = given.get("finish_reason")
    if reason in _FAILED or given.get("error") is not None:
        raise ReplyError(f"choice {place} of the answer failed at the service: {_shown(given)}")
    message = given["message"]
    text, role, refusal = message.get("content"), message.get("role"), message.get("refusal")
    for value in (text, role, reason, refusal):
        if value is not None and value.__class__ is not str:
            raise TypeError(f"{value!r} is not text")
    if not reason:
        raise ReplyError(f"choice {place} of the answer has no finish_reason, so it may not be whole: {_shown(given)}")
    if not text and refusal:
        text, reason = refusal, "refusal" if reason == "stop" else reason
    if text is None and reason not in _CUT and not message.get("tool_calls") and not message.get("function_call"):
        raise ReplyError(f"choice {place} of the answer has no content, and no tool_calls or refusal: {_shown(given)}")
    index = whole(given.get("index"), most=2**31)
    logprobs = given.get("logprobs")
    return Choice(
        index=place if index is None else index,
        text=text,
        finish_reason=reason,
        logprobs=None if logprobs is None else [_token(token) for token in logprobs.get("content") or ()],
        role=role or "assistant",
    )


def _token(given: Mapping[str, Any]) -> TokenLogprob:
    top = tuple((str(item["token"]), float(item["logprob"])) for item in given.get("top_logprobs") or ())
    return TokenLogprob(str(given["token"]), float(given["logprob"]), top)


def read_embedding(reply: Mapping[str, Any]) -> list[float]:
    """The one vector of an embedding's reply.

    Raises:
        ReplyError: there is none.
    """
    data = reply.get("data")
    vector = data[0].get("embedding") if isinstance(data, list) and data and isinstance(data[0], dict) else None
    if not isinstance(vector, list) or not vector or not all(isinstance(item, int | float) for item in vector):
        raise ReplyError(f"the answer has no embedding: {_shown(reply)}")
    return vector


def read_usage(reply: Mapping[str, Any]) -> Usage:
    """The tokens; what is not told, or no number of tokens, is None."""
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(cached))


def _count(value: Any) -> int | None:
    return value if value.__class__ is int and 0 <= value <= _TOKENS else None


def whole(value: Any, *, most: int = 2**62) -> int | None:
    """A whole number from 0 to `most`; None for anything else.

    Example:
        >>> whole(1_700_000_000.5), whole(float("inf")), whole(True)
        (1700000000, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if 0 <= value <= most else None


def _whole_characters(value: Any) -> Any:
    """The same with `?` for each half of a character, which no column can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole_characters(name): _whole_characters(item) for name, item in value.items()}
    return [_whole_characters(item) for item in value] if isinstance(value, list) else value


def _begin(content: bytes) -> str:
    return repr(content[:_SHOWN].decode("utf-8", "replace"))


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:_SHOWN]
