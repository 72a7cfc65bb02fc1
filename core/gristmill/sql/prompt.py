"""`prompt(template, args...)`: text and files put together, for `ai_complete`."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.chat.signature import holds_text
from gristmill.errors import SpecError
from gristmill.models.types import stored_type
from gristmill.resolve.media_type import media_type

__all__ = ["FILE", "PARTS", "PROMPT", "TEXT", "content_of", "filled", "is_file", "is_prompt", "prompts"]

FILE, TEXT, PARTS = "gristmill_file", "gristmill_text", "gristmill_parts"
"""The fields of files and prompts as SQL has them; named so that no struct of a user is taken for one."""

PROMPT = pa.struct([(TEXT, pa.string()), (PARTS, pa.string())])
"""A prompt: its text; or, where it holds files, its parts as JSON."""

_PLACE = re.compile(r"\{(\d{1,4})\}")
_KINDS = {"audio": ("input_audio", "data"), "image": ("image_url", "url"), "video": ("video_url", "url")}


def is_file(kind: pa.DataType) -> bool:
    """Whether a column holds files, as `to_file` gives them."""
    kind = stored_type(kind)
    return pa.types.is_struct(kind) and [field.name for field in kind] == [FILE]


def is_prompt(kind: pa.DataType) -> bool:
    """Whether a column holds prompts, as `prompt` gives them."""
    kind = stored_type(kind)
    return pa.types.is_struct(kind) and [field.name for field in kind] == [TEXT, PARTS]


def prompts(*columns: pa.ChunkedArray) -> pa.Array:
    """The prompts of some rows: a template, and what stands in the place of `{0}`, `{1}` and so on.

    Args:
        columns: the templates, then the arguments.

    Returns:
        An array of type `PROMPT`; null where the template or an argument that it names is.

    Raises:
        SpecError: an argument is an object or an array that is no file, or the template names one that is not there.
    """
    if not pa.types.is_null(columns[0].type) and not holds_text(columns[0].type):
        raise SpecError(f"prompt: the template must be text (given: {columns[0].type})")
    templates = columns[0].to_pylist()
    arguments = [_argument(column, place) for place, column in enumerate(columns[1:])]
    rows = zip(*arguments, strict=True) if arguments else (() for _ in templates)
    made = [_prompt(template, row) for template, row in zip(templates, rows, strict=True)]
    return pa.array(made, PROMPT)


def _argument(column: pa.ChunkedArray, place: int) -> list[Any]:
    """The values of one argument: texts, or dicts for files."""
    kind = stored_type(column.type)
    kinds = pa.types
    if pa.types.is_null(kind) or holds_text(kind) or is_file(kind):
        return list(column.to_pylist())
    if kinds.is_dictionary(kind):
        return [None if value is None else str(value) for value in column.to_pylist()]
    if kinds.is_nested(kind) or kinds.is_binary(kind) or kinds.is_large_binary(kind):
        what = "an array" if kinds.is_list(kind) or kinds.is_fixed_size_list(kind) else "binary"
        what = "an object" if kinds.is_struct(kind) or kinds.is_map(kind) else what
        raise SpecError(
            f"prompt: the argument {{{place}}} is {what} and no file, so it might mean several things to a model; "
            "write it as text, such as to_json(value)::VARCHAR, or give a file by to_file(path)"
        )
    if kinds.is_floating(kind) and not kinds.is_float64(kind):  # its own digits, not those of the double beside it
        column = pc.cast(pc.cast(column, pa.string()), pa.float64())
    if kinds.is_floating(kind) or kinds.is_boolean(kind):
        return [None if value is None else str(value).lower() for value in column.to_pylist()]
    try:
        if kinds.is_temporal(kind) and not kinds.is_interval(kind):
            return [None if value is None else str(value) for value in column.to_pylist()]
        return list(pc.cast(column, pa.string()).to_pylist())
    except (
        pa.ArrowNotImplementedError,
        OverflowError,
        ValueError,
    ):  # the last two: no date of Python's
        raise SpecError(f"prompt: the argument {{{place}}} is of the type {kind}; write it as value::VARCHAR") from None


def _prompt(template: str | None, arguments: Sequence[Any]) -> dict[str, str | None] | None:
    if template is None:
        return None
    content = filled(template, arguments)
    if content is None:
        return None
    if isinstance(content, str):
        return {TEXT: content, PARTS: None}
    return {TEXT: None, PARTS: json.dumps(content, ensure_ascii=False)}


def filled(template: str, arguments: Sequence[Any]) -> str | list[dict[str, Any]] | None:
    """A template with its arguments in their places: text, or content parts where a file is among them.

    Args:
        template: text with `{0}`, `{1}` ...; other braces stay as they are.
        arguments: texts, or files as dicts.

    Raises:
        SpecError: it names an argument that is not there.

    Example:
        >>> filled("{1}, {0}! {}", ["world", "Hello"])
        'Hello, world! {}'
        >>> filled("See {0}", [{"gristmill_file": "@cats/tom.png"}])
        [{'type': 'text', 'text': 'See '}, {'type': 'image_url', 'image_url': {'url': '@cats/tom.png'}}]
    """
    pieces: list[str | dict[str, Any]] = []
    end = 0
    for found in _PLACE.finditer(template):
        place = int(found[1])
        if place >= len(arguments):
            many = f"there are {len(arguments)}" if len(arguments) != 1 else "there is 1, which is {0}"
            raise SpecError(f"prompt: the template names the argument {{{place}}}, and {many}; add it to the call")
        value = arguments[place]
        if value is None or (isinstance(value, dict) and value[FILE] is None):
            return None
        pieces += [template[end : found.start()], value]
        end = found.end()
    pieces.append(template[end:])
    return content_of(pieces)


def content_of(pieces: Sequence[str | dict[str, Any]]) -> str | list[dict[str, Any]]:
    """What stands in a message: text, or parts where a file is among the pieces.

    Example:
        >>> content_of(["a", "b"])
        'ab'
    """
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(piece for piece in pieces if isinstance(piece, str))
    parts: list[dict[str, Any]] = []
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
            continue
        parts += [{"type": "text", "text": text}] if text else []
        parts.append(_file_part(piece[FILE]))
        text = ""
    return [*parts, {"type": "text", "text": text}] if text else parts


def _file_part(path: str) -> dict[str, Any]:
    """The part of a message that names a file; its kind is by the name, and the content is checked when it is read."""
    kind = media_type(b"", path).partition("/")[0]
    part, field = _KINDS.get(kind, _KINDS["image"])
    return {"type": part, part: {field: path}}
