"""The worker: one copy of a model, and the stages that feed it.

::

    inbox ──▶ read ──▶ resolve ──▶ │ model │ ──▶ sink
    thread    └──── thread ─────┘    here       thread

Reading and resolving run a few blocks ahead of the model, writing a few behind, each bounded; so the model waits only
when storage is slower than it is.
"""

import asyncio
import contextlib
import queue
import sys
import threading
import time
import traceback
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeIs

from gristmill.engines.protocol import (
    BatchModel,
    EngineDeadError,
    EngineRefusedError,
    LoadContext,
    LoadedModel,
    RowModel,
)
from gristmill.engines.registry import load_engine
from gristmill.inputs.block import Block
from gristmill.inputs.reader import read_shard
from gristmill.partitions.failures import failure_field, without_failures
from gristmill.partitions.grouped import too_large
from gristmill.partitions.rule import kept_columns
from gristmill.replica.agreement import Agreement
from gristmill.replica.assembly import Assembly
from gristmill.replica.careful import careful_rows
from gristmill.replica.channel import Channel
from gristmill.replica.inference import BatchRunner, ErrorBudget, Result
from gristmill.replica.messages import Announced, Assign, Began, EngineDied, Fatal, Ready, Task, UseSchema, WorkerSpec
from gristmill.replica.meter import Meter
from gristmill.replica.partition_runner import PartitionRunner
from gristmill.replica.sink import Sink
from gristmill.replica.sizing import BatchSizer
from gristmill.replica.stream import Item, Prefetch, TaskCut, TaskEnd, TaskStart
from gristmill.replica.window import Window
from gristmill.storage.storage import Storage

if TYPE_CHECKING:
    from gristmill.resolve.columns import ColumnResolver

__all__ = ["run_worker"]

_ROW_BLOCK = 256
_CLOSE_SECONDS = 5.0
_BLOCK_BYTES = 32 * 1024**2
_CONTENT_BYTES = 4 * 1024**2
_MOST_CONTENT_BYTES = 256 * 1024**2
"""Content of a batch, where the user left its size open and where not. Less stays nearer to the processor."""


def run_worker(spec: WorkerSpec, channel: Channel) -> None:
    """Load the model, do the tasks that come over the channel, and return when told to stop.

    A model that does not load, or refuses every row, is told as `Fatal`. A failure of a row is in the parts; a failure
    of storage is told as `TaskFailed`. Anything else is a bug and is raised.

    Args:
        spec: the job.
        channel: the connection to the runner.

    Raises:
        EngineDeadError: the engine is gone; the worker's process should end too.
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
    except EngineRefusedError as error:
        channel.send(Fatal(type(error).__name__, str(error)), sure=True)
    except EngineDeadError:
        # closing what is dead may wait for ever
        closing = threading.Thread(target=model.close, name="close", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)
        raise
    except BaseException:
        model.close()
        raise
    model.close()


class _Worker:
    def __init__(self, spec: WorkerSpec, channel: Channel) -> None:
        self.spec = spec
        self.channel = channel
        self.storage = Storage(spec.settings)
        self.agreement = Agreement(spec.outputs, channel.send)
        self.sizer = BatchSizer(spec.max_batch_rows)
        self.tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.meter = Meter(channel.send)
        self.is_dry = False
        self.window: Window | None = None
        self.resolver = _resolver(spec, self.storage)

    def load(self) -> LoadedModel:
        spec = self.spec
        schema = spec.input_schema if self.resolver is None else self.resolver.model_schema(spec.input_schema)
        return load_engine(spec.engine).load(
            LoadContext(
                model=_local_model(spec, self.storage),
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
        sink = Sink(
            self.storage,
            parts=self.spec.parts,
            input_schema=kept_columns(self.spec.input_schema, self.spec.partitioning),
            agreement=self.agreement,
            record_errors=self.spec.record_errors,
            send=self.channel.send,
            meter=self.meter,
        )
        try:
            if _is_row_model(model):
                self._run_rows(model, items, sink)
            else:
                self._run_batches(model, items, sink)
        finally:
            items.close()
            if self.resolver is not None:
                self.resolver.close()
            self.meter.tell()

    def _listen(self) -> None:
        while True:
            command = self.channel.receive()
            if isinstance(command, Assign):
                for task in command.tasks:
                    self.tasks.put(task)
            elif isinstance(command, UseSchema):
                self.agreement.use(command.outputs)
            else:
                self.agreement.use(self.agreement.schema)
                self.tasks.put(None)
                if self.window is not None:
                    self.window.stop()
                return

    def _intake(self, batch_rows: int) -> Iterator[Item]:
        """The rows of the tasks, as they come; a failure to read ends its task, not the stream."""
        while True:
            self.is_dry = self.tasks.empty()
            task = self.tasks.get()
            self.is_dry = False
            if task is None:
                return
            yield TaskStart(task)
            error: Exception | None = None
            try:
                for block in self._read(task, batch_rows):
                    yield block if task.verdict is None else _condemned(block, task)
            except Exception as problem:  # noqa: BLE001 - told as the task's failure
                error = problem
            yield TaskEnd(task, error)

    def _read(self, task: Task, batch_rows: int) -> Iterator[Block]:
        partitioning, schema = self.spec.partitioning, self.spec.input_schema
        is_grouped = partitioning is not None and partitioning.column is not None
        blocks = read_shard(
            self.storage,
            format=self.spec.format,
            schema=schema.append(failure_field(schema)) if is_grouped else schema,
            shard=task.shard,
            start=task.start,
            stop=task.stop,
            batch_rows=batch_rows,
            batch_bytes=_BLOCK_BYTES,
        )
        if partitioning is not None and not is_grouped:
            return _bounded(blocks, self.spec.partition_bytes)
        return map(without_failures, blocks) if is_grouped else blocks

    @contextlib.contextmanager
    def _writing(self, sink: Sink, results: Iterator[TaskStart | Result | TaskCut | TaskEnd]) -> Iterator[None]:
        """Run the sink in a thread until the results end; if it breaks, say so and keep taking."""

        def drain() -> None:
            try:
                sink.run(results)
            except Exception as error:  # noqa: BLE001 - a bug must end the job, not hang it
                traceback.print_exc()
                self.channel.send(Fatal(type(error).__name__, str(error) or repr(error)), sure=True)
                for _ in results:
                    continue

        writer = threading.Thread(target=drain, name="sink", daemon=True)
        writer.start()
        try:
            yield
        except EngineRefusedError:
            writer.join()  # before the job is told to end: what was answered is kept
            raise
        writer.join()

    def _announce(self, task: int, start: int, stop: int) -> None:
        self.channel.send(Announced(task, start, stop, is_one=self.spec.partitioning is not None), sure=True)

    def _runner(self, model: BatchModel) -> BatchRunner | PartitionRunner:
        budget = ErrorBudget(self.spec.error_budget)
        if self.spec.partitioning is None:
            return BatchRunner(model, self.agreement, self.sizer, budget)
        most = self.spec.partition_bytes
        return PartitionRunner(model, self.agreement, budget, self.spec.partitioning, most_bytes=most)

    def _results(self, runner: BatchRunner | PartitionRunner, item: Block | TaskEnd, task: Task) -> Iterator[Result]:
        """What comes of a block, or of the end of a task that has been read whole."""
        announce = (lambda start, stop: self._announce(task.id, start, stop)) if task.careful else None
        if isinstance(runner, PartitionRunner):
            return runner.run(item, announce=announce) if isinstance(item, Block) else runner.end(announce=announce)
        if isinstance(item, Block):
            return runner.run(item, size=_careful_rows(task, self.sizer), announce=announce)
        return iter(())

    def _run_batches(self, model: BatchModel, items: Prefetch, sink: Sink) -> None:
        runner = self._runner(model)
        done: queue.Queue[TaskStart | Result | TaskEnd | None] = queue.Queue(2)
        task: Task | None = None
        cut = False
        with self._writing(sink, iter(done.get, None)):
            try:
                for item in items:
                    is_broken = isinstance(item, TaskEnd) and item.error is not None
                    if not (isinstance(item, TaskStart) or is_broken or cut):
                        assert task is not None
                        for result in self._results(runner, item, task):
                            metrics = model.take_metrics()
                            self.meter.add(rows=result.taken, errors=len(result.errors), metrics=metrics)
                            self.meter.tell_if_due()
                            done.put(replace(result, metrics=metrics) if metrics else result)
                            cut = result.cut
                    if isinstance(item, Block):
                        continue
                    if isinstance(item, TaskStart):
                        task, cut = item.task, False
                        if isinstance(runner, PartitionRunner):
                            runner.begin()
                        self.channel.send(Began(task.id))
                    done.put(item)
            except EngineDeadError as error:
                self.channel.send(EngineDied(str(error), () if task is None else (task.id,)), sure=True)
                raise
            finally:
                done.put(None)

    def _run_rows(self, model: RowModel, items: Prefetch, sink: Sink) -> None:
        self.agreement.settle(model.output_schema)
        done: queue.SimpleQueue[TaskStart | Assembly | TaskCut | TaskEnd | None] = queue.SimpleQueue()
        window = self.window = Window(
            model, emit=done.put, send=self.channel.send, meter=self.meter, is_dry=lambda: self.is_dry
        )

        def results() -> Iterator[TaskStart | Result | TaskCut | TaskEnd]:
            """What is done, as Arrow batches: made in the sink's thread, while the model computes."""
            while (item := done.get()) is not None:
                if not isinstance(item, Assembly):
                    yield item
                    continue
                result = item.result(model.output_schema)
                self.meter.add(errors=len(result.errors) - len(item.errors))
                yield result
                window.wrote(result.rows.num_rows, result.rows.nbytes)

        with self._writing(sink, results()):
            try:
                _run_loop(window.run(items))
            finally:
                done.put(None)


def _bounded(blocks: Iterator[Block], most: int) -> Iterator[Block]:
    """The blocks of one partition that was not measured before.

    Raises:
        PartitionError: it has more than `most` bytes.
    """
    rows = size = 0
    for block in blocks:
        rows, size = rows + block.rows.num_rows, size + block.rows.nbytes
        if size > most:
            raise too_large(None, None, rows=rows, size_=size, most=most)
        yield block


def _run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a loop of its own."""
    runner = asyncio.Runner()
    try:
        runner.run(work)
    except EngineDeadError:
        # other rows of a dead engine may never come back: nothing waits for them, and nobody complains of them
        runner.get_loop().set_exception_handler(lambda *_: None)
        raise
    except BaseException:
        runner.close()
        raise
    runner.close()


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


def _local_model(spec: WorkerSpec, storage: Storage) -> str:
    """The model as it is on this machine; a registered one is fetched, once for all workers of the machine."""
    if not spec.model.startswith(("models:", "mlflow:")):
        return spec.model
    from gristmill.mlflow.resolved import localized

    return localized(spec.model, storage, registry=spec.registry, digest=spec.digest).for_engine(spec.engine)


def _is_row_model(model: LoadedModel) -> TypeIs[RowModel]:
    return hasattr(model, "infer_row")


def _careful_rows(task: Task, sizer: BatchSizer) -> int | None:
    """Rows of a careful call, never more than of an ordinary one; None for a task that is not careful."""
    return min(careful_rows(task), sizer.rows) if task.careful else None


def _condemned(block: Block, task: Task) -> Block:
    assert task.verdict is not None
    errors = dict.fromkeys(range(block.rows.num_rows), task.verdict)
    return Block(block.shard, block.start, block.rows, block.model_rows, errors)
