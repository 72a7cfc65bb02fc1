"""SQL that asks a service of the tests' own over real HTTP."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest
from tests.engines.openai.server import KEY, Service

import gristmill.sql
from gristmill.settings import Settings

__all__ = ["PNG", "WAV", "Asked", "asked", "asked_service"]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(100)


@dataclass
class Asked:
    """A connection that knows the service as the endpoint `lab`.

    Attributes:
        con: the connection.
        service: answers with what it is told, in capitals.
        settings: those of the connection; the stage `my_stage` holds `cat.png` and `talk.wav`.
    """

    con: Any
    service: Service
    settings: Settings

    def rows(self, sql: str, con: Any = None) -> list[Any]:
        """The rows, or the values where there is one column."""
        found = (con or self.con).execute(sql).fetchall()
        return [row[0] if len(row) == 1 else row for row in found]

    def one(self, sql: str, con: Any = None) -> Any:
        """The one value."""
        (value,) = self.rows(sql, con)
        return value

    def refused(self, sql: str, con: Any = None) -> str:
        """What the query's error says."""
        with pytest.raises(duckdb.Error) as caught:
            self.rows(sql, con)
        return str(caught.value)

    def connect(self, database: Any = ":memory:", **endpoint: Any) -> Any:
        """Another connection, with other settings of the endpoint."""
        return gristmill.sql.connect(database, settings=_settings(self.settings, self.service, **endpoint), models=())

    def hold(self, many: int) -> None:
        """Keep answers back until so many requests are in at once; for half a minute at most."""
        self.service.most = 0

        async def held(_: Any) -> None:
            for _ in range(3_000):
                if self.service.most >= many:
                    return
                await asyncio.sleep(0.01)

        self.service.script = held

    @property
    def body(self) -> dict[str, Any]:
        """The last request."""
        return self.service.calls[-1].body

    @property
    def content(self) -> Any:
        """What it said."""
        return self.body["messages"][-1]["content"]


def _settings(settings: Settings, service: Service, **endpoint: Any) -> Settings:
    given = {"base_url": service.base_url, "api_key": KEY, "backoff": 0.01, "attempts": 2, **endpoint}
    return settings.model_copy(update={"endpoints": Settings.load(endpoints={"lab": given}).endpoints})


@pytest.fixture(scope="session")
def asked_service() -> Iterator[Service]:
    """The service, once for all tests."""
    service = Service(key=KEY)
    try:
        yield service
    finally:
        service.close()


@pytest.fixture
def asked(asked_service: Service, settings: Settings, tmp_path: Any) -> Iterator[Asked]:
    """A connection in memory, and the service as it was made."""
    stage = tmp_path / "stage"
    stage.mkdir()
    stage.joinpath("cat.png").write_bytes(PNG)
    stage.joinpath("talk.wav").write_bytes(WAV)
    stage.joinpath("clip.gif").write_bytes(b"GIF89a" + bytes(100))
    stage.joinpath("clip.webm").write_bytes(b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm" + bytes(100))
    stage.joinpath("note.png").write_bytes(b"no picture at all, but a note")
    service = asked_service
    for _ in range(1_000):  # requests that an earlier query has left
        if service._now == 0:
            break
        time.sleep(0.01)
    service.script, service.latency, service.most = None, 0.0, 0
    service.calls.clear()
    mine = _settings(settings.model_copy(update={"stages": {"my_stage": str(stage)}}), service)
    with contextlib.closing(gristmill.sql.connect(settings=mine, models=())) as con:
        yield Asked(con, service, mine)
