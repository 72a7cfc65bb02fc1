"""The responses of chat models as columns, in the form of the OpenAI API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.errors import SchemaError, SpecError

__all__ = [
    "CHOICES",
    "RESPONSE",
    "RESPONSE_NAMES",
    "Choice",
    "ResponseForm",
    "TokenLogprob",
    "chat_response",
    "has_choices",
    "response_schema",
    "text_of",
]

CHOICES = "choices"
"""The column of a model's answers, before which a prefix may stand."""

RESPONSE = "response"
"""The column of plain text that `text_of` gives."""

_ALTERNATIVE = pa.struct([("token", pa.string()), ("logprob", pa.float64())])
_LOGPROBS = pa.struct(
    [("content", pa.list_(pa.struct([*_ALTERNATIVE, ("top_logprobs", pa.list_(_ALTERNATIVE))])))],
)
_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_CHOICE = pa.struct([("index", pa.int64()), ("message", _MESSAGE), ("finish_reason", pa.string())])
_USAGE = pa.struct(
    [
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("total_tokens", pa.int64()),
        ("prompt_tokens_details", pa.struct([("cached_tokens", pa.int64())])),
    ]
)
_COLUMNS = {
    "id": pa.string(),
    "object": pa.string(),
    "created": pa.int64(),
    "model": pa.string(),
    "choices": pa.list_(_CHOICE),
    "usage": _USAGE,
}

RESPONSE_NAMES: tuple[str, ...] = tuple(_COLUMNS)
"""The columns of a chat's response, without prefix."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of a choice.

    Attributes:
        token: its text.
        logprob: the logarithm of its probability.
        top: the likeliest tokens at its place, as (text, logprob).
    """

    token: str
    logprob: float
    top: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a model.

    Attributes:
        index: its place among the choices.
        text: the answer; None where there is none, as of a model that only calls tools.
        finish_reason: why it ends, such as `stop` or `length`.
        logprobs: of its tokens, where they were asked for.
        role: of the answer's message.
    """

    index: int
    text: str | None
    finish_reason: str | None
    logprobs: Sequence[TokenLogprob] | None = None
    role: str = "assistant"


def response_schema(*, logprobs: bool = False, response_column: str | None = None, prefix: str = "") -> pa.Schema:
    """The columns of a chat's response.

    Args:
        logprobs: whether choices have those of their tokens.
        response_column: the name of one more column, for the text of the first choice.
        prefix: goes before each name but `response_column`; an input often has an `id` of its own.

    Raises:
        SpecError: the prefix or the column is no text, or the column is named like another.

    Example:
        >>> response_schema(prefix="chat_").names
        ['chat_id', 'chat_object', 'chat_created', 'chat_model', 'chat_choices', 'chat_usage']
    """
    _check_prefix(prefix)
    columns = {f"{prefix}{name}": kind for name, kind in _COLUMNS.items()}
    if logprobs:
        columns[f"{prefix}{CHOICES}"] = pa.list_(pa.struct([*_CHOICE, ("logprobs", _LOGPROBS)]))
    if response_column is not None:
        field = "inference_engine_options.response_column"
        if not isinstance(response_column, str) or not response_column.strip():
            raise SpecError(f"{field}: must be the name of a column such as 'response' (given: {response_column!r})")
        if response_column.lower() in {*(name.lower() for name in columns), "_error"}:
            raise SpecError(f"{field}: {response_column!r} is a column of the response already; choose another name")
        columns[response_column] = pa.string()
    return pa.schema(columns)


def _check_prefix(prefix: Any) -> None:
    if not isinstance(prefix, str):
        raise SpecError(f"inference_engine_options.output_prefix: must be text such as 'chat_' (given: {prefix!r})")


class ResponseForm:
    """Turns responses into rows of a schema of `response_schema`.

    Args:
        logprobs, response_column, prefix: see `response_schema`.

    Attributes:
        schema: the columns.

    Example:
        >>> form = ResponseForm(response_column="text", prefix="chat_")
        >>> row = form.row(id="c1", created=0, model="m", choices=[Choice(0, "Hi", "stop")], prompt_tokens=3)
        >>> row["text"], row["chat_model"], row["chat_usage"]["total_tokens"]
        ('Hi', 'm', 3)
    """

    def __init__(self, *, logprobs: bool = False, response_column: str | None = None, prefix: str = "") -> None:
        self.schema = response_schema(logprobs=logprobs, response_column=response_column, prefix=prefix)
        self._column = response_column
        self._prefix = prefix

    def row(
        self,
        *,
        id: str | None,  # noqa: A002 - the column's name
        created: int | None,
        model: str | None,
        choices: Sequence[Choice],
        prompt_tokens: int | None = 0,
        completion_tokens: int | None = 0,
        cached_tokens: int | None = None,
    ) -> dict[str, Any]:
        """The row of a response; see `chat_response`."""
        response = chat_response(
            id=id,
            created=created,
            model=model,
            choices=choices,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cached_tokens=cached_tokens,
        )
        if self._prefix:
            response = {f"{self._prefix}{name}": value for name, value in response.items()}
        if self._column is not None:
            response[self._column] = choices[0].text if choices else None
        return response


def chat_response(
    *,
    id: str | None,  # noqa: A002 - the column's name
    created: int | None,
    model: str | None,
    choices: Sequence[Choice],
    prompt_tokens: int | None = 0,
    completion_tokens: int | None = 0,
    cached_tokens: int | None = None,
) -> dict[str, Any]:
    """A chat's response as the values of its columns, without prefix.

    Args:
        id: of the response.
        created: seconds since 1970.
        model: as the engine names it.
        choices: the answers.
        prompt_tokens: tokens of the prompt; None where nobody counted them.
        completion_tokens: tokens of all choices, likewise.
        cached_tokens: those of the prompt that were cached; None where that is not known.

    Example:
        >>> chat_response(id="c1", created=0, model="m", choices=[Choice(0, "Hi", "stop")])["choices"]
        [{'index': 0, 'message': {'role': 'assistant', 'content': 'Hi'}, 'finish_reason': 'stop'}]
    """
    total = None if prompt_tokens is None or completion_tokens is None else prompt_tokens + completion_tokens
    return {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [_choice(choice) for choice in choices],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": total,
            "prompt_tokens_details": None if cached_tokens is None else {"cached_tokens": cached_tokens},
        },
    }


def _choice(choice: Choice) -> dict[str, Any]:
    written: dict[str, Any] = {
        "index": choice.index,
        "message": {"role": choice.role, "content": choice.text},
        "finish_reason": choice.finish_reason,
    }
    if choice.logprobs is not None:
        written["logprobs"] = {"content": [_token(token) for token in choice.logprobs]}
    return written


def _token(token: TokenLogprob) -> Mapping[str, Any]:
    top = [{"token": text, "logprob": logprob} for text, logprob in token.top]
    return {"token": token.token, "logprob": token.logprob, "top_logprobs": top}


def text_of(table: pa.Table) -> pa.Table:
    """A chat job's output with one column of text, `response`, where the columns of its response stood.

    The text is the first choice's, however many there are; null in a failed row. All other columns stay, `_error` and a
    `response_column` of the job among them.

    Args:
        table: the output, whole or at least with its column `choices`, with whatever prefix it was written.

    Raises:
        SchemaError: there are no choices in it, or `response` is the name of another column.

    Example:
        >>> form = ResponseForm()
        >>> row = form.row(id="c1", created=0, model="m", choices=[Choice(0, "Hi", "stop")])
        >>> text_of(pa.Table.from_pylist([row], form.schema)).to_pylist()
        [{'response': 'Hi'}]
    """
    # outputs follow the input's columns, which may hold an earlier chat's choices
    place = max((at for at, field in enumerate(table.schema) if has_choices(field)), default=None)
    if place is None:
        raise SchemaError(
            "text: the output has no column 'choices', so it is not a chat's; read it without text=True "
            f"(it has: {', '.join(table.column_names) or 'none'})"
        )
    prefix = table.column_names[place].removesuffix(CHOICES)
    gone = {f"{prefix}{name}" for name in RESPONSE_NAMES}
    left = [name for name in table.column_names if name not in gone]
    names = [name for name in table.column_names[:place] if name in left]
    if RESPONSE in left:
        if table.schema.names.index(RESPONSE) < place:
            raise SchemaError(
                f"text: the input's own column {RESPONSE!r} stands in the output; read it without text=True, "
                "or give the job another name for that column"
            )
        return table.select(left)  # the job was asked for it, and it is the same
    text = table.select(left)
    return text.add_column(len(names), RESPONSE, _first_texts(table.column(place)))


def has_choices(field: pa.Field) -> bool:
    """Whether a column holds the answers of a chat, with whatever prefix."""
    kind = field.type
    return (
        field.name.endswith(CHOICES)
        and pa.types.is_list(kind)
        and pa.types.is_struct(kind.value_type)
        and {"index", "message", "finish_reason"} <= {inner.name for inner in kind.value_type}
    )


def _first_texts(choices: pa.ChunkedArray) -> pa.ChunkedArray:
    chunks = []
    for chunk in choices.chunks:
        first = pc.list_slice(chunk, 0, 1)
        texts = pc.struct_field(pc.list_flatten(first), ["message", "content"])
        rows = pc.index_in(pa.array(range(len(chunk)), pa.int64()), pc.list_parent_indices(first))
        chunks.append(texts.take(rows))
    return pa.chunked_array(chunks, pa.string())
