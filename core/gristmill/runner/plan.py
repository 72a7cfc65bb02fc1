"""The shards of a run: those of the job's plan, or of its rows once they are grouped into partitions."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from gristmill.errors import OutputError
from gristmill.inputs.block import Block
from gristmill.inputs.reader import read_shard
from gristmill.partitions.group import group
from gristmill.partitions.grouped import ShardBounds
from gristmill.plan.policy import ShardPolicy
from gristmill.plan.shards import Shard
from gristmill.plan.store import read_plan, read_summary, write_plan
from gristmill.spec.request import JobRequest
from gristmill.spec.schema_text import schema_from_text
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["RunPlan", "StoppedError", "group_rows", "known_plan"]

_RUN_BYTES = 64 * 1024**2
_MOST_RUN_BYTES = 256 * 1024**2
_RUNS = 64
"""Inputs of more bytes than so many runs have longer ones, up to the bound: then fewer are read at once."""
_TRIES = 3
_FILE_ROWS = 1_000


class StoppedError(Exception):
    """Grouping was told to stop; the message is the reason."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run reads.

    Attributes:
        location: of the plan.
        shards: how many shards it has.
        partitions: how many partitions they are; None where rows are run one by one.
        rows: how many rows; None where that is not known before they are read.
    """

    location: str
    shards: int
    partitions: int | None = None
    rows: int | None = None


def known_plan(storage: Storage, request: JobRequest) -> RunPlan | None:
    """The plan of a job; None where its rows are to be grouped first."""
    if request.partition_column is None:
        whole = request.function_kind == "partitioned"
        location = join(request.staging, "plan.parquet")
        return RunPlan(location, request.shards, request.shards if whole else None, request.rows)
    try:
        found = json.loads(storage.read_bytes(_pointer(request)))
    except FileNotFoundError:
        return None
    return RunPlan(**found)


def group_rows(
    storage: Storage,
    request: JobRequest,
    *,
    generation: int,
    parallelism: int,
    most_bytes: int,
    stop_reason: Callable[[], str | None],
) -> RunPlan:
    """Group the rows of a job and fix its plan for this run and every later one.

    Of two runners at once one fixes the plan, and the other takes it over: commits are about its shards.

    Args:
        storage: where.
        request: the job's.
        generation: of the run, for the name of the folder.
        parallelism: workers of the job.
        most_bytes: of one partition.
        stop_reason: why to stop, if so.

    Raises:
        PartitionError: a partition is too large.
        StoppedError: `stop_reason` has given one.
        OSError: storage fails.
    """
    assert request.partition_column is not None
    home = join(request.staging, "grouped")
    folder = join(home, f"{generation:06d}")
    planned = join(request.staging, "plan.parquet")
    policy = ShardPolicy(parallelism=parallelism, min_rows=1)
    if request.column_handling:
        policy = replace(policy, max_rows=_FILE_ROWS)

    def check() -> None:
        if (reason := stop_reason()) is not None:
            raise StoppedError(reason)

    try:
        size = read_summary(storage, planned).bytes
        grouped = group(
            _blocks(storage, request, planned),
            storage,
            folder,
            schema=schema_from_text(request.input_schema),
            column=request.partition_column,
            bounds=lambda total: ShardBounds(rows=policy.target_rows(total)),
            most_bytes=most_bytes,
            run_bytes=max(_RUN_BYTES, min(_MOST_RUN_BYTES, size // _RUNS)),
            check=check,
        )
        plan = RunPlan(join(folder, "plan.parquet"), len(grouped.shards), grouped.partitions, grouped.rows)
        write_plan(storage, plan.location, iter(grouped.shards))
    except BaseException:
        _drop(storage, folder)
        raise
    fixed = _fixed(storage, request, plan)
    with contextlib.suppress(OSError):
        for name in storage.children(home):  # of runs that were killed while they grouped, or were too late
            if join(home, name, "plan.parquet") != fixed.location:
                _drop(storage, join(home, name))
    return fixed


def _fixed(storage: Storage, request: JobRequest, plan: RunPlan) -> RunPlan:
    """The plan of all runs: this one, unless another was first.

    Where the answer is lost it may be either, and nothing is deleted: one that is named must be there.
    """
    try:
        storage.write_bytes(_pointer(request), json.dumps(asdict(plan)).encode(), exclusive=True)
    except FileExistsError:
        return known_plan(storage, request) or plan
    return plan


def _drop(storage: Storage, folder: str) -> None:
    with contextlib.suppress(OSError):  # it goes with the staging folder, at the latest
        storage.delete_tree(folder)


def _pointer(request: JobRequest) -> str:
    return join(request.staging, "partitions.json")


def _blocks(storage: Storage, request: JobRequest, planned: str) -> Iterator[Block]:
    """All rows in the order of the input; reading is tried again where that may help."""
    for shard in read_plan(storage, planned):
        at = 0
        for attempt in range(1, _TRIES + 1):
            try:
                for block in _rest(storage, request, shard, at):
                    yield block
                    at += block.rows.num_rows
                break
            except (FileNotFoundError, PermissionError, OutputError):
                raise
            except OSError:
                if attempt == _TRIES:
                    raise
                time.sleep(2.0 ** (attempt - 1))


def _rest(storage: Storage, request: JobRequest, shard: Shard, start: int) -> Iterator[Block]:
    schema = schema_from_text(request.input_schema)
    return read_shard(storage, format=request.source.format, schema=schema, shard=shard, start=start)
