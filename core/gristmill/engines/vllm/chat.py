"""The chat function of a vLLM model: a row of messages, or a prompt, becomes a response."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from gristmill.chat.form import response_form
from gristmill.chat.params import RowParams
from gristmill.chat.signature import chat_column
from gristmill.engines.protocol import LoadContext, RowModel
from gristmill.engines.vllm.library import Adapter, Prepared
from gristmill.engines.vllm.running import Running
from gristmill.errors import SpecError

__all__ = ["ChatModel"]

_KEPT = 256


class ChatModel(RowModel):
    """Answers rows with a running engine.

    Args:
        running: the engine.
        context: the columns, params and options.
        adapters: LoRA adapters by alias.
        names: the model's own names; the first stands in responses.

    Raises:
        SpecError: params that vLLM does not take, or a `model` that is no adapter.
    """

    def __init__(
        self, running: Running, context: LoadContext, *, adapters: Mapping[str, Adapter], names: tuple[str, ...]
    ) -> None:
        options = context.options
        self._running = running
        self._adapters = adapters
        self._names = names
        columns = options.get("param_columns")
        self._column = chat_column(context.input_schema)
        self._params = RowParams(context.params, columns=columns, schema=context.input_schema)
        self._form = response_form(context.params, options)
        self.output_schema = self._form.schema
        self.window = int(options.get("window") or 2 * running.max_in_flight)
        if options.get("prefix_grouping") is not False:
            self.prefix_key = self._column.beginning
        self._prepared: dict[Any, Prepared] = {}
        self._counts = {"prompt_tokens": 0.0, "cached_tokens": 0.0, "output_tokens": 0.0}
        if not columns:
            self._check(context.params)

    def _check(self, params: Mapping[str, Any]) -> None:
        try:
            self._running.verify(self._prepare(params))
            self._adapter(params)
        except ValueError as error:
            raise SpecError(f"input_spec.params: {error}") from error

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The response to one row."""
        params = self._params(row)
        prepared, adapter = self._prepare(params), self._adapter(params)
        messages = self._column.messages(row)
        if self._column.is_messages or self._running.has_template:
            answer = await self._running.chat(messages, prepared, adapter)
        else:  # a model that only goes on with text
            answer = await self._running.complete(row[self._column.name], prepared, adapter)
        self._counts["prompt_tokens"] += answer.prompt_tokens
        self._counts["cached_tokens"] += answer.cached_tokens
        self._counts["output_tokens"] += answer.output_tokens
        return self._form.row(
            id=f"chatcmpl-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=self._names[0] if adapter is None else adapter.alias,
            choices=answer.choices,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.output_tokens,
            cached_tokens=answer.cached_tokens,
        )

    def gauges(self) -> Mapping[str, float]:
        """What the engine runs, and what waits in its queue."""
        return self._running.gauges()

    def take_metrics(self) -> Mapping[str, float]:
        """Tokens since this was last asked."""
        counts, self._counts = self._counts, dict.fromkeys(self._counts, 0.0)
        return counts

    def close(self) -> None:
        """Free the model."""
        self._running.close()

    def _prepare(self, params: Mapping[str, Any]) -> Prepared:
        """Params in vLLM's form; made once for all rows that have the same."""
        key = repr(sorted((name, value) for name, value in params.items() if name != "model"))
        if key not in self._prepared:
            while len(self._prepared) >= _KEPT:
                del self._prepared[next(iter(self._prepared))]
            self._prepared[key] = self._running.prepare(params)
        return self._prepared[key]

    def _adapter(self, params: Mapping[str, Any]) -> Adapter | None:
        wanted = params.get("model")
        if wanted is None or wanted in self._names:
            return None
        if wanted not in self._adapters:
            known = ", ".join(map(repr, [self._names[0], *self._adapters]))
            raise ValueError(f"model: {wanted!r} is neither the model nor an adapter of this job; there are: {known}")
        return self._adapters[wanted]
