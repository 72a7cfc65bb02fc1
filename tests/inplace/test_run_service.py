"""A service of ours as the endpoint of a model in place."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

import gristmill
import gristmill.sql
from gristmill.settings import Settings

CHAT = {"endpoint": "chat"}


@pytest.fixture
def start(settings: Settings) -> Iterator[Callable[[], object]]:
    """Starts a service by the name of `chat`, anew each time."""

    def started() -> object:
        gristmill.drop_service("chat", missing_ok=True, settings=settings)
        return gristmill.create_service("chat", "echo:chat", pool="local", settings=settings)

    yield started
    gristmill.drop_service("chat", missing_ok=True, settings=settings)


def test_a_service_is_an_endpoint_by_its_name(start: Callable[[], object], settings: Settings) -> None:
    for _ in range(2):  # the second has another key, and mostly another port: nothing is left of the first
        start()
        found = gristmill.run("openai:echo", [{"prompt": "hey"}], inference_engine_options=CHAT, settings=settings)
        assert found[0]["choices"][0]["message"]["content"] == "hey"
    with contextlib.closing(gristmill.sql.connect(settings=settings, models=())) as con:
        gristmill.sql.register_model(con, "say", "openai:echo", inference_engine_options=CHAT, settings=settings)
        assert con.sql("SELECT say('hey').choices[1].message.content").fetchall() == [("hey",)]


def test_what_is_no_service_is_refused(settings: Settings) -> None:
    with pytest.raises(gristmill.errors.SpecError, match="there is no endpoint 'nobody'"):
        gristmill.run(
            "openai:m", [{"prompt": "hey"}], inference_engine_options={"endpoint": "nobody"}, settings=settings
        )
