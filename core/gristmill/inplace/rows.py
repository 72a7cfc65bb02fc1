"""Running a row model: its event loop, and the window of rows in flight that a job has too."""

import asyncio
import queue
import threading
from collections.abc import Iterable, Iterator

from gristmill.engines.protocol import RowModel
from gristmill.inputs.block import Block
from gristmill.plan.shards import Shard
from gristmill.replica.assembly import Assembly
from gristmill.replica.inference import Result
from gristmill.replica.messages import Event, Task
from gristmill.replica.meter import Meter
from gristmill.replica.stream import TaskCut, TaskEnd, TaskStart
from gristmill.replica.window import Window

__all__ = ["RowHost"]

_TASK = Task(0, Shard(0, ()))


class RowHost:
    """A row model with an event loop in a thread of its own, which outlives the calls: connections belong to a loop.

    Args:
        model: the loaded model.

    Example:
        >>> class Upper(RowModel):
        ...     window = 8
        ...     output_schema = pa.schema({"answer": pa.string()})
        ...
        ...     async def infer_row(self, row):
        ...         return {"answer": row["prompt"].upper()}
        >>> rows = pa.record_batch({"prompt": ["yes", "no"]})
        >>> host = RowHost(Upper())
        >>> [result.outputs.to_pydict() for result in host.run([Block(0, 0, rows, rows)])]
        [{'answer': ['YES', 'NO']}]
        >>> host.close()
    """

    def __init__(self, model: RowModel) -> None:
        self._model = model
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rows", daemon=True)
        self._thread.start()

    def run(self, blocks: Iterable[Block]) -> Iterator[Result]:
        """The results of blocks, in order, with as many rows in flight as the model wants; safe from several threads.

        Raises:
            EngineDeadError: the engine is gone.
        """
        done: queue.SimpleQueue[Assembly | TaskStart | TaskCut | TaskEnd | BaseException | None] = queue.SimpleQueue()
        window = Window(self._model, emit=done.put, send=_unheard, meter=Meter(_unheard))
        items: list[Iterable[TaskStart | Block | TaskEnd]] = [[TaskStart(_TASK)], blocks, [TaskEnd(_TASK)]]
        running = asyncio.run_coroutine_threadsafe(window.run(item for part in items for item in part), self._loop)
        running.add_done_callback(lambda future: done.put(None if future.cancelled() else future.exception()))
        try:
            while (item := done.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, Assembly):
                    yield item.result(self._model.output_schema)
                    window.wrote(item.rows.num_rows, item.rows.nbytes)
        finally:
            window.stop()

    def close(self) -> None:
        """End the loop; what is in flight is dropped."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def _unheard(event: Event, *, sure: bool = False) -> None:
    """There is no runner to tell."""
