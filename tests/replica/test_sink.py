"""The end of a worker: what it tells of the rows that it has written, and of those that it has not."""

from pathlib import Path

import pyarrow as pa
import pytest

from gristmill.plan.shards import Shard
from gristmill.replica.agreement import Agreement
from gristmill.replica.inference import Covered, Result
from gristmill.replica.messages import Event, PartDone, Task
from gristmill.replica.meter import Meter
from gristmill.replica.sink import Sink
from gristmill.replica.stream import TaskEnd, TaskStart
from gristmill.storage.storage import Storage

OUTPUTS = pa.schema({"y": pa.int64()})
TASK = Task(1, Shard(0, ()), 0, None)


def told(storage: Storage, folder: Path, *results: Result) -> list[PartDone]:
    """What is told of a task with these results."""
    events: list[Event] = []
    sink = Sink(
        storage,
        parts=str(folder),
        input_schema=pa.schema({"key": pa.string()}),
        agreement=Agreement(OUTPUTS, events.append),
        record_errors=False,
        send=events.append,
        meter=Meter(events.append),
    )
    sink.run([TaskStart(TASK), *results, TaskEnd(TASK)])
    return [event for event in events if isinstance(event, PartDone)]


def partitions(height: int, *, start: int = 0, cut: bool = False) -> Result:
    """Two partitions of three rows that gave `height` rows."""
    outputs = pa.record_batch({"y": pa.array(range(height), pa.int64())}) if height else None
    keys = pa.record_batch({"key": pa.array(["a"] * height, pa.string())})
    return Result(start, keys, outputs, {}, cut=cut, covered=Covered(3, 2, height))


@pytest.mark.parametrize("height", [0, 2])
def test_partitions_are_kept_where_they_are_all_there(storage: Storage, tmp_path: Path, height: int) -> None:
    (done,) = told(storage, tmp_path, partitions(height))
    assert (done.rows, done.partitions, done.written, done.spoiled) == (3, 2, height, False)
    assert (done.file is not None) == (height > 0)


@pytest.mark.parametrize("height", [0, 2])
def test_partitions_of_a_task_that_was_given_up_are_not_kept_though_none_of_them_failed(
    storage: Storage, tmp_path: Path, height: int
) -> None:
    (done,) = told(storage, tmp_path, partitions(height, cut=True))
    assert (done.file, done.errors, done.spoiled) == (None, 0, True)
    assert list(tmp_path.glob("*.parquet")) == []


def test_parts_of_partitions_that_grow_are_of_a_size_too(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gristmill.replica.sink._ROLL_BYTES", 600)
    done = told(storage, tmp_path, *(partitions(40, start=start) for start in (0, 3, 6, 9)))
    assert [(part.start, part.rows, part.written, part.last) for part in done] == [(0, 6, 80, False), (6, 6, 80, True)]
