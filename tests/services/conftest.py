"""Services in tests: those that a test starts are dropped with it."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gristmill
from gristmill.settings import Settings

Serve = Callable[..., gristmill.Service]
Keys = Callable[[], list[Path]]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for what this machine keeps of services: those of other tests may run beside it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def serve(settings: Settings, state: Path) -> Iterator[Serve]:
    """Creates a service of `echo:chat`: `serve("chat", block=False, ...)`, as `create_service`."""

    def create(name: str = "chat", model: Any = "echo:chat", **options: Any) -> gristmill.Service:
        return gristmill.create_service(name, model, **{"pool": "local", "settings": settings, **options})

    yield create
    for one in gristmill.list_services(settings=settings).collect():
        gristmill.drop_service(one["name"], missing_ok=True, settings=settings)


@pytest.fixture
def keys(state: Path) -> Keys:
    """The files of keys that the test has brought about."""
    return lambda: sorted(state.glob("gristmill/services/keys/*"))


def ask(base_url: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base_url + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
            return response.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text else None


def says(service: gristmill.Service, text: str) -> str:
    """What a service answers to a user."""
    body = {"model": service.served_model, "messages": [{"role": "user", "content": text}]}
    status, answer = ask(service.base_url, "/chat/completions", body, key=service.api_key)
    assert status == 200, answer
    return str(answer["choices"][0]["message"]["content"])
