"""vLLM's engine in this process, and in a process of its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from typing import Any

from gristmill.engines.vllm.library.arguments import Setup
from gristmill.engines.vllm.library.request import Adapter, Prepared
from gristmill.engines.vllm.library.seeds import mend_seeds
from gristmill.engines.vllm.library.sound import mend_sound
from gristmill.engines.vllm.library.turn import leave_process, taking_turn
from gristmill.errors import ModelError

__all__ = ["AsyncEngine", "InProcessEngine", "is_engine_death", "open_async", "open_in_process"]

_LOOK_SECONDS = 1.0
"""Between two looks at whether an engine's process is still there."""


def is_engine_death(error: BaseException) -> bool:
    """Whether an error says that vLLM's engine is gone, whatever row it came with."""
    from vllm.v1.engine.exceptions import EngineDeadError

    return isinstance(error, EngineDeadError)


class _Frontend:
    """What both ways of running vLLM share: from messages to its prompts."""

    def __init__(self, setup: Setup, engine: Any) -> None:
        self._setup = setup
        self._engine = engine
        self._renderer = engine.renderer
        mend_sound(self._renderer)
        self._config = engine.model_config
        self.max_in_flight: int = engine.vllm_config.scheduler_config.max_num_seqs
        """Rows that the engine runs at a time."""
        tokenizer = self._renderer.tokenizer
        own = getattr(tokenizer, "chat_template", None)
        self.has_template = bool(own or setup.chat_template or not hasattr(tokenizer, "chat_template"))

    def prepare(self, params: Mapping[str, Any]) -> Prepared:
        """Check params; see `Prepared`."""
        return Prepared(params, self._setup, self._config)

    def verify(self, prepared: Prepared) -> None:
        """Check what is otherwise checked with each request, such as whether an answer can be held to a schema.

        Raises:
            ValueError: vLLM does not take the params.
        """
        from vllm.exceptions import VLLMClientError

        config = self._engine.vllm_config
        try:
            prepared.sampling(0).verify(
                self._config, config.speculative_config, config.structured_outputs_config, self._renderer.tokenizer
            )
        except VLLMClientError as error:
            raise ValueError(str(error)) from error

    def render(self, messages: list[dict[str, Any]], prepared: Prepared) -> Any:
        """The prompt for a conversation whose media are data URLs."""
        limits = prepared.tokenizing(self._renderer.default_chat_tok_params, is_chat=True)
        _, (prompt,) = self._renderer.render_chat([messages], prepared.chat, limits)
        return prompt

    def render_text(self, text: str, prepared: Prepared) -> Any:
        """The prompt for a text that the model goes on with, without a template."""
        limits = prepared.tokenizing(self._renderer.default_cmpl_tok_params, is_chat=False)
        (prompt,) = self._renderer.render_cmpl([{"prompt": text}], limits)
        return prompt


def _lora(adapter: Adapter | None) -> Any:
    from vllm.lora.request import LoRARequest

    return None if adapter is None else LoRARequest(adapter.alias, adapter.number, adapter.folder)


def _unfit(adapter: Adapter, error: Exception) -> ModelError:
    return ModelError(
        f"inference_engine_options.adapters.{adapter.alias}: vLLM cannot load {adapter.folder!r}: "
        f"{type(error).__name__}: {error}"
    )


def _length(prompt: Any) -> int:
    tokens = prompt.get("prompt_token_ids")
    return len(tokens) if tokens is not None else 0


class InProcessEngine(_Frontend):
    """vLLM in this process: the fastest way on CPUs. Whoever uses it calls `step` until nothing is unfinished."""

    def load(self, adapter: Adapter) -> None:
        """Load an adapter, to see that it can be: a row that brings one that cannot takes the engine with it.

        Raises:
            ModelError: it does not fit the model, or its files are not whole.
        """
        try:
            self._engine.add_lora(_lora(adapter))
        except Exception as error:
            raise _unfit(adapter, error) from error

    def add(self, name: str, prompt: Any, prepared: Prepared, adapter: Adapter | None) -> str:
        """Queue a request; the name that its output will have."""
        added: str = self._engine.add_request(
            name, prompt, prepared.sampling(_length(prompt)), lora_request=_lora(adapter)
        )
        return added

    def step(self) -> list[Any]:
        """Run the model once over all that are in flight; the outputs of those that are finished."""
        return [output for output in self._engine.step() if output.finished]

    def abort(self, name: str) -> None:
        """Forget a request."""
        self._engine.abort_request([name])

    def counts(self) -> tuple[int, int]:
        """Requests that run, and that wait in its queue."""
        running, waiting = self._engine.engine_core.engine_core.scheduler.get_request_counts()
        return running, waiting

    def close(self) -> None:
        """Free what it holds; another engine may be opened in this process then."""
        self._engine.engine_core.shutdown()
        self._engine = self._renderer = None
        leave_process()


class AsyncEngine(_Frontend):
    """vLLM's engine in a process of its own, and its asynchronous front end in this one: the way for GPUs."""

    async def render(self, messages: list[dict[str, Any]], prepared: Prepared) -> Any:
        """As `_Frontend.render`, in vLLM's own threads."""
        limits = prepared.tokenizing(self._renderer.default_chat_tok_params, is_chat=True)
        _, (prompt,) = await self._renderer.render_chat_async([messages], prepared.chat, limits)
        return prompt

    async def load(self, adapter: Adapter) -> None:
        """As `InProcessEngine.load`; needs the event loop in which rows are run afterwards."""
        try:
            await self._answer(self._engine.add_lora(_lora(adapter)))
        except Exception as error:
            if is_engine_death(error):
                raise
            raise _unfit(adapter, error) from error

    async def _answer(self, call: Coroutine[Any, Any, Any]) -> Any:
        """What the engine's process answers to a call; vLLM forgets those who wait for one that is gone."""
        waiting = asyncio.ensure_future(call)
        try:
            while not (await asyncio.wait({waiting}, timeout=_LOOK_SECONDS))[0]:
                if self._engine.errored:
                    raise self._engine.dead_error
            return waiting.result()
        finally:
            waiting.cancel()

    async def run(self, name: str, prompt: Any, prepared: Prepared, adapter: Adapter | None) -> Any:
        """The output of a request, once it is finished."""
        last = None
        outputs: AsyncIterator[Any] = self._engine.generate(
            prompt, prepared.sampling(_length(prompt)), name, lora_request=_lora(adapter)
        )
        async for output in outputs:
            last = output
        return last

    def close(self) -> None:
        """End the engine's process."""
        self._engine.shutdown()


def open_in_process(setup: Setup, adapters: Iterable[Adapter] = ()) -> InProcessEngine:
    """Load a model and its adapters into this process; `prepare_process` comes first.

    Raises:
        ModelError: an adapter cannot be loaded, nothing reads sounds for a model that hears, or another model is here.
    """
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.llm_engine import LLMEngine

    mend_seeds(setup)
    setup.engine.distributed_executor_backend = "uni"
    setup.engine.disable_log_stats = True
    with taking_turn():
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # again: another job of this process may have changed it
        # the context decides how much runs at a time: for whole batches about twice as much as for a server
        vllm = LLMEngine.from_engine_args(setup.engine, UsageContext.LLM_CLASS)
        try:
            engine = InProcessEngine(setup, vllm)
            for adapter in adapters:
                engine.load(adapter)
        except BaseException:
            vllm.engine_core.shutdown()
            raise
        return engine


def open_async(setup: Setup) -> AsyncEngine:
    """Start vLLM's engine process and load a model into it; `prepare_process` comes first.

    Raises:
        ModelError: nothing reads sounds, for a model that hears.
    """
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.async_llm import AsyncLLM

    mend_seeds(setup)
    setup.engine.disable_log_stats = True
    setup.engine.enable_log_requests = False
    vllm = AsyncLLM.from_engine_args(setup.engine, usage_context=UsageContext.LLM_CLASS)
    try:
        return AsyncEngine(setup, vllm)
    except BaseException:
        vllm.shutdown()
        raise
