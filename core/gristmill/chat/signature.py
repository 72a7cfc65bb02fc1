"""The signature of a chat function, and which column of an input its conversations stand in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from gristmill.chat.form import response_form
from gristmill.chat.messages import parse_messages
from gristmill.errors import MessagesError, SchemaError
from gristmill.models.signature import Feature, Param, Signature
from gristmill.models.types import stored_type

__all__ = ["MESSAGES", "PROMPT", "ChatColumn", "chat_column", "chat_signature", "holds_text", "settled"]

MESSAGES = "messages"
"""The column of chat messages, in any case."""

PROMPT = "prompt"
"""The column of plain text, in any case, where there are no messages."""

_BEGINNING = 4_096
"""Characters: conversations that begin alike for so long share enough of an engine's cache."""

_WAY_OUT = "write each conversation as JSON text with json.dumps(messages)"


def chat_signature(*, outputs: pa.Schema, params: Iterable[Param] = (), inputs: Iterable[Feature] = ()) -> Signature:
    """The signature of a function that takes chat messages.

    Args:
        outputs: the columns it returns.
        params: the values it takes once for a job.
        inputs: the columns it takes besides the messages.

    Example:
        >>> signature = chat_signature(outputs=pa.schema({"id": pa.string()}))
        >>> [feature.name for feature in signature.inputs], signature.is_chat
        (['messages'], True)
    """
    return Signature(
        inputs=(Feature(MESSAGES, pa.string()), *inputs),
        outputs=tuple(Feature(field.name, field.type) for field in outputs),
        params=tuple(params),
        is_chat=True,
    )


def settled(signature: Signature, params: Mapping[str, Any], options: Mapping[str, Any]) -> Signature:
    """The signature of a chat function, its outputs as the job's params make them: choices have logprobs if asked to.

    Outputs in a form that is not `response_form`'s stay as they are.

    Args:
        signature: the function's.
        params: of the job, checked.
        options: the engine options.

    Example:
        >>> signature = chat_signature(outputs=response_form({}, {}).schema)
        >>> settled(signature, {"logprobs": True}, {}).output_schema().field("choices").type.value_type.num_fields
        4
    """
    if signature.output_schema() != response_form({}, options).schema:
        return signature
    outputs = response_form(params, options).schema
    return replace(signature, outputs=tuple(Feature(field.name, field.type) for field in outputs))


@dataclass(frozen=True, slots=True)
class ChatColumn:
    """The column that holds the conversations.

    Attributes:
        name: the input's own name of it.
        is_messages: whether it holds messages; else it holds a plain prompt, the text of a user's message.
    """

    name: str
    is_messages: bool

    def messages(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The messages of a row, as a model that must open no files takes them.

        Raises:
            MessagesError: it has none; says where.

        Example:
            >>> ChatColumn("PROMPT", is_messages=False).messages({"PROMPT": "Hi"})
            [{'role': 'user', 'content': 'Hi'}]
        """
        cell = row[self.name]
        if self.is_messages:
            return parse_messages(cell, resolved=True)
        if not isinstance(cell, str):
            problem = "is null" if cell is None else f"must be text, not {type(cell).__name__}"
            raise MessagesError(f"{PROMPT}: {problem}")
        return [{"role": "user", "content": cell}]

    def beginning(self, row: Mapping[str, Any]) -> str | None:
        """The first characters of a row's conversation, by which rows are compared; None where it is no text.

        Example:
            >>> ChatColumn("PROMPT", is_messages=False).beginning({"PROMPT": "Hi"})
            'Hi'
        """
        cell = row[self.name]
        return cell[:_BEGINNING] if isinstance(cell, str) else None


def chat_column(schema: pa.Schema, *, what: str = "a chat") -> ChatColumn:
    """The column of conversations in an input: `messages` in any case, or else `prompt`.

    Args:
        schema: the input's columns.
        what: what needs them, for errors.

    Raises:
        SchemaError: there is none, there are several that differ in case only, or it has a wrong type.

    Example:
        >>> chat_column(pa.schema({"ID": pa.int64(), "MESSAGES": pa.string()}))
        ChatColumn(name='MESSAGES', is_messages=True)
    """
    for name, is_messages in ((MESSAGES, True), (PROMPT, False)):
        found = [field for field in schema if field.name.lower() == name]
        if len(found) > 1:
            several = ", ".join(repr(field.name) for field in found)
            raise SchemaError(f"{what} takes one column {name!r}, and the input has {several}; rename all but one")
        if found:
            _check_type(found[0], what=what, is_messages=is_messages)
            return ChatColumn(found[0].name, is_messages)
    has = ", ".join(schema.names) or "none"
    raise SchemaError(
        f"{what} needs a column {MESSAGES!r} (in any case) of chat messages, or a column {PROMPT!r} of plain text; "
        f"the input has: {has}; for messages, {_WAY_OUT}"
    )


def _check_type(field: pa.Field, *, what: str, is_messages: bool) -> None:
    if holds_text(field.type):
        return
    if not is_messages:
        raise SchemaError(f"{what} takes text in the column {field.name!r}, which holds {field.type}; cast it to text")
    item = _item_type(field.type)
    if item is None or not (pa.types.is_struct(item) or pa.types.is_map(item)):
        raise SchemaError(
            f"{what} takes JSON text or a list of structs in the column {field.name!r}, which holds {field.type}; "
            f"{_WAY_OUT}"
        )
    if pa.types.is_struct(item):
        names = [item.field(at).name for at in range(item.num_fields)]
        missing = [name for name in ("role", "content") if name not in names]
        if missing:
            raise SchemaError(
                f"{what} takes messages with role and content in the column {field.name!r}; its structs have no "
                f"{' and no '.join(missing)}, but: {', '.join(names) or 'nothing'}; rename the fields, or {_WAY_OUT}"
            )


def holds_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, however it is stored."""
    kind = stored_type(kind)
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _item_type(kind: pa.DataType) -> pa.DataType | None:
    """The type of the items of a list of any kind; None where it is none."""
    kind = stored_type(kind)
    lists = (
        pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view,
        pa.types.is_large_list_view,
    )  # fmt: skip
    if pa.types.is_map(kind) or not any(test(kind) for test in lists):
        return None
    return stored_type(kind.value_type)
