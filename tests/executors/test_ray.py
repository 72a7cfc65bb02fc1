"""The Ray executor on a real Ray, with logical GPUs."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pyarrow as pa
import pytest
import ray
from ray.util import placement_group_table

from gristmill.errors import PlacementError, SpecError
from gristmill.executors.ray import RayExecutor
from gristmill.executors.ray_actor import Run
from gristmill.replica.messages import Announced, Assign, Began, Died, Event, Fatal, Log, PartDone, Ready, UseSchema
from gristmill.settings import PoolSettings
from tests.executors import loops

Events = list[tuple[int, Event]]
LIMIT = 180.0


class Running:
    """An executor with the events that it has told so far."""

    def __init__(self, executor: RayExecutor) -> None:
        self.executor = executor
        self.events: Events = []

    def until(self, enough: Callable[[Events], object]) -> None:
        """Poll until `enough` holds for all events so far."""
        deadline = time.monotonic() + LIMIT
        while not enough(self.events):
            assert time.monotonic() < deadline, f"not told within {LIMIT} s; told: {self.events}"
            self.events += self.executor.poll(0.5)

    def of(self, kind: type, worker: int | None = None) -> list[Any]:
        """The events of one kind."""
        return [event for by, event in self.events if isinstance(event, kind) and worker in (None, by)]

    def until_ready(self, workers: int) -> None:
        self.until(lambda _: len(self.of(Ready)) >= workers)


Start = Callable[..., Running]


@pytest.fixture(scope="module")
def machine() -> Iterator[None]:
    """A Ray with four CPUs and two GPUs, which no executor started and none may stop."""
    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80 * 1024**2,
    )
    yield
    ray.shutdown()


@pytest.fixture
def start(machine: None) -> Iterator[Start]:
    """Start executors; they are closed when the test ends, and must have given everything back."""
    begun: list[RayExecutor] = []

    def begin(
        run: Run = loops.echo,
        *,
        model: str = "echo",
        replicas: int = 1,
        num_workers: int = 1,
        timeout: float = 60.0,
        **asked: float,
    ) -> Running:
        executor = RayExecutor(
            pool=PoolSettings(kind="ray", placement_timeout=timeout),
            replicas=replicas,
            num_workers=num_workers,
            run=run,
            **{"cpus": None, "memory": None, "gpus": None, **asked},
        )
        begun.append(executor)
        executor.start(loops.worker_spec(model), workers=replicas * num_workers)
        return Running(executor)

    yield begin
    for executor in begun:
        executor.close()
    until_free()


def until_free() -> None:
    """Wait until no resource of the machine is taken and no placement group is left."""
    deadline = time.monotonic() + LIMIT
    while (taken := _taken()) is not None:
        assert time.monotonic() < deadline, f"not given back: {taken}"
        time.sleep(0.05)


def _taken() -> object:
    """What shows that something is taken; None where nothing is."""
    free = ray.available_resources()
    if free.get("CPU") != 4 or free.get("GPU") != 2:
        return free
    states = {group["state"] for group in placement_group_table().values()}
    return states - {"REMOVED"} or None


def test_tasks_go_to_workers_and_answers_come_back_in_order(start: Start):
    running = start(replicas=2)
    running.until_ready(2)
    for number in range(500):
        running.executor.send(number % 2, Assign((loops.task(number),)))
    running.until(lambda _: len(running.of(PartDone)) == 500)
    for worker in (0, 1):
        told = [(type(event), event.task) for by, event in running.events if by == worker and hasattr(event, "task")]
        assert told == [(kind, number) for number in range(worker, 500, 2) for kind in (Began, PartDone)]


def test_a_poll_with_nothing_to_tell_is_empty(start: Start):
    running = start()
    running.until_ready(1)
    assert running.executor.poll(0) == []
    assert running.executor.poll(0.05) == []


def test_a_schema_reaches_a_worker(start: Start):
    running = start()
    running.until_ready(1)
    running.executor.send(0, UseSchema(pa.schema({"prediction": pa.int64()})))
    running.until(lambda _: any("schema ['prediction']" in log.text for log in running.of(Log)))


def test_what_a_worker_prints_is_told(start: Start):
    running = start(loops.chatty, model="python:mine")
    running.until(lambda _: any("hello from python:mine" in log.text for log in running.of(Log)))


def test_a_killed_process_is_told_once_and_can_be_started_again(start: Start):
    running = start(replicas=2)
    running.until_ready(2)
    first = _pid(running, 0)
    os.kill(first, signal.SIGKILL)
    running.until(lambda _: running.of(Died))
    assert [by for by, event in running.events if isinstance(event, Died)] == [0]
    assert "worker process has died" in running.of(Died)[0].reason
    running.executor.send(0, Assign((loops.task(1),)))  # dropped
    running.executor.restart(0)
    running.until(lambda _: len(running.of(Ready, 0)) == 2)
    assert _pid(running, 0) != first
    running.executor.send(0, Assign((loops.task(2),)))
    running.until(lambda _: running.of(PartDone, 0))
    assert [part.task for part in running.of(PartDone, 0)] == [2]
    assert len(running.of(Died)) == 1


def test_what_a_worker_announced_is_known_although_it_dies_on_it(start: Start):
    running = start(loops.suicide)
    for attempt in range(1, 6):
        running.until(lambda _, count=attempt: len(running.of(Ready)) == count)
        running.executor.send(0, Assign((loops.task(attempt),)))
        running.until(lambda _, count=attempt: len(running.of(Died)) == count)
        assert running.events[-2:-1] == [(0, Announced(attempt, 7, 8))]
        running.executor.restart(0)


def test_a_loop_that_raises_is_a_death_with_its_reason(start: Start):
    running = start(loops.broken)
    running.until(lambda _: running.of(Died))
    assert running.of(Died)[0].reason.startswith("ZeroDivisionError: a bug (")


def test_a_job_that_does_not_load_in_a_worker_is_fatal(start: Start, monkeypatch: pytest.MonkeyPatch):
    class Stranger:
        """Pickled by a name that workers do not know."""

        def __reduce__(self) -> tuple[Any, ...]:
            return (__import__, ("no_such_module_of_the_client",))

    monkeypatch.setattr(loops, "Settings", Stranger)
    running = start()
    running.until(lambda _: running.of(Died))
    assert "no_such_module_of_the_client" in running.of(Fatal)[0].message


def test_close_ends_a_worker_that_does_not_listen(start: Start):
    running = start(loops.stubborn, gpus=1)
    running.until_ready(1)
    process = psutil.Process(_pid(running, 0))
    running.executor.close()
    process.wait(LIMIT)
    until_free()


def test_replicas_with_a_gpu_each_see_different_ones(start: Start):
    running = start(replicas=2, gpus=1)
    running.until_ready(2)
    assert sorted(_gpus(running, worker) for worker in (0, 1)) == ["0", "1"]


def test_workers_of_a_replica_share_its_gpu(start: Start):
    running = start(replicas=1, num_workers=2, gpus=1)
    running.until_ready(2)
    assert _gpus(running, 0) == _gpus(running, 1)


def test_replicas_with_half_a_gpu_share_two_by_two(start: Start):
    running = start(replicas=4, gpus=0.5)
    running.until_ready(4)
    assert sorted(_gpus(running, worker) for worker in range(4)) == ["0", "0", "1", "1"]


def test_a_replica_that_does_not_fit_waits_and_joins_nothing(start: Start):
    running = start(replicas=3, gpus=1, timeout=10.0)
    running.until_ready(2)
    deadline = time.monotonic() + 11
    while time.monotonic() < deadline:
        running.events += running.executor.poll(0.2)  # the timeout passes, and is not for those that wait
    assert len({by for by, event in running.events if isinstance(event, Ready)}) == 2


def test_a_replica_joins_when_there_is_room_for_it(start: Start):
    occupant = start(gpus=2)
    occupant.until_ready(1)
    running = start(replicas=1, gpus=1)
    assert running.executor.poll(0.5) == []
    occupant.executor.close()
    running.until_ready(1)


def test_more_gpus_than_there_are_is_refused_with_what_was_asked_and_what_there_is(start: Start):
    running = start(replicas=2, gpus=4, timeout=0.5)
    with pytest.raises(PlacementError) as refused:
        running.until_ready(1)
    message = str(refused.value)
    assert "asks for 1 CPU, 4 GPU" in message
    assert "has 4 CPU, 2 GPU" in message
    assert "gpu_requests" in message
    with pytest.raises(PlacementError):
        running.executor.poll(0)


def test_memory_is_asked_of_ray(start: Start):
    running = start(memory=2**60, timeout=0.5)
    with pytest.raises(PlacementError, match=r"asks for 1 CPU, 0 GPU, 1073741824\.00 GiB"):
        running.until_ready(1)


def test_gpus_that_workers_cannot_share_are_refused_before_anything_starts():
    with pytest.raises(SpecError, match="num_workers=2"):
        RayExecutor(pool=PoolSettings(kind="ray"), replicas=1, num_workers=2, cpus=None, memory=None, gpus=3)


def test_close_before_start_and_twice_is_fine(start: Start):
    RayExecutor(pool=PoolSettings(kind="ray"), replicas=1, num_workers=1, cpus=None, memory=None, gpus=None).close()
    running = start()
    running.executor.close()
    running.executor.close()


def _log(running: Running, worker: int) -> list[str]:
    first: str = running.of(Log, worker)[-1].text
    return first.split()


def _pid(running: Running, worker: int) -> int:
    return int(_log(running, worker)[0])


def _gpus(running: Running, worker: int) -> str:
    return _log(running, worker)[1]
