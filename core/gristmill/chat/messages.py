"""Chat messages in the form of the OpenAI API: a cell of a table becomes a checked list.

The check is written by hand because it stands in the way of every row: about ten microseconds for a short chat.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from gristmill.errors import MessagesError

__all__ = ["MEDIA_FIELDS", "PART_TYPES", "ROLES", "messages_text", "parse_messages"]

ROLES = frozenset({"assistant", "developer", "system", "tool", "user"})
"""Who may speak."""

MEDIA_FIELDS = {
    "image_url": ("url", frozenset({"url", "detail"})),
    "video_url": ("url", frozenset({"url"})),
    "input_audio": ("data", frozenset({"data", "format"})),
}
"""Content parts with a file: the field that holds or names it, and all fields."""

PART_TYPES = ("text", *MEDIA_FIELDS)
"""The types of content parts."""

_SHOWN = 80

Messages = list[dict[str, Any]]


def parse_messages(cell: Any, *, resolved: bool = False) -> Messages:
    """A cell as chat messages, checked, in objects of their own.

    Fields that are null are left out, but for the `content` of a message that calls tools. A message's further fields
    (`name`, `tool_calls`, `tool_call_id` ...) pass; a content part has those of its type and no others.

    Args:
        cell: JSON text, or what Arrow's `to_pylist` gives for a list of structs or maps.
        resolved: refuse images and videos that are no data URLs, for engines, which must open nothing.

    Raises:
        MessagesError: it is no list of messages; names the place, such as `messages[1].content[0].type`.

    Example:
        >>> parse_messages('[{"role": "user", "content": "Hi"}]')
        [{'role': 'user', 'content': 'Hi'}]
        >>> parse_messages([{"role": "user", "content": []}])
        Traceback (most recent call last):
        gristmill.errors.MessagesError: messages[0].content: the list is empty; it must hold at least one part
    """
    try:
        given = _from_text(cell) if isinstance(cell, str) else _from_cell(cell)
        if given.__class__ is not list:
            raise _wrong("messages", "must be a list of messages", given)
        if not given:
            raise MessagesError("messages: the list is empty; it must hold at least one message")
        messages = []
        for number, message in enumerate(given):
            if message.__class__ is not dict:
                raise _wrong(f"messages[{number}]", "must be an object with 'role' and 'content'", message)
            role, content = message.get("role"), message.get("content")
            if role.__class__ is not str or role not in ROLES:
                raise _wrong(f"messages[{number}].role", f"must be one of {', '.join(sorted(ROLES))}", role)
            if content.__class__ is str and len(message) == 2:
                messages.append(message)
            else:
                messages.append(_message(message, f"messages[{number}]", resolved=resolved))
    except RecursionError:
        raise MessagesError("messages: are nested too deeply") from None
    return messages


def messages_text(messages: Messages) -> str:
    """Messages as JSON text.

    Raises:
        MessagesError: they are nested too deeply.

    Example:
        >>> messages_text([{"role": "user", "content": "Grüezi"}])
        '[{"role": "user", "content": "Grüezi"}]'
    """
    try:
        return json.dumps(messages, ensure_ascii=False)
    except RecursionError:
        raise MessagesError("messages: are nested too deeply") from None


def _message(message: dict[str, Any], place: str, *, resolved: bool) -> dict[str, Any]:
    """A message with more than a role and a text."""
    checked = {name: value for name, value in message.items() if value is not None}
    content = checked.get("content")
    calls = checked.get("tool_calls")
    if calls is not None:
        if calls.__class__ is not list:
            raise _wrong(f"{place}.tool_calls", "must be a list", calls)
        if not calls:
            del checked["tool_calls"]
        for number, call in enumerate(calls):
            _check_call(call, f"{place}.tool_calls[{number}]")
    if content.__class__ is list:
        if not content:
            raise MessagesError(f"{place}.content: the list is empty; it must hold at least one part")
        checked["content"] = [
            _part(part, f"{place}.content[{number}]", resolved=resolved) for number, part in enumerate(content)
        ]
    elif content is None and calls and checked["role"] == "assistant":
        checked["content"] = None
    elif content.__class__ is not str:
        raise _wrong(f"{place}.content", "must be text or a list of parts", content)
    for name in ("name", "tool_call_id"):
        if name in checked and checked[name].__class__ is not str:
            raise _wrong(f"{place}.{name}", "must be text", checked[name])
    return checked


def _part(part: Any, place: str, *, resolved: bool) -> dict[str, Any]:
    if part.__class__ is not dict:
        raise _wrong(place, "must be an object with 'type'", part)
    kind = part.get("type")
    if kind.__class__ is not str or kind not in PART_TYPES:
        raise _wrong(f"{place}.type", f"must be one of {', '.join(PART_TYPES)}", kind)
    for name, value in part.items():
        # An empty object is what some writers make of a struct whose fields are all null.
        if name not in ("type", kind) and value is not None and value != {}:
            raise MessagesError(f"{place}.{_short(name)}: is no field of a part of type {kind!r}; leave it out")
    inner = part.get(kind)
    if kind == "text":
        if inner.__class__ is not str:
            raise _wrong(f"{place}.text", "must be text", inner)
        return {"type": kind, "text": inner}
    return {"type": kind, kind: _media(inner, kind, f"{place}.{kind}", resolved=resolved)}


def _media(inner: Any, kind: str, place: str, *, resolved: bool) -> dict[str, str]:
    field, known = MEDIA_FIELDS[kind]
    if inner.__class__ is str:  # as other interfaces of the same services have it
        inner = {field: inner}
    if inner.__class__ is not dict:
        raise _wrong(place, f"must be an object with {field!r}", inner)
    for name, value in inner.items():
        if value is not None and name not in known:
            raise MessagesError(f"{place}.{_short(name)}: is not known; it may have {', '.join(sorted(known))}")
        if value is not None and value.__class__ is not str:
            raise _wrong(f"{place}.{name}", "must be text", value)
    checked = {name: value for name, value in inner.items() if value is not None}
    if not checked.get(field):
        raise _wrong(f"{place}.{field}", "must be a path, a URL or a data URL", checked.get(field))
    if resolved and field == "url" and checked[field][:5].lower() != "data:":
        raise _wrong(f"{place}.{field}", "must be a data URL by now", checked[field])
    return checked


def _check_call(call: Any, place: str) -> None:
    function = call.get("function") if call.__class__ is dict else None
    if function.__class__ is not dict:
        raise _wrong(place, "must be an object with 'function'", call)
    if function.get("name").__class__ is not str:
        raise _wrong(f"{place}.function.name", "must be text", function.get("name"))
    arguments = function.get("arguments")
    if arguments is not None and arguments.__class__ not in (str, dict):
        raise _wrong(f"{place}.function.arguments", "must be JSON text or an object", arguments)


def _from_text(text: str) -> Any:
    try:
        if not text.isascii():
            text.encode()
        value = _DECODER.decode(text)
        if "\\ud" in text or "\\uD" in text:  # escapes of halves of a character, which may stand alone
            _refuse_halves(value)
    except _RepeatedNameError as error:
        raise MessagesError(f"{_place_of_repeated(text)}: stands twice in one object") from error
    except MessagesError:
        raise
    except UnicodeEncodeError:
        raise MessagesError("messages: the text holds half a character (a lone surrogate)") from None
    except ValueError as error:
        raise MessagesError(f"messages: the text is not JSON: {str(error)[:200]} (given: {_short(text)})") from error
    return value


class _RepeatedNameError(Exception):
    """An object has a name twice."""


_REPEATED = object()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _RepeatedNameError
    return made


def _object_marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        made[name] = _REPEATED if name in made else value
    return made


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MessagesError(f"messages: the number {_short(text)} is too large")
    return number


def _constant(text: str) -> Any:
    raise MessagesError(f"messages: {text} is not JSON; write a number or null")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite, parse_constant=_constant)
_MARKING = json.JSONDecoder(object_pairs_hook=_object_marked, parse_float=str, parse_int=str, parse_constant=str)


def _place_of_repeated(text: str) -> str:
    """Where a name stands twice; roughly, where the text is no JSON after that."""
    try:
        return next(place for place, value in _leaves(_MARKING.decode(text), "messages") if value is _REPEATED)
    except ValueError:
        return "messages: a name"


def _refuse_halves(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        place = next(inner for inner, leaf in _leaves(value, "messages") if not (_is_whole(inner) and _is_whole(leaf)))
        shown = place.encode("utf-8", "replace").decode()
        raise MessagesError(f"{shown}: the text holds half a character (a lone surrogate)") from None


def _is_whole(text: Any) -> bool:
    try:
        text.encode() if isinstance(text, str) else None
    except UnicodeEncodeError:
        return False
    return True


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The values that hold no others, each with its place."""
    if value.__class__ is dict and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{place}.{name}")
    elif value.__class__ is list and value:
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{number}]")
    else:
        yield place, value


def _from_cell(cell: Any) -> Any:
    if cell is None:
        raise MessagesError("messages: is null; it must hold a list of messages")
    return _plain(cell, "messages")


def _plain(value: Any, place: str) -> Any:
    """A value of Arrow as JSON has it: maps are objects, and fields that are null are not there."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _wrong(place, "must be a finite number", value)
        return value
    if isinstance(value, dict):
        return {
            _name(name, place): _plain(inner, f"{place}.{name}") for name, inner in value.items() if inner is not None
        }
    if isinstance(value, list) and value and all(item.__class__ is tuple and len(item) == 2 for item in value):
        entries = {_name(name, place): _plain(inner, f"{place}.{name}") for name, inner in value if inner is not None}
        if len({name for name, _ in value}) != len(value):
            raise MessagesError(f"{place}: the map has a name twice")
        return entries
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{place}[{number}]") for number, inner in enumerate(value)]
    raise _wrong(place, f"must be text, a number, a list or an object, not {type(value).__name__}", value)


def _name(name: Any, place: str) -> str:
    if not isinstance(name, str):
        raise _wrong(place, "must have text as names", name)
    return name


def _wrong(place: str, problem: str, value: Any) -> MessagesError:
    return MessagesError(f"{place}: {problem} (given: {_short(value)})")


def _short(value: Any) -> str:
    """A value as errors show it; a deep or long one is cut."""
    if isinstance(value, str | bytes):
        text = repr(value[:_SHOWN])
    elif isinstance(value, dict | list | tuple):
        text = f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    elif isinstance(value, int) and value.bit_length() > 256:
        text = "a large number"
    else:
        text = repr(value)
    return text[: _SHOWN + 2].encode("utf-8", "replace").decode()
