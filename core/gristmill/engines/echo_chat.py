"""`echo:chat`: a chat that answers with what the user said last, in whole responses; for tests and first steps."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from gristmill.chat.form import response_form
from gristmill.chat.params import CHAT_PARAMS, RowParams, split_params
from gristmill.chat.response import Choice, TokenLogprob
from gristmill.chat.signature import chat_column, chat_signature
from gristmill.engines.protocol import LoadContext, RowModel
from gristmill.models.signature import Signature

__all__ = ["EchoChat", "echo_chat_signature"]

_METRICS = ("prompt_tokens", "cached_tokens", "output_tokens")

Messages = list[dict[str, Any]]


def echo_chat_signature(options: Mapping[str, Any]) -> Signature:
    """The signature of its one function, with params or columns as the options say.

    Example:
        >>> [feature.name for feature in echo_chat_signature({"param_columns": ["n"]}).inputs]
        ['messages', 'n']
    """
    params, inputs = split_params(options.get("param_columns"), CHAT_PARAMS)
    return chat_signature(outputs=response_form({}, options).schema, params=params, inputs=inputs)


class EchoChat(RowModel):
    """Answers with the text of the last user message, cut after `max_completion_tokens` words.

    A file in it is answered as `<image_url image/png 70>`: the kind, the media type or format, the characters of its
    content as base64. Words count as tokens, those of a system message as cached. `n` gives as many equal choices,
    `logprobs` those of the words, all 0.

    Args:
        context: the columns, params and options.
        delay: seconds that each row takes.
        before: told the text of each answer before the delay.
        after: told it after the delay; may raise.
    """

    def __init__(
        self, context: LoadContext, *, delay: float, before: Callable[[str], None], after: Callable[[str], None]
    ) -> None:
        options = context.options
        self._column = chat_column(context.input_schema)
        self._params = RowParams(context.params, columns=options.get("param_columns"), schema=context.input_schema)
        self._form = response_form(context.params, options)
        self._delay = delay
        self._before, self._after = before, after
        self._counts = dict.fromkeys(_METRICS, 0.0)
        self._taken = dict(self._counts)
        self.window = int(options.get("window") or 64)
        self.output_schema = self._form.schema
        if options.get("prefix_grouping") is not False:
            self.prefix_key = self._column.beginning

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The response to one row."""
        params = self._params(row)
        messages = self._column.messages(row)
        words = _said(messages).split(" ")
        most = params.get("max_completion_tokens")
        is_cut = most is not None and len(words) > most
        words = words[:most]
        text = " ".join(words)
        self._before(text)
        await asyncio.sleep(self._delay)
        self._after(text)
        count = params.get("n") or 1
        logprobs = [TokenLogprob(word, 0.0) for word in words] if params.get("logprobs") else None
        prompt = sum(_tokens(message) for message in messages)
        cached = sum(_tokens(message) for message in messages if message["role"] == "system")
        for name, tokens in zip(_METRICS, (prompt, cached, count * len(words)), strict=True):
            self._counts[name] += tokens
        return self._form.row(
            id="chatcmpl-echo",
            created=int(time.time()),
            model=params.get("model") or "echo",
            choices=[Choice(index, text, "length" if is_cut else "stop", logprobs) for index in range(count)],
            prompt_tokens=prompt,
            completion_tokens=count * len(words),
            cached_tokens=cached,
        )

    def take_metrics(self) -> Mapping[str, float]:
        """Tokens since they were last taken."""
        now, before = dict(self._counts), self._taken
        self._taken = now
        return {name: now[name] - before[name] for name in now}


def _said(messages: Messages) -> str:
    """What the user said last; nothing where no user spoke."""
    return next((_text(message) for message in reversed(messages) if message["role"] == "user"), "")


def _text(message: Mapping[str, Any]) -> str:
    content = message["content"]
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(part["text"] if part["type"] == "text" else _shown(part) for part in content)


def _shown(part: Mapping[str, Any]) -> str:
    kind = part["type"]
    if kind == "input_audio":
        audio = part[kind]
        return f"<{kind} {audio['format']} {len(audio['data'])}>"
    head, _, encoded = part[kind]["url"].partition(",")
    return f"<{kind} {head[5:].partition(';')[0]} {len(encoded)}>"


def _tokens(message: Mapping[str, Any]) -> int:
    return len(_text(message).split())
