"""Looks at a location's `_SUCCESS` from an event loop, and the stream of them that watchers share."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from airflow_gristmill.hook import GristmillHook

if TYPE_CHECKING:
    from gristmill.outputs.sighting import Sighting
    from gristmill.settings import Settings

__all__ = ["SHORTEST_PAUSE", "Look", "SentinelLooks", "look"]

SHORTEST_PAUSE = 0.1
"""Seconds between two looks at least, whatever a sensor asks for: the triggerer serves others too."""


async def look(
    settings: "Settings", location: str, *, before: "Sighting | None" = None, forgiving: bool = False
) -> "Sighting":
    """What `gristmill.outputs.sighting.sight` sees, without holding up the event loop.

    Args:
        settings: give stages and credentials.
        location: a stage, path or URL.
        before: what was seen last.
        forgiving: any failure is the sighting's trouble, and none is raised.
    """
    return await asyncio.to_thread(_look, settings, location, before, forgiving)


def _look(settings: "Settings", location: str, before: "Sighting | None", forgiving: bool) -> "Sighting":  # noqa: FBT001 - private
    from gristmill.outputs.sighting import sight
    from gristmill.storage.storage import Storage

    try:
        return sight(Storage(settings), location, before=before)
    except Exception as error:
        if not forgiving:
            raise
        return _trouble(location, error)


def _trouble(location: str, error: Exception) -> "Sighting":
    from gristmill.outputs.sighting import Sighting

    return Sighting(location, trouble=f"{type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class Look:
    """One look, as all watchers that share it get it.

    Attributes:
        sighting: what was seen.
        to_remember: the watchers' notes of what they fired: a store, a key, an identity.
    """

    sighting: "Sighting"
    to_remember: list[tuple[Any, str, str | None]] = field(default_factory=list)

    async def remember(self) -> None:
        """Store the notes."""
        for store, key, identity in self.to_remember:
            await store.aset(key, identity)


class SentinelLooks(SharedStreamProducer):
    """Looks at a location for ever, on behalf of all watchers of it.

    A look that fails is a look that saw trouble: Airflow starts a watcher that ends again at once, and for ever.

    Args:
        location: a stage, path or URL.
        gristmill_conn_id: the connection that gives stages and credentials; read again after trouble.
        poke_interval: seconds between looks.
    """

    def __init__(self, location: str, gristmill_conn_id: str, poke_interval: float) -> None:
        self._location = location
        self._gristmill_conn_id = gristmill_conn_id
        self._poke_interval = poke_interval

    async def open_stream(self) -> AsyncGenerator[tuple[Look, Look], None]:
        """Each look, twice: for the watchers, and for `advance`."""
        hook = GristmillHook(self._gristmill_conn_id)
        seen: Sighting | None = None
        while True:
            try:
                settings = await hook.asettings()
            except Exception as error:  # noqa: BLE001 - told by the watchers, as the reason why they wait
                seen = await asyncio.to_thread(_trouble, self._location, error)
            else:
                seen = await look(settings, self._location, before=seen, forgiving=True)
            if seen.trouble is not None:
                hook = GristmillHook(self._gristmill_conn_id)
            one = Look(seen)
            yield one, one
            await asyncio.sleep(max(self._poke_interval, SHORTEST_PAUSE))

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Remember what was fired: Airflow has stored those events now."""
        for item in batch:
            if item.outcome.is_clean:
                await item.broker_payload.remember()
