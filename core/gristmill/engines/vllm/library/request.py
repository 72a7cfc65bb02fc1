"""A request in vLLM's own form, and its answer in ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gristmill.chat.response import Choice, TokenLogprob
from gristmill.engines.vllm.library.arguments import Setup, first_words

__all__ = ["Adapter", "Answer", "Prepared"]

_LEAST = -9999.0
"""A logprob that stands for minus infinity, as vLLM's server has it: JSON has none."""
_KEPT = 64
"""Lengths of answers for which vLLM's params are kept: prompts near the context's end have one each."""
_ALL = -1
_UNFINISHED = frozenset({"abort", "error"})


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: its alias, a number above 0 that tells it from others, and its folder."""

    alias: str
    number: int
    folder: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request.

    Attributes:
        choices: the completions, `n` of them.
        prompt_tokens: of the prompt, media included.
        cached_tokens: those of the prompt that the prefix cache had.
        output_tokens: of all completions.
    """

    choices: list[Choice]
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int


class Prepared:
    """The params of a request in vLLM's own form, checked by vLLM; shared by all rows that have the same.

    Args:
        params: chat params by name; None leaves one to vLLM.
        setup: gives the template.
        model_config: vLLM's.

    Raises:
        ValueError: vLLM does not take them.
    """

    def __init__(self, params: Mapping[str, Any], setup: Setup, model_config: Any) -> None:
        from pydantic import ValidationError
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
        from vllm.exceptions import VLLMClientError

        given = {name: value for name, value in params.items() if value is not None and name != "model"}
        try:
            request = self._request = ChatCompletionRequest(messages=[], **given)
        except (ValidationError, VLLMClientError) as error:
            raise ValueError(first_words(error)) from error
        self._defaults = {"stop_token_ids": model_config.get_diff_sampling_param().get("stop_token_ids")}
        self._max_len = model_config.max_model_len
        self.chat = request.build_chat_params(_template(setup), setup.content_format).with_defaults(
            default_chat_template_kwargs=dict(setup.template_kwargs or {})
        )
        limits = {"add_special_tokens": request.add_special_tokens}
        if request.truncate_prompt_tokens is not None:
            limits["truncate_prompt_tokens"] = self._most_prompt(request.truncate_prompt_tokens)
        self._limits = limits
        self._needs_text = _needs_text(params)
        self._logprobs = bool(request.logprobs)
        self._top = request.top_logprobs or 0
        self._sampling: dict[int, Any] = {}

    def tokenizing(self, default: Any, *, is_chat: bool) -> Any:
        """How a prompt is tokenized: a template writes special tokens itself."""
        limits = self._limits if is_chat else {**self._limits, "add_special_tokens": default.add_special_tokens}
        return default.with_kwargs(**limits)

    def sampling(self, prompt_tokens: int) -> Any:
        """The `SamplingParams` for a prompt of a length: at most what the context has left for the answer."""
        room = max(1, self._max_len - prompt_tokens)
        asked = self._asked
        most = room if asked is None else min(asked, room)
        if most not in self._sampling:
            if len(self._sampling) >= _KEPT:
                self._sampling.clear()
            self._sampling[most] = self._request.to_sampling_params(most, self._defaults)
        return self._sampling[most].clone()

    @property
    def _asked(self) -> int | None:
        asked: int | None = self._request.max_completion_tokens or self._request.max_tokens
        return asked

    def _most_prompt(self, asked: int) -> int:
        """The tokens that a prompt is cut to; where the whole context is asked for, the answer's room is left.

        An answer that asks for more than the context has gets what is left, and that is one token then.
        """
        answer = self._asked
        room = answer if answer is not None and answer < self._max_len else 1
        return self._max_len - room if asked in (_ALL, self._max_len) else asked

    def answer(self, output: Any) -> Answer:
        """A `RequestOutput` as an answer.

        Raises:
            ValueError: vLLM gave up on it, or it is empty where its form does not allow that: the grammar of some
                rules lets nothing through.
        """
        for one in output.outputs:
            if one.finish_reason in _UNFINISHED:
                raise ValueError(f"vLLM ended the answer: {one.finish_reason}")
            if not one.text and one.finish_reason == "stop" and one.stop_reason is None and self._needs_text:
                raise ValueError(
                    "the model could say nothing in the form that was asked for: it lets nothing through, or is larger "
                    "than the engine can hold; change the schema or rule"
                )
        choices = [
            Choice(one.index, one.text, one.finish_reason or "stop", self._logprobs_of(one)) for one in output.outputs
        ]
        prompt = len(output.prompt_token_ids or ()) + len(output.encoder_prompt_token_ids or ())
        made = sum(len(one.token_ids) for one in output.outputs)
        return Answer(choices, prompt, output.num_cached_tokens or 0, made)

    def _logprobs_of(self, one: Any) -> list[TokenLogprob] | None:
        if not self._logprobs or one.logprobs is None:
            return None
        return [
            _token_logprob(token, found, self._top) for token, found in zip(one.token_ids, one.logprobs, strict=True)
        ]


def _needs_text(params: Mapping[str, Any]) -> bool:
    """Whether an empty answer breaks the form that was asked for."""
    form, rule = params.get("response_format") or {}, params.get("structured_outputs") or {}
    if form.get("type") in ("json_schema", "json_object") or rule.get("json") or rule.get("json_object"):
        return True
    if rule.get("choice"):
        return "" not in rule["choice"]
    if rule.get("regex"):
        try:
            return re.fullmatch(rule["regex"], "") is None
        except re.error:  # another dialect than Python's
            return False
    return False


def _token_logprob(token: int, found: Mapping[int, Any], top: int) -> TokenLogprob:
    # vLLM gives the likeliest tokens, and before them the one that was drawn, whatever its rank
    ranked = sorted(found.values(), key=lambda one: one.rank)
    likeliest = [one for one in ranked if top == _ALL or one.rank <= top]
    best = [(one.decoded_token or "", max(one.logprob, _LEAST)) for one in likeliest]
    mine = found[token]
    return TokenLogprob(mine.decoded_token or "", max(mine.logprob, _LEAST), best)


def _template(setup: Setup) -> str | None:
    from vllm.renderers.chat_utils import load_chat_template

    template: str | None = load_chat_template(setup.chat_template)
    return template
