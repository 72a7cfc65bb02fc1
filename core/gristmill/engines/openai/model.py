"""The row models of the engine `openai`: chats, and embeddings."""

import asyncio
import json
import threading
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from gristmill.chat.form import response_form
from gristmill.chat.messages import messages_text
from gristmill.chat.params import RowParams, check_chat_params
from gristmill.chat.signature import chat_column
from gristmill.engines.openai.client import Client
from gristmill.engines.openai.endpoint import Endpoint
from gristmill.engines.openai.reply import Usage, read_choices, read_embedding, read_usage, whole
from gristmill.engines.openai.request import ChatBody, estimate_tokens
from gristmill.engines.protocol import LoadContext, RowModel
from gristmill.models.columns import match_columns
from gristmill.models.reference import parse_reference
from gristmill.models.signature import Param

__all__ = ["EMBEDDING", "ChatModel", "EmbeddingModel"]

EMBEDDING = pa.schema({"embedding": pa.list_(pa.float32()), "prompt_tokens": pa.int64()})
"""The columns of an embedding."""

_CHATS, _EMBEDDINGS = "/chat/completions", "/embeddings"

_TRIAL = '[{"role": "user", "content": "Hi"}]'
"""What any chat can answer."""


class _Requests(RowModel):
    """What the two share: the service, and the tokens."""

    def __init__(self, endpoint: Endpoint, *, one_model: bool, trial: tuple[str, bytes]) -> None:
        asyncio.run(Client(endpoint).check())
        self._client = Client(endpoint, one_model=one_model, trial=trial)
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}
        self.window = endpoint.window

    def _count(self, usage: Usage, *, estimate: float) -> None:
        """Add up the tokens of an answer; called by the loop, and the sums taken by another thread."""
        told = {"prompt_tokens": usage.prompt, "cached_tokens": usage.cached, "output_tokens": usage.completion}
        with self._lock:
            for name, count in told.items():
                if count is not None:
                    self._tokens[name] = self._tokens.get(name, 0.0) + count
        known = usage.prompt is not None
        total = (usage.prompt or 0) + (usage.completion or 0) if known else estimate
        self._client.gate.answered(tokens=total, estimate=estimate)

    def take_metrics(self) -> Mapping[str, float]:
        """Tokens since this was last asked, as the service counted them."""
        with self._lock:
            tokens, self._tokens = self._tokens, {}
        return tokens

    def gauges(self) -> Mapping[str, float]:
        """Requests `running` at the service, and `waiting` for their turn or their next try."""
        return self._client.gauges()


class ChatModel(_Requests):
    """Sends each row as a chat.

    Args:
        context: the columns, the params and the options.
        endpoint: the service.
        params: all params of the function, with their defaults.
    """

    def __init__(self, context: LoadContext, endpoint: Endpoint, *, params: tuple[Param, ...]) -> None:
        options = context.options
        values = check_chat_params(context.params)
        columns = options.get("param_columns")
        self._column = chat_column(context.input_schema)
        self._params = RowParams(values, columns=columns, schema=context.input_schema, defaults=params)
        self._form = response_form(values, options)
        self._body = ChatBody(parse_reference(context.model).target, max_tokens_name=endpoint.settings.max_tokens_name)
        self.output_schema = self._form.schema
        if options.get("prefix_grouping") is not False:
            self.prefix_key = self._column.beginning
        per_row = {str(name).strip().lower() for name in columns or ()}
        trial = self._body.write(_TRIAL, {"max_completion_tokens": 1, "model": values.get("model")})
        super().__init__(endpoint, one_model="model" not in per_row, trial=(_CHATS, trial))

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The columns of a row's response."""
        params = self._params(row)
        messages = self._column.messages(row)
        body = self._body.write(messages_text(messages), params)
        estimate = estimate_tokens(messages, params) if self._client.gate.counts_tokens else 0
        count = params.get("n") or 1

        def read(reply: dict[str, Any]) -> tuple[Mapping[str, Any], Usage]:
            return self._read(reply, count)

        found, usage = await self._client.post(_CHATS, body, read=read, tokens=estimate)
        self._count(usage, estimate=estimate)
        return found

    def _read(self, reply: dict[str, Any], count: int) -> tuple[Mapping[str, Any], Usage]:
        choices, usage = read_choices(reply, count=count), read_usage(reply)
        found = self._form.row(
            id=_text(reply.get("id")),
            created=whole(reply.get("created")),
            model=_text(reply.get("model")),
            choices=choices,
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
            cached_tokens=usage.cached,
        )
        return found, usage


class EmbeddingModel(_Requests):
    """Sends the text of each row, and gives the vector.

    Args:
        context: the columns and the params.
        endpoint: the service.
        column: of the text.
    """

    output_schema = EMBEDDING

    def __init__(self, context: LoadContext, endpoint: Endpoint, *, column: str) -> None:
        self._name = context.input_schema.names[match_columns([column], context.input_schema)[0]]
        given = {name: value for name, value in context.params.items() if value is not None}
        self._head = {"model": parse_reference(context.model).target, **given, "encoding_format": "float"}
        trial = json.dumps({**self._head, "input": "Hi"}).encode()
        super().__init__(endpoint, one_model=True, trial=(_EMBEDDINGS, trial))

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The vector of a row's text."""
        text = row[self._name]
        if not isinstance(text, str):
            raise TypeError(f"{self._name}: {'is null' if text is None else 'is no text'}; it must be text")
        body = json.dumps({**self._head, "input": text}, ensure_ascii=False).encode()
        estimate = len(text) // 4 if self._client.gate.counts_tokens else 0
        vector, usage = await self._client.post(_EMBEDDINGS, body, read=_vector, tokens=estimate)
        self._count(usage, estimate=estimate)
        return {"embedding": vector, "prompt_tokens": usage.prompt}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _vector(reply: dict[str, Any]) -> tuple[list[float], Usage]:
    return read_embedding(reply), read_usage(reply)
