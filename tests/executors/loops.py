"""Workers' loops for the executors' tests: they do what the model name in their spec says, without any model."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pyarrow as pa

from gristmill.plan.shards import Shard
from gristmill.replica.channel import Channel
from gristmill.replica.messages import (
    Advanced,
    Announced,
    Assign,
    Began,
    Log,
    PartDone,
    Ready,
    Stop,
    Task,
    UseSchema,
    WorkerSpec,
)
from gristmill.settings import Settings

ROOT = str(Path(__file__).parents[2])


def worker_spec(model: str = "echo") -> WorkerSpec:
    """A spec for these loops; workers find this module through its search path."""
    return WorkerSpec(
        settings=Settings(),
        job="job",
        engine="echo",
        model=model,
        function="f",
        params={},
        options={},
        format="parquet",
        input_schema=pa.schema([]),
        column_handling={},
        allowed=(),
        parts="/nowhere",
        outputs=None,
        record_errors=False,
        sys_path=(ROOT, *sys.path),
    )


def task(number: int) -> Task:
    """A task without rows."""
    return Task(number, Shard(number, ()))


def echo(spec: WorkerSpec, channel: Channel) -> None:
    """Answers each task at once; tells its process and its GPUs when it is ready."""
    channel.send(Log(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}"))
    channel.send(Ready(0.0))
    while not isinstance(command := channel.receive(), Stop):
        if isinstance(command, UseSchema):
            channel.send(Log(f"schema {command.outputs.names}"))
        if isinstance(command, Assign):
            for each in command.tasks:
                channel.send(Began(each.id))
                channel.send(PartDone(each.id, 0, 1, f"{each.id}.parquet"))


def suicide(spec: WorkerSpec, channel: Channel) -> None:
    """Announces a row and kills its own process on it."""
    channel.send(Ready(0.0))
    while isinstance(command := channel.receive(), Assign):
        for each in command.tasks:
            channel.send(Began(each.id))
            channel.send(Announced(each.id, 7, 8), sure=True)
            os.kill(os.getpid(), signal.SIGKILL)


def stubborn(spec: WorkerSpec, channel: Channel) -> None:
    """Hears nothing once it is ready, as a model in native code that never returns."""
    channel.send(Log(f"{os.getpid()}"))
    channel.send(Ready(0.0))
    while True:
        time.sleep(1)


def broken(spec: WorkerSpec, channel: Channel) -> None:
    """Raises, as a bug would."""
    channel.send(Ready(0.0))
    raise ZeroDivisionError("a bug")


def counting(spec: WorkerSpec, channel: Channel) -> None:
    """Tells of rows and tokens as a model at work does, then of a part in which some of them stand."""
    channel.send(Ready(0.0))
    tokens = {"prompt_tokens": 400, "cached_tokens": 150, "output_tokens": 60}
    channel.send(Advanced(20, 1, tokens, {"rows_in_flight": 7, "rows_waiting": 20}))
    channel.send(Advanced(20, 1, tokens, {"rows_in_flight": 4, "rows_waiting": 9, "cache_used": 0.5}))
    channel.send(PartDone(1, 0, 30, "a", errors=2, metrics={"prompt_tokens": 600, "output_tokens": 90}))
    channel.receive()


def chatty(spec: WorkerSpec, channel: Channel) -> None:
    """Prints."""
    print("hello from", spec.model)  # noqa: T201 - which is what this is for
    channel.send(Ready(0.0))
    channel.receive()


def placing(spec: WorkerSpec, channel: Channel) -> None:
    """Has an actor on each GPU of its placement group, as vLLM does; tells their nodes and its bundles."""
    import ray
    from ray.util import get_current_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = get_current_placement_group()
    actors = [
        ray.remote(_Node).options(
            num_cpus=0, num_gpus=1, scheduling_strategy=PlacementGroupSchedulingStrategy(group, at)
        )
        for at in range(len(group.bundle_specs))
    ]
    handles = [actor.remote() for actor in actors]
    nodes = ray.get([handle.node.remote() for handle in handles])
    channel.send(Log(json.dumps({"pid": os.getpid(), "bundles": group.bundle_specs, "nodes": nodes})))
    channel.send(Ready(0.0))
    channel.receive()


class _Node:
    """Tells where it is."""

    def node(self) -> str:
        import ray

        return str(ray.get_runtime_context().get_node_id())
