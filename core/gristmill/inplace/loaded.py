"""`LoadedFunction`: a function of a model, loaded, for any number of calls from any thread."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from typing_extensions import TypeIs

from gristmill.engines.custom import FrameModel
from gristmill.engines.estimator import EstimatorModel
from gristmill.engines.pipeline import PipelineModel
from gristmill.engines.protocol import BatchModel, EngineDeadError, LoadContext, LoadedModel, RowModel
from gristmill.engines.threads import libraries_left_alone
from gristmill.inplace.rows import RowHost
from gristmill.inplace.target import Target
from gristmill.inplace.together import Together
from gristmill.inputs.block import Block
from gristmill.models.objects import ModelObject, instance_of
from gristmill.replica.inference import Result
from gristmill.storage.storage import Storage

__all__ = ["LoadedFunction"]

_UNTOLD = 1.0
"""Seconds after which it is looked whether a call has ended that did not tell."""
_CORES = os.cpu_count() or 1
_SLOW = 1e-6
"""Seconds of a row from which several calls at a time are worth it: in quicker ones threads wait for the interpreter's
lock more than they gain (a linear model on two cores: half as fast again with one thread at a time)."""


class LoadedFunction(BatchModel):
    """A function of a model, ready to run; safe to call from several threads.

    A model is called by one thread at a time, unless it says that it may have a twin and its calls are slow; then by as
    many as there are cores.

    Args:
        target: the function.
        input_schema: the columns it will be given.
        params: its params, checked.
        storage: for models that live at a location.
        max_batch_rows: the user's bound on one call, or None.

    Attributes:
        by_row: whether it runs rows, many at a time; then `results` is for it, as `infer` is for others.
        is_dead: whether its engine is gone, so that it must be loaded anew.

    Example:
        >>> from gristmill.inplace.target import target_of
        >>> target = target_of("echo:", storage)
        >>> loaded = LoadedFunction(target, pa.schema({"x": pa.int64()}), params={}, storage=storage)
        >>> loaded.infer(pa.record_batch({"x": [1]})).to_pydict()
        {'echo': ['{"x": 1}']}
        >>> loaded.close()
    """

    def __init__(
        self,
        target: Target,
        input_schema: pa.Schema,
        *,
        params: Mapping[str, Any],
        storage: Storage,
        max_batch_rows: int | None = None,
    ) -> None:
        context = LoadContext(
            model=target.model if isinstance(target.model, str) else "",
            function=target.function,
            storage=storage,
            input_schema=input_schema,
            params=params,
            options=target.options,
            threads=_CORES,
            max_batch_rows=max_batch_rows,
        )
        with libraries_left_alone():
            model = target.engine.load(context) if isinstance(target.model, str) else _of_object(target.model, context)
        self.is_dead = False
        self._host = RowHost(model) if _runs_rows(model) else None
        self._models: list[Any] = [model]  # the first one, and its twins
        self._taken: dict[object, Any] = {}  # by call
        self._limit = 1
        self._lock = threading.Lock()  # entered by itself: an interrupt within a condition's `with` leaves it locked
        self._turn = threading.Condition(self._lock)
        self._together = Together(self.infer)

    def infer_together(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """As `infer`, for small batches of several threads: they may be run as one."""
        return self._together(batch) if self._limit == 1 else self.infer(batch)

    @property
    def by_row(self) -> bool:
        """See the class."""
        return self._host is not None

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The output columns of a batch; see `gristmill.engines.protocol.BatchModel`."""
        call = object()
        began = time.perf_counter()
        try:
            model = self._take(call)
            began = time.perf_counter()
            found: pa.RecordBatch = model.infer(batch)
        except EngineDeadError:
            self.is_dead = True
            raise
        finally:
            self._taken.pop(call, None)  # before anything that an interrupt could end
            self._given_back((time.perf_counter() - began) / max(1, batch.num_rows))
        return found

    def results(self, blocks: Iterable[Block]) -> Iterator[Result]:
        """The results of blocks, of a model that runs rows."""
        assert self._host is not None
        try:
            yield from self._host.run(blocks)
        except EngineDeadError:
            self.is_dead = True
            raise

    def close(self) -> None:
        """Free what the model holds, once calls that run have returned."""
        with self._lock:
            self._wait_while(lambda: bool(self._taken))
            if self._host is not None:
                self._host.close()
            for model in self._models:
                model.close()
            self._models = []

    def _take(self, call: object) -> BatchModel:
        with self._lock:
            self._wait_while(lambda: len(self._taken) >= self._limit)
            taken = set(map(id, self._taken.values()))
            found: BatchModel = next(model for model in self._models if id(model) not in taken)
            self._taken[call] = found
        return found

    def _given_back(self, seconds_per_row: float) -> None:
        with self._lock:
            limit = _CORES if seconds_per_row > _SLOW else 1
            if limit > len(self._models):
                self._grow()
            self._limit = min(limit, len(self._models))
            self._turn.notify_all()

    def _wait_while(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so no longer; an interrupt may have ended a call before it told of its end."""
        while is_so():
            self._turn.wait(_UNTOLD)

    def _grow(self) -> None:
        """One more twin, where the model has any."""
        twin = getattr(self._models[0], "twin", None)
        with libraries_left_alone():
            another = None if twin is None else twin()
        if another is not None:
            self._models.append(another)


def _runs_rows(model: LoadedModel) -> TypeIs[RowModel]:
    return hasattr(model, "infer_row")


def _of_object(model: ModelObject, context: LoadContext) -> LoadedModel:
    if model.kind == "custom":
        return FrameModel(getattr(instance_of(model.value), context.function), context)
    if model.kind == "function":
        return FrameModel(model.value, context)
    return EstimatorModel(model.value, context) if model.kind == "estimator" else PipelineModel(model.value, context)
