"""What waits for a `_SUCCESS` in the triggerer: for a sensor, and for assets that are watched.

Looks are made in threads. So are the imports that they need: this module imports little.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_gristmill.failures import lacks_connection
from airflow_gristmill.hook import GristmillHook
from airflow_gristmill.sentinel_looks import SHORTEST_PAUSE, Look, SentinelLooks, look
from gristmill.errors import SpecError
from gristmill.outputs.condition import SentinelCondition
from gristmill.outputs.watch import SentinelWatch

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import SharedStreamProducer

    from gristmill.settings import Settings

__all__ = ["SentinelSensorTrigger", "SentinelTrigger"]


class SentinelSensorTrigger(BaseTrigger):
    """Waits for a sensor, which `SentinelSensor` describes with its arguments.

    Nothing is checked before it runs: started by the scheduler, it is made with templates, and rendered later.

    Args:
        location: a stage, path or URL.
        job_id: as the sensor's.
        newer_than: as the sensor's, as ISO text.
        min_rows: as the sensor's.
        max_error_rate: as the sensor's.
        gristmill_conn_id: the connection.
        poke_interval: seconds between looks.
        ends_task: end the task here, without a result; else it resumes on a worker.
        silent_fail: go on when a look fails.
    """

    def __init__(
        self,
        *,
        location: str,
        job_id: str | None = None,
        newer_than: str | None = None,
        min_rows: int | str | None = None,
        max_error_rate: float | str | None = None,
        gristmill_conn_id: str = GristmillHook.default_conn_name,
        poke_interval: float = 60.0,
        ends_task: bool = False,
        silent_fail: bool = False,
    ) -> None:
        super().__init__()
        self.location = location
        self.job_id = job_id
        self.newer_than = newer_than
        self.min_rows = min_rows
        self.max_error_rate = max_error_rate
        self.gristmill_conn_id = gristmill_conn_id
        self.poke_interval = poke_interval
        self.ends_task = ends_task
        self.silent_fail = silent_fail
        self._settings: Settings | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class, and the arguments that make another one."""
        return f"{__name__}.{type(self).__qualname__}", {
            "location": self.location,
            **self._conditions(),
            "gristmill_conn_id": self.gristmill_conn_id,
            "poke_interval": self.poke_interval,
            "ends_task": self.ends_task,
            "silent_fail": self.silent_fail,
        }

    async def run(self) -> AsyncGenerator[TriggerEvent, None]:
        """Look until the condition is met, then end the task or hand it `{"summary": ...}`.

        What cannot be right is handed to a worker as `{"refused": ...}`, which fails the task for good.
        """
        try:
            watch = SentinelWatch(SentinelCondition(**self._conditions()))
            while not watch.is_met:
                if watch.sighting is not None:
                    await asyncio.sleep(max(self.poke_interval, SHORTEST_PAUSE))
                watch = await self._after(watch)
        except SpecError as error:
            if lacks_connection(error):
                raise  # a failure of this try alone
            yield TriggerEvent({"refused": f"{self.location!r}: {error}"})
            return
        assert watch.sighting is not None
        if self.ends_task:
            yield TaskSuccessEvent()
        else:
            yield TriggerEvent({"summary": watch.sighting.summary()})

    async def _after(self, watch: SentinelWatch) -> SentinelWatch:
        settings = await self._newest_settings()
        seen = await look(settings, self.location, before=watch.sighting, forgiving=self.silent_fail)
        watch = watch.after(seen, now=time.monotonic())
        if watch.due is not None:
            self.log.info(watch.due)
        return watch

    async def _newest_settings(self) -> "Settings":
        """Those in force, or, while the connection cannot be read, those that were read last."""
        try:
            self._settings = await GristmillHook(self.gristmill_conn_id).asettings()
        except SpecError as error:
            if self._settings is None or not lacks_connection(error):
                raise
        return self._settings

    def _conditions(self) -> dict[str, Any]:
        return {
            "job_id": self.job_id,
            "newer_than": self.newer_than,
            "min_rows": self.min_rows,
            "max_error_rate": self.max_error_rate,
        }


class SentinelTrigger(BaseEventTrigger):
    """Fires for each new `_SUCCESS` at a location, once; for `AssetWatcher`.

    The sentinel stays where it is. Which one was seen last is kept with the asset, so a restart of the triggerer fires
    nothing again; should the triggerer die in the second in which an event is stored, it is fired twice rather than
    not at all. A later publication at the location is a new sentinel. One that is there when the watcher first starts
    is new, unless `newer_than` excludes it. A storage that cannot be reached is waited for, and logged.

    The event's payload is the manifest's summary, or `{"location": ...}` for another tool's sentinel; a DAG finds it in
    `triggering_asset_events`, as `extra["payload"]`.

    Args:
        location: a stage, path or URL. No template: a watcher belongs to no run.
        job_id: only what this job wrote.
        newer_than: only what was finished after this moment: a datetime or ISO text, with a time zone.
        min_rows: only an output of at least so many rows.
        max_error_rate: only an output of which at most this share of rows failed, 0 to 1.
        gristmill_conn_id: the connection that gives stages and credentials.
        poke_interval: seconds between looks. Watchers of one location and interval share them.

    Raises:
        SpecError: a value is wrong.

    Example:
        >>> from airflow.sdk import Asset, AssetWatcher
        >>> trigger = SentinelTrigger("s3://lake/scores", max_error_rate=0.01)
        >>> scores = Asset("scores", watchers=[AssetWatcher(name="published", trigger=trigger)])
    """

    def __init__(
        self,
        location: str,
        *,
        job_id: str | None = None,
        newer_than: Any = None,
        min_rows: int | None = None,
        max_error_rate: float | None = None,
        gristmill_conn_id: str = GristmillHook.default_conn_name,
        poke_interval: float = 60.0,
    ) -> None:
        super().__init__()
        if "{{" in location or "{%" in location:
            raise SpecError(
                f"SentinelTrigger.location: a watcher belongs to no run, so templates are not rendered (given:"
                f" {location!r}); watch a location of a fixed name, or wait in a task with SentinelSensor"
            )
        if not poke_interval > 0:
            raise SpecError(f"SentinelTrigger.poke_interval: give seconds above 0 (given: {poke_interval!r})")
        self.location = location
        self.condition = SentinelCondition(
            job_id=job_id, newer_than=newer_than, min_rows=min_rows, max_error_rate=max_error_rate
        )
        self.gristmill_conn_id = gristmill_conn_id
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class, and the arguments that make another one."""
        return f"{__name__}.{type(self).__qualname__}", {
            "location": self.location,
            **self.condition.model_dump(mode="json", exclude_none=True),
            "gristmill_conn_id": self.gristmill_conn_id,
            "poke_interval": self.poke_interval,
        }

    def shared_stream_key(self) -> Hashable:
        """Watchers of one location share their looks, whatever their conditions."""
        return ("gristmill.sentinel", self.location, self.gristmill_conn_id, self.poke_interval)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> "SharedStreamProducer":
        """What looks for all watchers that share a key, and remembers what they fired once that is stored."""
        return SentinelLooks(kwargs["location"], kwargs["gristmill_conn_id"], kwargs["poke_interval"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Look]) -> AsyncGenerator[TriggerEvent, None]:
        """An event for each look that saw a new sentinel which meets the condition."""
        key = f"gristmill.sentinel.{hashlib.sha256(self.location.encode()).hexdigest()[:32]}"
        stores = _each(self.asset_state_store)
        known = {await store.aget(key) for store in stores}
        watch = SentinelWatch(self.condition)
        async for one in shared_stream:
            watch = watch.after(one.sighting, now=time.monotonic())
            if watch.due is not None:
                self.log.info(watch.due)
            if watch.is_news(known):
                known = {one.sighting.identity}
                one.to_remember.extend((store, key, one.sighting.identity) for store in stores)
                yield TriggerEvent(one.sighting.summary())

    async def run(self) -> AsyncGenerator[TriggerEvent, None]:
        """The same where nothing shares: what was fired is remembered when the next event is asked for."""
        looks = SentinelLooks(self.location, self.gristmill_conn_id, self.poke_interval)

        async def stream() -> AsyncGenerator[Look, None]:
            async with aclosing(looks.open_stream()) as opened:
                async for one, _ in opened:
                    yield one
                    await one.remember()

        async with aclosing(self.filter_shared_stream(stream())) as events:
            async for event in events:
                yield event


def _each(store: Any) -> list[Any]:
    """The stores of all assets that this trigger watches for: equal triggers are one, and Airflow asks for which."""
    if store is None:
        return []
    parts = [*getattr(store, "_by_name", {}).values(), *getattr(store, "_by_uri", {}).values()]
    return parts or [store]
