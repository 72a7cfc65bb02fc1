"""`gristmill serve` and `gristmill services`, as their users have them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli
from tests.processes import lives

import gristmill
from gristmill.settings import Settings


@pytest.fixture
def services(cli: Cli) -> Iterator[Cli]:
    """The command line; the services of its home are gone with the test."""
    yield cli
    for one in _listed(cli):
        gristmill.drop_service(one["name"], missing_ok=True, settings=_settings(cli))


def _settings(cli: Cli) -> Settings:
    return Settings(home=cli.env["GRISTMILL_HOME"])


def _listed(cli: Cli) -> list[dict[str, Any]]:
    return gristmill.list_services(settings=_settings(cli)).collect()


def _first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_service_in_the_foreground_shows_its_log_and_ends_with_its_command(
    services: Cli, number: signal.Signals
) -> None:
    process = services.start("serve", "echo:chat", "--name", "Chat", "--pool", "local")
    assert _first_line(process).split() == ["service", "chat"]  # once it answers
    (one,) = _listed(services)
    assert (one["name"], one["status"], one["model"]) == ("chat", "RUNNING", "echo:chat")
    os.killpg(process.pid, number)  # as from a terminal
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "keeper: answers after" in err
    assert "Interrupted; the service 'chat' has ended." in err
    assert _listed(services) == []


def test_a_service_in_the_foreground_that_dies_ends_the_command(services: Cli) -> None:
    process = services.start("serve", "echo:chat", "--name", "chat", "--pool", "local")
    _first_line(process)
    service = gristmill.get_service("chat", settings=_settings(services))
    os.kill(service.facts()["processes"][1], signal.SIGKILL)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "service 'chat': its server" in err
    assert "FAILED" in services("services", "list").out


def test_a_service_that_is_detached_is_found_shown_and_dropped(services: Cli, tmp_path: Path) -> None:
    started = services("serve", "echo:chat", "--name", "chat", "--pool", "local", "--detach", "--json")
    assert started.code == 0, started.err
    assert started.json["status"] == "RUNNING"
    assert "api_key" not in started.json
    shown, with_key, logs, attached, other, dropped, again, gone, listed = services.each(
        ["services", "show", "CHAT"],
        ["services", "show", "chat", "--key", "--json"],
        ["services", "logs", "chat", "-n", "1"],
        ["serve", "echo:chat", "--name", "chat", "--pool", "local", "--detach", "--json"],
        ["serve", "echo:chat", "--name", "chat", "--pool", "local", "--detach", "--served-model-name", "x"],
        ["services", "drop", "chat"],
        ["services", "drop", "chat", "--missing-ok"],
        ["services", "show", "chat"],
        ["services", "list"],
    )
    assert started.json["base_url"] in shown.out
    assert "gm-" not in shown.out
    assert with_key.json["api_key"].startswith("gm-")
    assert "keeper: answers after" in logs.out
    assert attached.json["base_url"] == started.json["base_url"]
    assert (other.code, "with another served_model" in other.err) == (1, True)
    assert (dropped.code, dropped.out) == (0, "chat  dropped\n")
    assert again.code == 0
    assert (gone.code, "there is no service 'chat'" in gone.err) == (2, True)
    assert "There are no services yet" in listed.err
    assert not any(map(lives, started.json["processes"]))


def test_what_cannot_be_served_is_said_on_one_line(cli: Cli) -> None:
    name, model, words = cli.each(
        ["serve", "echo:chat", "--name", "a b"],
        ["serve", "python:models:Doubler", "--name", "a"],
        ["serve", "echo:chat", "--name", "a", "--engine-arg=--port=1"],
    )
    assert (name.code, name.err.count("\n")) == (2, 1)
    assert (model.code, "a service answers chats" in model.err) == (2, True)
    assert (words.code, "--port belongs to the service" in words.err) == (2, True)
