"""The triggers for sentinels: a watcher fires once for each, and nothing holds up the event loop."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset, AssetWatcher
from airflow.sdk.execution_time.context import AssetStateStoreAccessors
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger, TaskSuccessEvent, TriggerEvent
from airflow.triggers.shared_stream import SharedStreamManager
from structlog.testing import capture_logs
from tests.airflow.sentinels import FINISHED, publish
from tests.conftest import S3Server

from airflow_gristmill import SentinelTrigger
from airflow_gristmill.sentinel_trigger import SentinelSensorTrigger
from gristmill.errors import SpecError
from gristmill.outputs.manifest import with_files
from gristmill.settings import Settings
from gristmill.storage.storage import Storage


@pytest.fixture
def out(tmp_path: Path, settings: Settings) -> str:
    return str(tmp_path / "out")


class Memory:
    """What an asset remembers, with the methods that Airflow's own has."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.kept.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        self.kept[key] = value


class Triggerer:
    """Watchers as a triggerer runs them: with its shared streams, until it stops; events are stored when told."""

    def __init__(self) -> None:
        self._streams = SharedStreamManager()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._keys: dict[int, Any] = {}
        self.fired: dict[int, list[Any]] = {}
        self._stored: list[int] = []

    def start(self, trigger: BaseEventTrigger, memory: Any) -> int:
        number = len(self._tasks) + 1
        classpath, kwargs = trigger.serialize()
        again = type(trigger)(**json.loads(json.dumps(kwargs)))
        assert classpath == f"{type(trigger).__module__}.{type(trigger).__name__}"
        again.asset_state_store = memory
        self.fired[number] = []
        self._keys[number] = again.shared_stream_key()
        self._tasks[number] = asyncio.create_task(self._run(number, again))
        return number

    async def _run(self, number: int, trigger: BaseEventTrigger) -> None:
        key = self._keys[number]
        stream = self._streams.subscribe(trigger_id=number, trigger=trigger, key=key)
        async for event in trigger.filter_shared_stream(stream):
            self.fired[number].append(event.payload)
            seq = self._streams.bind_pending_event(trigger_id=number, key=key)
            assert seq is not None
            self._stored.append(seq)

    def store(self) -> None:
        """Airflow has written the events to its database."""
        self._streams.confirm_persisted(self._stored)
        self._stored.clear()

    async def until(self, number: int, count: int) -> list[Any]:
        async with asyncio.timeout(30):
            while len(self.fired[number]) < count:
                if self._tasks[number].done():
                    self._tasks[number].result()
                await asyncio.sleep(0.01)
        return self.fired[number]

    async def stop(self) -> None:
        for number, task in self._tasks.items():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._streams.unsubscribe(number, self._keys[number])


@asynccontextmanager
async def triggerer() -> AsyncIterator[Triggerer]:
    running = Triggerer()
    try:
        yield running
    finally:
        await running.stop()


async def looks(count: int = 10) -> None:
    """Time for several looks at intervals of 0.01 s: enough to see what must not happen."""
    await asyncio.sleep(0.03 * count)


async def comes(look: Callable[[], object]) -> None:
    """Wait until a look finds something."""
    async with asyncio.timeout(30):
        while not look():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)


def watcher(location: str, **options: Any) -> SentinelTrigger:
    return SentinelTrigger(location, poke_interval=0.01, **options)


def test_a_sentinel_is_fired_once_and_stays(storage: Storage, out: str) -> None:
    async def watch() -> None:
        memory = Memory()
        async with triggerer() as running:
            number = running.start(watcher(out), memory)
            await looks()
            assert running.fired[number] == []
            manifest = publish(storage, out)
            assert await running.until(number, 1) == [manifest.summary(out)]
            running.store()
            await comes(lambda: memory.kept)
            await looks()
            assert len(running.fired[number]) == 1
        assert len(memory.kept) == 1
        assert storage.exists(f"{out}/_SUCCESS")

    asyncio.run(watch())


def test_a_later_publication_is_fired_again(storage: Storage, out: str) -> None:
    async def watch() -> None:
        async with triggerer() as running:
            number = running.start(watcher(out), Memory())
            for generation in (1, 2, 3):
                publish(storage, out, generation=generation)
                fired = await running.until(number, generation)
                running.store()
            assert [one["generation"] for one in fired] == [1, 2, 3]

    asyncio.run(watch())


def test_a_restarted_triggerer_fires_nothing_again_and_what_came_meanwhile(storage: Storage, out: str) -> None:
    async def watch() -> None:
        memory = Memory()
        publish(storage, out)
        async with triggerer() as running:
            await running.until(running.start(watcher(out), memory), 1)
            running.store()
            await comes(lambda: memory.kept)
        async with triggerer() as running:
            number = running.start(watcher(out), memory)
            await looks()
            assert running.fired[number] == []
        publish(storage, out, generation=2)
        async with triggerer() as running:
            fired = await running.until(running.start(watcher(out), memory), 1)
            assert [one["generation"] for one in fired] == [2]

    asyncio.run(watch())


def test_an_event_that_was_not_stored_is_fired_again_by_the_next_triggerer(storage: Storage, out: str) -> None:
    async def watch() -> None:
        memory = Memory()
        publish(storage, out)
        async with triggerer() as running:
            number = running.start(watcher(out), memory)
            await running.until(number, 1)
            await looks()
            assert running.fired[number] == running.fired[number][:1]
            assert memory.kept == {}
        async with triggerer() as running:
            await running.until(running.start(watcher(out), memory), 1)

    asyncio.run(watch())


def test_a_watcher_waits_for_its_conditions(storage: Storage, out: str) -> None:
    async def watch() -> None:
        publish(storage, out)
        async with triggerer() as running:
            number = running.start(watcher(out, newer_than=FINISHED, min_rows=5, max_error_rate=0.3), Memory())
            await looks()
            publish(storage, out, generation=2, finished=FINISHED + timedelta(days=1), rows=4)
            await looks()
            assert running.fired[number] == []
            publish(storage, out, generation=3, finished=FINISHED + timedelta(days=1), rows=5)
            fired = await running.until(number, 1)
            assert fired[0]["generation"] == 3

    asyncio.run(watch())


def test_watchers_of_one_location_share_looks_and_keep_their_conditions(storage: Storage, out: str) -> None:
    async def watch() -> None:
        picky, lenient = watcher(out, min_rows=5), watcher(out)
        assert picky.shared_stream_key() == lenient.shared_stream_key()
        publish(storage, out)
        async with triggerer() as running:
            first, second = running.start(picky, Memory()), running.start(lenient, Memory())
            await running.until(second, 1)
            running.store()
            await looks()
            assert running.fired[first] == []

    asyncio.run(watch())


@pytest.mark.parametrize("data", [b"", b"done", os.urandom(64) * 40_000], ids=["empty", "words", "large-binary"])
def test_another_tools_sentinel_is_fired_each_time_it_is_written(storage: Storage, out: str, data: bytes) -> None:
    async def watch() -> None:
        async with triggerer() as running:
            number = running.start(watcher(out), Memory())
            for count in (1, 2):
                storage.write_bytes(f"{out}/_SUCCESS", data)
                assert await running.until(number, count) == [{"location": out}] * count
                running.store()

    asyncio.run(watch())


def test_one_trigger_for_several_assets_remembers_for_each() -> None:
    one, other = Asset("one", watchers=[]), Asset("other")
    store = AssetStateStoreAccessors(inlets=[one, other])
    with pytest.raises(ValueError, match="2 concrete inlets"):
        store.get("seen")
    from airflow_gristmill.sentinel_trigger import _each

    assert _each(store) == [store[one], store[other]]
    assert _each(None) == []


def test_a_storage_that_cannot_be_reached_is_waited_for(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def reach(options: dict[str, Any]) -> None:
        connection = {"conn_type": "gristmill", "extra": {"storage_options": {"s3": options}}}
        monkeypatch.setenv("AIRFLOW_CONN_GRISTMILL_DEFAULT", json.dumps(connection))

    def told() -> list[str]:
        return [line["event"] for line in lines if "waiting, it cannot be looked at now" in line["event"]]

    async def watch() -> None:
        publish(Storage(s3.settings), f"{s3.root}/day")
        async with triggerer() as running:
            number = running.start(watcher(f"{s3.root}/day"), Memory())
            await comes(told)
            await looks()
            assert running.fired[number] == []
            reach({"endpoint_url": s3.endpoint_url})
            fired = await running.until(number, 1)
            assert fired[0]["location"] == f"{s3.root}/day"

    reach({"endpoint_url": s3.endpoint_url, "no_such_option": True})
    with capture_logs() as lines:
        asyncio.run(watch())
    assert len(told()) == 1
    assert "no_such_option" in told()[0]


def test_without_shared_streams_it_remembers_when_the_next_event_is_asked_for(storage: Storage, out: str) -> None:
    async def watch() -> None:
        trigger, memory = watcher(out), Memory()
        trigger.asset_state_store = memory  # type: ignore[assignment]
        publish(storage, out)
        async with aclosing(trigger.run()) as events:
            first = await anext(events)
            assert memory.kept == {}
            second = asyncio.create_task(anext(events))
            await comes(lambda: memory.kept)
            assert len(memory.kept) == 1
            publish(storage, out, generation=2)
            assert (first.payload["generation"], (await second).payload["generation"]) == (1, 2)

    asyncio.run(watch())


def test_an_asset_with_a_watcher_is_kept_as_the_same_trigger(out: str) -> None:
    trigger = SentinelTrigger(out, newer_than="2026-01-01T00:00:00+00:00", max_error_rate=0)
    asset = Asset("scores", watchers=[AssetWatcher(name="published", trigger=trigger)])
    encoded = encode_trigger(asset.watchers[0].trigger)
    assert encoded["kwargs"] == {
        "location": out,
        "newer_than": "2026-01-01T00:00:00Z",
        "max_error_rate": 0.0,
        "gristmill_conn_id": "gristmill_default",
        "poke_interval": 60.0,
    }
    again = SentinelTrigger(**encoded["kwargs"])
    assert BaseEventTrigger.hash(*again.serialize()) == BaseEventTrigger.hash(*trigger.serialize())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"location": "/out/{{ ds }}"}, "location: a watcher belongs to no run"),
        ({"max_error_rate": 2}, r"max_error_rate: .* \(given: 2\)"),
        ({"poke_interval": 0}, r"poke_interval: give seconds above 0 \(given: 0\)"),
    ],
)
def test_a_watcher_that_cannot_be_right_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        SentinelTrigger(**{"location": "/out", **given})


# -- for the sensor


def waiting(location: str, **options: Any) -> SentinelSensorTrigger:
    _, kwargs = SentinelSensorTrigger(location=location, poke_interval=0.01, **options).serialize()
    return SentinelSensorTrigger(**json.loads(json.dumps(kwargs)))


async def events(trigger: SentinelSensorTrigger, meanwhile: Callable[[], object]) -> list[TriggerEvent]:
    running = asyncio.ensure_future(_all(trigger))
    await looks()
    assert not running.done()
    meanwhile()
    return await asyncio.wait_for(running, 30)


async def _all(trigger: SentinelSensorTrigger) -> list[TriggerEvent]:
    return [event async for event in trigger.run()]


def test_a_sensors_trigger_ends_its_task_or_hands_on_the_summary(storage: Storage, out: str) -> None:
    summary = publish(storage, f"{out}/other").summary(out)
    ended = asyncio.run(events(waiting(f"{out}/a", ends_task=True), lambda: publish(storage, f"{out}/a")))
    assert [event.xcoms for event in ended if isinstance(event, TaskSuccessEvent)] == [None]
    handed = asyncio.run(events(waiting(f"{out}/b"), lambda: publish(storage, f"{out}/b")))
    assert [event.payload for event in handed] == [{"summary": {**summary, "location": f"{out}/b"}}]


def test_a_failure_ends_a_sensors_trigger_unless_it_is_silent(storage: Storage, out: str) -> None:
    Path(out).with_name("_SUCCESS").symlink_to("_SUCCESS")  # a link to itself cannot be read
    where = str(Path(out).parent)
    with pytest.raises(OSError, match="symbolic links"):
        asyncio.run(_all(waiting(where)))

    def mend() -> None:
        Path(where, "_SUCCESS").unlink()
        Path(where, "_SUCCESS").touch()

    ended = asyncio.run(events(waiting(where, silent_fail=True), mend))
    assert ended[0].payload == {"summary": {"location": where}}


# -- the event loop

_PROBE = """
    import asyncio, json, logging, sys
    import airflow.triggers.base, airflow.jobs.triggerer_job_runner
    from airflow_gristmill.sentinel_trigger import SentinelSensorTrigger, SentinelTrigger

    class Slow(logging.Handler):
        seen = []
        def emit(self, record):
            self.seen.append(record.getMessage())

    class Memory:
        async def aget(self, key, default=None):
            return default
        async def aset(self, key, value):
            pass

    async def main():
        ticks = 0
        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1
        ticking = asyncio.create_task(tick())
        imported = [name for name in ("s3fs", "pyarrow") if name in sys.modules]
        if sys.argv[1] == "sensor":
            trigger = SentinelSensorTrigger(location=sys.argv[2])
        else:
            trigger = SentinelTrigger(sys.argv[2])
            trigger.asset_state_store = Memory()
        asyncio.get_running_loop().slow_callback_duration = 0.3
        logging.getLogger("asyncio").addHandler(Slow())
        event = await anext(trigger.run())
        if sys.argv[3] == "block":
            import time
            time.sleep(0.4)
            await asyncio.sleep(0)
        ticking.cancel()
        told = {"imported": imported, "slow": Slow.seen, "ticks": ticks, "event": event.payload}
        print(json.dumps(told))

    asyncio.run(main(), debug=True)
"""
_SLOW = """
    import time
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    class Slow(MemoryFileSystem):
        protocol = "slow"
        def info(self, path, **options):
            time.sleep(0.5)
            return super().info(path, **options)
        def cat_file(self, path, **options):
            time.sleep(0.5)
            return super().cat_file(path, **options)

    fsspec.register_implementation("slow", Slow)
    Slow().pipe_file(Slow._strip_protocol("slow://out/_SUCCESS"), b"")
"""


def probe(kind: str, location: str, *, setup: str = "", then: str = "") -> dict[str, Any]:
    """How a trigger's first look goes in a fresh interpreter, whose loop reports what holds it up for over 0.3 s.

    A busy machine may hold it up, too, so that is tried again: a call that blocks does so every time.
    """
    for _ in range(3):
        told = _probe(kind, location, setup, then)
        if not told["slow"]:
            break
    return told


def _probe(kind: str, location: str, setup: str, then: str) -> dict[str, Any]:
    code = textwrap.dedent(setup) + textwrap.dedent(_PROBE)
    command = [sys.executable, "-c", code, kind, location, then]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("kind", ["sensor", "watcher"])
def test_a_slow_storage_does_not_hold_up_the_loop(settings: Settings, kind: str) -> None:
    told = probe(kind, "slow://out", setup=_SLOW)
    assert told["event"] in ({"location": "slow://out"}, {"summary": {"location": "slow://out"}})
    assert told["slow"] == []
    assert told["ticks"] > 5


def test_the_probe_sees_what_holds_up_the_loop(settings: Settings) -> None:
    told = probe("sensor", "slow://out", setup=_SLOW, then="block")
    assert len(told["slow"]) >= 1


@pytest.mark.parametrize("kind", ["sensor", "watcher"])
def test_the_first_look_imports_what_it_needs_without_holding_up_the_loop(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("GRISTMILL_STORAGE_OPTIONS", json.dumps(s3.settings.storage_options))
    publish(Storage(s3.settings), f"{s3.root}/day")
    told = probe(kind, f"{s3.root}/day")
    assert told["event"].get("summary", told["event"])["job"] == "job-a"
    assert told["imported"] == []
    assert told["slow"] == []


def test_a_manifest_of_very_many_files_does_not_hold_up_the_loop(storage: Storage, out: str) -> None:
    head = publish(storage, out).model_dump_json(exclude={"files"})
    files = ((f"part-{number:07d}-a-b.parquet", 2, 1000) for number in range(300_000))
    storage.write_bytes(f"{out}/_SUCCESS", with_files(head, files))
    told = probe("watcher", out)
    assert (told["event"]["files"], told["slow"]) == (300_000, [])


def test_a_sensor_waits_on_while_its_connection_cannot_be_read(
    out: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LAB", '{"conn_type": "gristmill"}')

    async def wait() -> Any:
        trigger = SentinelSensorTrigger(location=out, gristmill_conn_id="lab", poke_interval=0.1)
        with capture_logs() as lines:
            waiting = asyncio.create_task(anext(trigger.run()))
            while not any("no _SUCCESS yet" in line["event"] for line in lines):  # noqa: ASYNC110 - a log, no event
                await asyncio.sleep(0.05)
        monkeypatch.delenv("AIRFLOW_CONN_LAB")
        await asyncio.sleep(0.5)
        publish(Storage(settings), out)
        return (await waiting).payload

    assert asyncio.run(wait())["summary"]["location"] == out


def test_a_connection_that_is_not_there_fails_one_try_and_no_more(out: str, settings: Settings) -> None:
    trigger = SentinelSensorTrigger(location=out, gristmill_conn_id="lab")
    with pytest.raises(SpecError, match="connection 'lab' is not defined"):
        asyncio.run(anext(trigger.run()))
