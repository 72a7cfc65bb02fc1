"""Services in tests: those that a test starts are dropped with it."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gristmill
from gristmill.services.keys import local_folder
from gristmill.settings import Settings

Serve = Callable[..., gristmill.Service]
Keys = Callable[[], list[Path]]


@pytest.fixture
def serve(settings: Settings) -> Iterator[Serve]:
    """Creates a service of `echo:chat`: `serve("chat", block=False, ...)`, as `create_service`."""

    def create(name: str = "chat", model: Any = "echo:chat", **options: Any) -> gristmill.Service:
        return gristmill.create_service(name, model, **{"pool": "local", "settings": settings, **options})

    yield create
    for one in gristmill.list_services(settings=settings).collect():
        gristmill.drop_service(one["name"], missing_ok=True, settings=settings)


@pytest.fixture
def keys() -> Keys:
    """The files of keys that the test has brought about: services of other tests may run beside it."""

    def found() -> set[Path]:
        return set(local_folder().glob("keys/*"))

    before = found()
    return lambda: sorted(found() - before)


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


def runs(pid: int) -> bool:
    """Whether a process of this machine runs; one that has ended and was not collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
