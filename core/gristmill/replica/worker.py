"""The worker: one copy of a model, and the stages that feed it.

::

    inbox ──▶ read ──▶ resolve ──▶ │ model │ ──▶ sink
    thread    └──── thread ─────┘    here       thread

Reading and resolving run a few blocks ahead of the model, writing a few behind, each bounded; so the model waits only
when storage is slower than it is.
"""

import asyncio
import queue
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from typing_extensions import TypeIs

from gristmill.engines.protocol import BatchModel, LoadContext, LoadedModel, RowModel
from gristmill.engines.registry import load_engine
from gristmill.inputs.block import Block
from gristmill.inputs.reader import read_shard
from gristmill.replica.agreement import Agreement
from gristmill.replica.channel import Channel
from gristmill.replica.inference import BatchRunner, ErrorBudget, Result
from gristmill.replica.messages import Announced, Assign, Began, Fatal, Ready, Task, UseSchema, WorkerSpec
from gristmill.replica.sink import Sink
from gristmill.replica.sizing import BatchSizer
from gristmill.replica.stream import Item, Prefetch, TaskEnd, TaskStart
from gristmill.storage.storage import Storage

if TYPE_CHECKING:
    from gristmill.resolve.columns import ColumnResolver

__all__ = ["run_worker"]

_ROW_BLOCK = 256
_CAREFUL_CUTS = 16
_CAREFUL_ROWS = 1_024
_BLOCK_BYTES = 32 * 1024**2
_CONTENT_BYTES = 4 * 1024**2
_MOST_CONTENT_BYTES = 256 * 1024**2
"""Content of a batch, where the user left its size open and where not. Less stays nearer to the processor."""


def run_worker(spec: WorkerSpec, channel: Channel) -> None:
    """Load the model, do the tasks that come over the channel, and return when told to stop.

    A model that does not load is told as `Fatal`. A failure of a row is in the parts; a failure of storage is told as
    `TaskFailed`. Anything else is a bug and is raised.

    Args:
        spec: the job.
        channel: the connection to the runner.
    """
    sys.path.extend(path for path in spec.sys_path if path not in sys.path)
    worker = _Worker(spec, channel)
    began = time.monotonic()
    try:
        model = worker.load()
    except Exception as error:  # noqa: BLE001 - loading runs the user's code
        traceback.print_exc()
        channel.send(Fatal(type(error).__name__, str(error) or repr(error)), sure=True)
        return
    channel.send(Ready(time.monotonic() - began))
    try:
        worker.run(model)
    finally:
        model.close()


class _Worker:
    def __init__(self, spec: WorkerSpec, channel: Channel) -> None:
        self.spec = spec
        self.channel = channel
        self.storage = Storage(spec.settings)
        self.agreement = Agreement(spec.outputs, channel.send)
        self.sizer = BatchSizer(spec.max_batch_rows)
        self.tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.stopped = threading.Event()
        self.resolver = _resolver(spec, self.storage)

    def load(self) -> LoadedModel:
        spec = self.spec
        schema = spec.input_schema if self.resolver is None else self.resolver.model_schema(spec.input_schema)
        return load_engine(spec.engine).load(
            LoadContext(
                model=spec.model,
                function=spec.function,
                storage=self.storage,
                input_schema=schema,
                params=spec.params,
                options=spec.options,
                threads=spec.threads,
                gpus=spec.gpus,
                max_batch_rows=spec.max_batch_rows,
                workers=spec.workers,
            )
        )

    def run(self, model: LoadedModel) -> None:
        """All stages, until `Stop`."""
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()
        intake: Iterator[Item] = self._intake(_ROW_BLOCK if _is_row_model(model) else self.sizer.read_rows)
        if self.resolver is not None:
            intake = self.resolver.resolve(intake)
        items = Prefetch(intake, depth=2 if self.resolver is None else 1, name="intake")
        done: queue.Queue[TaskStart | Result | TaskEnd | None] = queue.Queue(2)
        sink = Sink(
            self.storage,
            parts=self.spec.parts,
            input_schema=self.spec.input_schema,
            agreement=self.agreement,
            record_errors=self.spec.record_errors,
            send=self.channel.send,
            metrics=model.take_metrics,
        )
        writer = threading.Thread(target=self._drain, args=(sink, done), name="sink", daemon=True)
        writer.start()
        try:
            if _is_row_model(model):
                asyncio.run(self._run_rows(model, items, done))
            else:
                self._run_batches(model, items, done)
        finally:
            items.close()
            done.put(None)
            writer.join()
            if self.resolver is not None:
                self.resolver.close()

    def _listen(self) -> None:
        while True:
            command = self.channel.receive()
            if isinstance(command, Assign):
                for task in command.tasks:
                    self.tasks.put(task)
            elif isinstance(command, UseSchema):
                self.agreement.use(command.outputs)
            else:
                self.stopped.set()
                self.agreement.use(self.agreement.schema)
                self.tasks.put(None)
                return

    def _intake(self, batch_rows: int) -> Iterator[Item]:
        """The rows of the tasks, as they come; a failure to read ends its task, not the stream."""
        while (task := self.tasks.get()) is not None:
            yield TaskStart(task)
            error: Exception | None = None
            try:
                for block in read_shard(
                    self.storage,
                    format=self.spec.format,
                    schema=self.spec.input_schema,
                    shard=task.shard,
                    start=task.start,
                    stop=task.stop,
                    batch_rows=batch_rows,
                    batch_bytes=_BLOCK_BYTES,
                ):
                    yield block if task.verdict is None else _condemned(block, task)
            except Exception as problem:  # noqa: BLE001 - told as the task's failure
                error = problem
            yield TaskEnd(task, error)

    def _drain(self, sink: Sink, done: "queue.Queue[TaskStart | Result | TaskEnd | None]") -> None:
        """Run the sink; if it breaks, say so and keep taking, so that the model's thread is not left waiting."""
        items: Iterator[TaskStart | Result | TaskEnd] = iter(done.get, None)
        try:
            sink.run(items)
        except Exception as error:  # noqa: BLE001 - a bug must end the job, not hang it
            traceback.print_exc()
            self.channel.send(Fatal(type(error).__name__, str(error) or repr(error)), sure=True)
            for _ in items:
                continue

    def _announce(self, task: int, start: int, stop: int) -> None:
        self.channel.send(Announced(task, start, stop), sure=True)

    def _run_batches(
        self, model: BatchModel, items: Prefetch, done: "queue.Queue[TaskStart | Result | TaskEnd | None]"
    ) -> None:
        runner = BatchRunner(model, self.agreement, self.sizer, ErrorBudget(self.spec.error_budget))
        task: Task | None = None
        cut = False
        for item in items:
            if isinstance(item, Block):
                assert task is not None
                if cut:
                    continue
                announce = (lambda start, stop, of=task.id: self._announce(of, start, stop)) if task.careful else None
                for result in runner.run(item, size=_careful_rows(task, self.sizer), announce=announce):
                    done.put(result)
                    cut = result.cut
                continue
            if isinstance(item, TaskStart):
                task, cut = item.task, False
                self.channel.send(Began(task.id))
            done.put(item)

    async def _run_rows(
        self, model: RowModel, items: Prefetch, done: "queue.Queue[TaskStart | Result | TaskEnd | None]"
    ) -> None:
        from gristmill.replica.window import run_window

        await asyncio.to_thread(self.agreement.settle, model.output_schema)

        async def stream() -> AsyncIterator[Item]:
            source = iter(items)
            while (item := await asyncio.to_thread(next, source, None)) is not None:
                if isinstance(item, TaskStart):
                    self.channel.send(Began(item.task.id))
                yield item

        await run_window(model, stream(), done.put, self._announce)


def _resolver(spec: WorkerSpec, storage: Storage) -> "ColumnResolver | None":
    if not spec.column_handling and spec.messages is None:
        return None
    from gristmill.resolve.columns import ColumnResolver
    from gristmill.storage.access import AccessPolicy

    return ColumnResolver(
        spec.column_handling,
        messages=spec.messages,
        storage=storage,
        access=AccessPolicy(storage, spec.allowed),
        limits=spec.settings.resolver,
        max_rows=spec.max_batch_rows,
        target_bytes=_CONTENT_BYTES if spec.max_batch_rows is None else _MOST_CONTENT_BYTES,
    )


def _is_row_model(model: LoadedModel) -> TypeIs[RowModel]:
    return hasattr(model, "infer_row")


def _careful_rows(task: Task, sizer: BatchSizer) -> int | None:
    """Rows of a careful call: a sixteenth of the suspects, and never more than an ordinary call."""
    if not task.careful:
        return None
    suspects = _CAREFUL_ROWS if task.stop is None else (task.stop - task.start) // _CAREFUL_CUTS
    return max(1, min(suspects, sizer.rows))


def _condemned(block: Block, task: Task) -> Block:
    assert task.verdict is not None
    errors = dict.fromkeys(range(block.rows.num_rows), task.verdict)
    return Block(block.shard, block.start, block.rows, block.model_rows, errors)
