"""Running vLLM under an event loop: one interface over its two ways of running."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from gristmill.engines.protocol import EngineDeadError, EngineRefusedError
from gristmill.engines.vllm.library import (
    Adapter,
    Answer,
    AsyncEngine,
    InProcessEngine,
    Prepared,
    is_engine_death,
)
from gristmill.errors import ModelError

__all__ = ["InProcess", "OutOfProcess", "Running"]

_TURNS = 4
"""Of the event loop between two steps: a row that is done gives up its place, and the next one takes it."""


class Running(Protocol):
    """A loaded model that answers many requests at a time."""

    max_in_flight: int
    has_template: bool

    def prepare(self, params: Mapping[str, Any]) -> Prepared:
        """Check params. Raises ValueError where vLLM does not take them."""
        ...

    def verify(self, prepared: Prepared) -> None:
        """Check what is otherwise checked with each request. Raises ValueError where vLLM does not take them."""
        ...

    async def chat(self, messages: list[dict[str, Any]], prepared: Prepared, adapter: Adapter | None) -> Answer:
        """The answer to a conversation."""
        ...

    async def complete(self, text: str, prepared: Prepared, adapter: Adapter | None) -> Answer:
        """How the model goes on with a text."""
        ...

    def gauges(self) -> Mapping[str, float]:
        """Requests that `running` and that are `waiting` in the engine's queue."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class _Frontend(ABC):
    """What both ways share: all but how a prompt is run.

    Args:
        engine: the engine.
    """

    def __init__(self, engine: InProcessEngine | AsyncEngine) -> None:
        self._render_text = engine.render_text
        self.max_in_flight = engine.max_in_flight
        self.has_template = engine.has_template
        self.prepare = engine.prepare
        self.verify = engine.verify
        self.close = engine.close
        self._names = itertools.count()

    async def complete(self, text: str, prepared: Prepared, adapter: Adapter | None) -> Answer:
        """See `Running.complete`."""
        return await self._run(self._render_text(text, prepared), prepared, adapter)

    @abstractmethod
    async def _run(self, prompt: Any, prepared: Prepared, adapter: Adapter | None) -> Answer: ...


class InProcess(_Frontend):
    """vLLM in this process and thread: between two steps of the engine, finished rows leave and new ones come in.

    Args:
        engine: the engine.
    """

    def __init__(self, engine: InProcessEngine) -> None:
        super().__init__(engine)
        self._engine = engine
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._stepping: asyncio.Task[None] | None = None
        self._dead: EngineDeadError | None = None

    async def chat(self, messages: list[dict[str, Any]], prepared: Prepared, adapter: Adapter | None) -> Answer:
        """See `Running.chat`."""
        return await self._run(self._engine.render(messages, prepared), prepared, adapter)

    def gauges(self) -> Mapping[str, float]:
        """See `Running.gauges`."""
        running, waiting = self._engine.counts()
        return {"running": running, "waiting": waiting}

    async def _run(self, prompt: Any, prepared: Prepared, adapter: Adapter | None) -> Answer:
        if self._dead is not None:
            raise self._dead
        name = str(next(self._names))
        added = self._engine.add(name, prompt, prepared, adapter)
        waiting = self._waiting[name] = asyncio.get_running_loop().create_future()
        if self._stepping is None or self._stepping.done():
            self._stepping = asyncio.create_task(self._step())
        try:
            output = await waiting
        except asyncio.CancelledError:
            self._waiting.pop(name, None)
            self._engine.abort(added)
            raise
        return prepared.answer(output)

    async def _step(self) -> None:
        while self._waiting:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            try:
                finished = self._engine.step()
            except Exception as error:  # noqa: BLE001 - the engine's state is not known after any of them
                self._die(error)
                return
            for output in finished:
                waiting = self._waiting.pop(output.request_id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(output)

    def _die(self, error: Exception) -> None:
        self._dead = EngineDeadError(f"vLLM's engine stopped: {type(error).__name__}: {error}")
        self._dead.__cause__ = error
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._dead)
        self._waiting = {}


class OutOfProcess(_Frontend):
    """vLLM's engine in a process of its own.

    Args:
        engine: the engine.
        adapters: loaded before the first row, which is the first time that there is an event loop to load them in.
    """

    def __init__(self, engine: AsyncEngine, adapters: Iterable[Adapter] = ()) -> None:
        super().__init__(engine)
        self._engine = engine
        self._adapters = tuple(adapters)
        self._loading: asyncio.Task[None] | None = None
        self._unfinished = 0

    async def chat(self, messages: list[dict[str, Any]], prepared: Prepared, adapter: Adapter | None) -> Answer:
        """See `Running.chat`."""
        return await self._run(await self._engine.render(messages, prepared), prepared, adapter)

    def gauges(self) -> Mapping[str, float]:
        """See `Running.gauges`."""
        running = min(self._unfinished, self.max_in_flight)
        return {"running": running, "waiting": self._unfinished - running}

    async def _run(self, prompt: Any, prepared: Prepared, adapter: Adapter | None) -> Answer:
        self._unfinished += 1
        try:
            await self._loaded()
            output = await self._engine.run(str(next(self._names)), prompt, prepared, adapter)
        except Exception as error:
            if is_engine_death(error):
                # all rows in flight raise one and the same error, whose traceback grows with each
                raise EngineDeadError(f"vLLM's engine process is gone: {error}") from error.with_traceback(None)
            raise
        finally:
            self._unfinished -= 1
        return prepared.answer(output)

    async def _loaded(self) -> None:
        """Wait until the adapters are loaded, which all rows wait for together."""
        if not self._adapters:
            return
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        await asyncio.shield(self._loading)
        self._adapters = ()

    async def _load(self) -> None:
        try:
            for adapter in self._adapters:
                await self._engine.load(adapter)
        except ModelError as error:
            raise EngineRefusedError(str(error)) from error
