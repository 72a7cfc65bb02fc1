"""The engine `openai`."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from gristmill.chat.form import CHAT_OPTIONS, check_chat_options, response_form
from gristmill.chat.params import CHAT_PARAMS, split_params, unset_params
from gristmill.chat.signature import chat_signature
from gristmill.engines.openai.client import need_aiohttp
from gristmill.engines.openai.endpoint import endpoint_of
from gristmill.engines.openai.model import EMBEDDING, ChatModel, EmbeddingModel
from gristmill.engines.protocol import BatchModel, LoadContext, ModelInfo, RowModel
from gristmill.errors import ModelError
from gristmill.models.reference import parse_reference
from gristmill.models.signature import Feature, Param, Signature
from gristmill.storage.storage import Storage

__all__ = ["OpenAIEngine"]

_TEXT = "text"
_PARAMS = unset_params(CHAT_PARAMS, keep=["max_completion_tokens"])
"""Only what the user gave is sent, besides the bound on tokens."""

_PRELOAD = ("aiohttp", "pandas")
"""Arrow imports the second, where it is there, at the first value that it converts."""

_EMBED = Signature(
    inputs=(Feature(_TEXT, pa.string()),),
    outputs=tuple(Feature(field.name, field.type) for field in EMBEDDING),
    params=(Param("dimensions", pa.int64(), None), Param("truncate_prompt_tokens", pa.int64(), None)),
)


class OpenAIEngine:
    """Sends rows to a service that speaks the OpenAI API: `openai:NAME`, where NAME is the model's there.

    The function `chat` takes a column `messages` or `prompt`, the function `embed` a column `text`.

    Options:
        endpoint: which of the settings' endpoints; `openai` by default.
        window: requests in flight of one worker, instead of the endpoint's own.
        param_columns: params that are columns of the input, for each row.
        response_column: the name of one more column, with the text of the first choice.
        output_prefix: goes before the names of the response's columns.
        prefix_grouping: False leaves rows in the order of the input; else those that begin alike are sent together,
            since services cache what a prompt begins with.

    Example:
        >>> OpenAIEngine().handles("openai:gpt-4o-mini")
        True
    """

    name = "openai"
    option_names = CHAT_OPTIONS | {"endpoint"}

    def handles(self, model: str) -> bool:
        """Whether the reference begins with `openai:`."""
        return parse_reference(model).scheme == "openai"

    def describe(self, model: str, options: Mapping[str, Any], storage: Storage) -> ModelInfo:
        """The functions `chat` and `embed`; the service is not asked."""
        need_aiohttp()
        return self.assume(model, options, storage)

    def assume(self, model: str, options: Mapping[str, Any], storage: Storage) -> ModelInfo:
        """As `describe`, for which nothing is needed that a client may lack."""
        _check_name(model)
        check_chat_options(options)
        endpoint_of(storage.settings, options)
        params, inputs = split_params(options.get("param_columns"), _PARAMS)
        chat = chat_signature(outputs=response_form({}, options).schema, params=params, inputs=inputs)
        return ModelInfo({"chat": chat, "embed": _EMBED}, "chat", uses_gpu=False, by_row=True, preload=_PRELOAD)

    def load(self, context: LoadContext) -> BatchModel | RowModel:
        """The model, once the service has not refused the key."""
        _check_name(context.model)
        need_aiohttp()
        endpoint = endpoint_of(context.storage.settings, context.options, workers=context.workers)
        if context.function == "embed":
            return EmbeddingModel(context, endpoint, column=_TEXT)
        return ChatModel(context, endpoint, params=_PARAMS)


def _check_name(model: str) -> None:
    reference = parse_reference(model)
    if reference.scheme != "openai" or not reference.target:
        raise ModelError(f"model {model!r}: the engine openai runs openai:NAME, such as 'openai:gpt-4o-mini'")
