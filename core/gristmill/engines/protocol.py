"""The engine protocol: what the replica needs to run any model.

An engine comes in two halves. The *kind* (an `Engine`, found by the entry point group `gristmill.engines`) answers
questions about a model before the job runs. What it loads runs the model, in one of two ways:

- a `BatchModel` takes a record batch and returns one with as many rows;
- a `RowModel` takes one row and answers when it is done; the replica keeps a window of rows in flight.

Neither knows of jobs, shards, files or errors of other rows. An engine never catches a row's failure: it raises, and
the replica finds the row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from gristmill.models.signature import Signature
from gristmill.storage.storage import Storage

__all__ = [
    "AssumingEngine", "BatchModel", "Engine", "EngineDeadError", "EngineRefusedError", "LoadContext", "LoadedModel",
    "ModelInfo", "RowModel",
]  # fmt: skip


class EngineDeadError(Exception):
    """The engine behind a model is gone: what its rows in flight raise, though none of them has failed.

    Raised by `infer_row` or `infer`. The worker then ends as if it had been killed, with this reason; the runner starts
    another, which runs the rows in flight again and finds the one that kills, if there is one.

    Example:
        >>> raise EngineDeadError("the engine core has ended with exit code -9")
        Traceback (most recent call last):
        gristmill.engines.protocol.EngineDeadError: the engine core has ended with exit code -9
    """


class EngineRefusedError(EngineDeadError):
    """The engine runs no row, here or elsewhere: its key is not valid, its model not there, its service down.

    The job fails at once with this reason, as it does where the model cannot be loaded; no worker is started again.
    Rows of a `RowModel` that are back are kept, those of unfinished tasks too.

    Example:
        >>> raise EngineRefusedError("401: the API key is not valid")
        Traceback (most recent call last):
        gristmill.engines.protocol.EngineRefusedError: 401: the API key is not valid
    """


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model before it is loaded.

    Attributes:
        functions: the model's functions by name; a `Signature` may leave inputs or outputs open (None).
        default_function: the function to run when none is named; None asks the user to name one if there are several.
        uses_gpu: whether the model can use a GPU.
        by_row: whether the loaded model is a `RowModel`; shards are then small, since each row is slow.
        preload: modules worth importing before worker processes are started, such as `("sklearn.linear_model",)`.
        is_alone: whether a replica runs one copy of the model, however many workers it could have, and a process one
            replica: the model runs many rows at a time by itself.
        gpus: the GPUs that the engine's options cut each copy over; None where it takes those that it is given.
        spreads: whether the engine places one Ray actor on each GPU of a copy by itself, in the placement group of its
            worker, so that one copy may stand on several nodes.
    """

    functions: Mapping[str, Signature]
    default_function: str | None = None
    uses_gpu: bool = True
    by_row: bool = False
    preload: tuple[str, ...] = ()
    is_alone: bool = False
    gpus: int | None = None
    spreads: bool = False


@dataclass(frozen=True, slots=True)
class LoadContext:
    """What an engine is given to load a model in a worker.

    Attributes:
        model: the model reference, such as `python:package.module:Class`.
        function: the name of the function to run.
        params: the function's parameters, checked and filled with defaults.
        options: the engine options of the job.
        input_schema: the columns the model will be given, after resolving.
        storage: for models that live at a location.
        threads: CPU threads this worker should use.
        gpus: GPUs of this worker; 0 for none. The visible devices are set already.
        max_batch_rows: the user's bound, or None.
        workers: how many workers the job has in all: they share what bounds the job, such as a rate of requests.
    """

    model: str
    function: str
    storage: Storage
    input_schema: pa.Schema
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    gpus: float = 0.0
    max_batch_rows: int | None = None
    workers: int = 1


class BatchModel(Protocol):
    """A loaded model that runs batches."""

    def infer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The output columns for a batch, with as many rows and in the same order.

        A function whose signature is of kind `partitioned` is given one partition, and returns any number of rows.

        Raises whatever the model raises; the replica then looks for the rows that cause it.
        """
        ...

    def take_metrics(self) -> Mapping[str, float]:
        """Sums since they were last taken, such as tokens; a model that inherits from this one has none."""
        return {}

    def close(self) -> None:
        """Free what the model holds; a model that inherits from this one holds nothing."""
        return


class RowModel(Protocol):
    """A loaded model that runs single rows, many at a time.

    Attributes:
        window: how many rows the replica keeps in flight.
        output_schema: the output columns with their types.
        prefix_key: a function from a row to the text that its work begins with, such as a prompt: rows whose texts
            begin alike are sent one after the other. None where the order does not matter.
    """

    window: int
    output_schema: pa.Schema
    prefix_key: Callable[[Mapping[str, Any]], str | None] | None = None

    async def infer_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The output columns of one row. Raises what goes wrong with it; `EngineDeadError` where all is lost."""
        ...

    def gauges(self) -> Mapping[str, float]:
        """What the engine is busy with now, such as `waiting`, the rows in its own queue; read about once a second."""
        return {}

    def take_metrics(self) -> Mapping[str, float]:
        """Sums since they were last taken, such as tokens; a model that inherits from this one has none."""
        return {}

    def close(self) -> None:
        """Free what the model holds; a model that inherits from this one holds nothing."""
        return


LoadedModel = BatchModel | RowModel
"""What `Engine.load` returns; a `RowModel` is told by its `infer_row`."""


class Engine(Protocol):
    """A kind of engine.

    Attributes:
        name: what users write in `inference_engine_options["engine"]`.
        option_names: the keys of `inference_engine_options` that it knows, besides `engine`; others are refused.
    """

    name: str
    option_names: frozenset[str]

    def handles(self, model: str) -> bool:
        """Whether a model reference is one this engine runs unless the user names an engine."""
        ...

    def describe(self, model: str, options: Mapping[str, Any], storage: Storage) -> ModelInfo:
        """The model's functions, without running it.

        Raises:
            ModelError: there is no such model, or it is not one this engine can run.
        """
        ...

    def load(self, context: LoadContext) -> LoadedModel:
        """The model, ready to run; slow, and done once in each worker."""
        ...


@runtime_checkable
class AssumingEngine(Engine, Protocol):
    """A kind of engine that can do without its libraries until the model is loaded."""

    def assume(self, model: str, options: Mapping[str, Any], storage: Storage) -> ModelInfo:
        """What `describe` would say at best, on a machine that has neither the engine's libraries nor the model.

        Asked for by clients of a cluster, where `describe` raises a `MissingExtraError`. It has all functions that the
        model may turn out to have; `load` then refuses, on the cluster, what the model does not do.

        Raises:
            ModelError, SpecError: what can be told to be wrong all the same.
        """
        ...
