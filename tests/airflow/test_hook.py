"""Settings from a connection, or from the surroundings; secrets in no log; a test that tries."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

import gristmill
from airflow_gristmill.hook import GristmillHook
from gristmill.errors import SpecError
from gristmill.settings import Settings

VARIABLE = "AIRFLOW_CONN_GRISTMILL_DEFAULT"
READERS: list[Callable[[GristmillHook], Settings]] = [
    GristmillHook.settings,
    lambda hook: asyncio.run(hook.asettings()),
]

# Logs as a task's process does, with everything of the settings that a line could hold.
TALKER = """
import asyncio, logging, os, sys
from airflow.sdk.log import configure_logging
from airflow_gristmill.hook import GristmillHook
configure_logging()
hook = GristmillHook()
settings = asyncio.run(hook.asettings()) if sys.argv[1] == "async" else hook.settings()
log = logging.getLogger("airflow.task")
log.warning("settings %s", settings)
log.warning("options %s", settings.storage_options)
log.warning("environments %s", [pool.runtime_env for pool in settings.pools.values()])
log.warning("revealed %s", settings.model_dump_json(context={"reveal": True}))
log.warning("revealed %s", settings.pools["cluster"].token.get_secret_value())
log.warning("the end")
"""
# Tells in which thread the module of the settings, and their file, are opened first.
WATCHER = """
import asyncio, sys, threading
from pathlib import Path
from airflow_gristmill.hook import GristmillHook
seen = set()
def note(event, arguments):
    path = Path(arguments[0]) if event == "open" and isinstance(arguments[0], str) else Path()
    name = path.name.partition(".")[0]
    if path.name == "gristmill.toml" or (name == "settings" and "gristmill" in path.parts):
        if name not in seen:
            seen.add(name)
            print(name, "in", threading.current_thread().name)
sys.addaudithook(note)
hook = GristmillHook()
assert asyncio.run(hook.asettings()).default_pool == "inline"
"""
SECRETS = {
    "storage_options": {"s3": {"key": "hush-key-0", "secret": "hush-secret-1", "endpoint_url": "http://s3.lab:9000"}},
    "storage_secrets": {"abfs": {"something": "hush-something-2"}},
    "endpoints": {"lab": {"base_url": "http://lab/v1", "api_key": "hush-api-3"}},
    "pools": {"cluster": {"runtime_env": {"env_vars": {"HF_TOKEN": "hush-hf-4"}}}},
}


@pytest.fixture(autouse=True)
def _surroundings(settings: Settings) -> None:
    """None of this machine's."""


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the default connection, as JSON in the environment."""

    def setting(extra: Any = None, **fields: Any) -> None:
        monkeypatch.setenv(VARIABLE, json.dumps({"conn_type": "gristmill", "extra": extra or {}, **fields}))

    return setting


@pytest.mark.parametrize("read", READERS)
def test_settings_come_from_a_connection_as_json(read: Callable[..., Settings], connect: Callable[..., None]):
    connect(
        {"home": "s3://ops/home", "stages": {"images": "s3://lake/images"}}, host="http://head:8265", password="t0k"
    )
    found = read(GristmillHook())
    assert (found.home, found.stages) == ("s3://ops/home", {"images": "s3://lake/images"})
    assert found.pool(None).address == "http://head:8265"


@pytest.mark.parametrize("read", READERS)
def test_settings_come_from_a_connection_as_a_uri(read: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch):
    query = {"home": "s3://ops/home", "stages": '{"images": "s3://lake/images"}', "allowed": "s3://raw/"}
    uri = f"gristmill://:s%40cret%2F@head.cluster:8265/https?{urllib.parse.urlencode(query)}"
    monkeypatch.setenv(VARIABLE, uri)
    found = read(GristmillHook())
    assert (found.home, found.stages, found.allowed) == (
        "s3://ops/home",
        {"images": "s3://lake/images"},
        ("s3://raw/",),
    )
    pool = found.pool(None)
    assert pool.address == "https://head.cluster:8265"
    assert pool.token is not None
    assert pool.token.get_secret_value() == "s@cret/"


def test_a_connection_means_the_same_after_airflow_has_made_a_uri_of_it(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    connect(SECRETS, host="http://head.cluster:8265", password="a:b@c/d%e+f?g#h")
    monkeypatch.setenv("AIRFLOW_CONN_AGAIN", BaseHook.get_connection("gristmill_default").get_uri())
    assert GristmillHook("again").settings() == GristmillHook().settings()


@pytest.mark.parametrize("read", READERS)
def test_what_the_connection_leaves_open_comes_from_the_surroundings(
    read: Callable[..., Settings], connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    Path("gristmill.toml").write_text('home = "/from/file"\n[stages]\nfile = "/from/file"\nboth = "/from/file"\n')
    monkeypatch.setenv("GRISTMILL_HOME", "/from/variable")
    connect({"stages": {"both": "/from/connection"}})
    found = read(GristmillHook())
    assert found.home == "/from/variable"
    assert found.stages == {"file": "/from/file", "both": "/from/connection"}


@pytest.mark.parametrize("read", READERS)
def test_without_a_default_connection_the_surroundings_are_the_settings(read: Callable[..., Settings]):
    assert read(GristmillHook()) == Settings.load()


@pytest.mark.parametrize("read", READERS)
def test_a_missing_connection_of_another_name_is_an_error(read: Callable[..., Settings]):
    with pytest.raises(SpecError, match=r"'lab' is not defined; add it with type 'gristmill'") as caught:
        read(GristmillHook("lab"))
    assert isinstance(caught.value.__cause__, AirflowNotFoundException)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "text", ['{"conn_type": "gristmill", "extra": {"home": "hunter2"', "gristmill://a:hunter2b://c"]
)
def test_a_default_connection_that_cannot_be_read_is_not_taken_for_none(
    read: Callable[..., Settings], text: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(SpecError, match=f"{VARIABLE} cannot be read; write it as JSON") as caught:
        read(GristmillHook())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("read", READERS)
def test_a_wrong_value_is_told_with_connection_field_and_way_out(
    read: Callable[..., Settings], connect: Callable[..., None]
):
    connect(
        {"resolver": {"attempts": 0}, "storage_secrets": {"s3": {"secret": "hunter2"}}, "pools": {"gpu": "hunter2"}}
    )
    with pytest.raises(
        SpecError, match=r"'gristmill_default'.*pools.gpu.*attempts: .*\(given: 0\).*correct the connection"
    ) as it:
        read(GristmillHook())
    assert "hunter2" not in str(it.value)


def test_settings_are_read_once(connect: Callable[..., None]):
    connect({"home": "/first"})
    hook = GristmillHook()
    assert hook.settings().home == "/first"
    connect({"home": "/second"})
    assert hook.get_conn() is hook.settings() is asyncio.run(hook.asettings())
    assert GristmillHook().settings().home == "/second"


def test_reading_for_a_trigger_leaves_the_event_loop_free(tmp_path: Path):
    (tmp_path / "gristmill.toml").write_text('default_pool = "inline"')
    done = subprocess.run([sys.executable, "-c", WATCHER], cwd=tmp_path, capture_output=True, text=True, check=True)
    threads = dict(line.split(" in ") for line in done.stdout.splitlines() if " in " in line)
    assert threads.keys() == {"settings", "gristmill"}
    assert "MainThread" not in threads.values()


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("source", ["connection", "surroundings"])
def test_no_log_line_holds_a_secret(way: str, source: str, tmp_path: Path):
    shown = dict(SECRETS)
    environment = {
        **os.environ,
        VARIABLE: json.dumps({"conn_type": "gristmill", "host": "head", "password": "hush-token"}),
    }
    if source == "connection":
        environment[VARIABLE] = json.dumps(
            {"conn_type": "gristmill", "host": "head", "password": "hush-token", "extra": shown}
        )
    else:
        del shown["storage_secrets"]
        environment |= {f"GRISTMILL_{name.upper()}": json.dumps(value) for name, value in shown.items()}
    done = subprocess.run(
        [sys.executable, "-c", TALKER, way], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    said = done.stdout + done.stderr
    assert "the end" in said
    assert said.count("***") >= 5
    assert "http://s3.lab:9000" in said
    assert "hush" not in said


def test_a_test_says_what_works_and_leaves_nothing_behind(tmp_path: Path, connect: Callable[..., None]):
    (tmp_path / "images").mkdir()
    connect({"home": str(tmp_path / "records"), "stages": {"images": str(tmp_path / "images")}})
    works, message = GristmillHook().test_connection()
    assert works, message
    assert "home: " in message
    assert "stages.images: " in message
    assert not [path for path in (tmp_path / "records").rglob("*") if path.is_file()]


def test_a_test_names_each_field_that_does_not_work_and_what_to_do(tmp_path: Path, connect: Callable[..., None]):
    (tmp_path / "file").write_text("")
    hidden = {"abfs": {"something": "http://hush.lab"}}
    connect(
        {"home": str(tmp_path / "file" / "home"), "stages": {"s": "nosuch://hush.lab/x"}, "storage_secrets": hidden},
        host="http://127.0.0.1:9",
        password="hush-token",
    )
    works, message = GristmillHook().test_connection()
    assert not works
    assert "home: NotADirectoryError" in message
    assert "give a home that can be written to" in message
    assert "stages.s: " in message
    assert "pools.cluster: the cluster at http://127.0.0.1:9 does not answer" in message
    assert "hush-token" not in message


def test_a_test_of_settings_that_cannot_be_says_why(connect: Callable[..., None]):
    connect({"default_pool": "nowhere"})
    works, message = GristmillHook().test_connection()
    assert not works
    assert "default_pool: " in message
    connect({"hom": "/srv"})
    works, message = GristmillHook().test_connection()
    assert (works, "'hom', which is none" in message) == (False, True)


def test_the_settings_run_jobs(tmp_path: Path, connect: Callable[..., None]):
    import pyarrow as pa

    connect({"home": str(tmp_path / "home"), "default_pool": "inline", "stages": {"out": str(tmp_path / "out")}})
    found = GristmillHook().settings()
    job = gristmill.run_batch(
        "echo:",
        pa.table({"x": [1, 2]}),
        output_spec=gristmill.OutputSpec(location="@out/today", mode="overwrite"),
        job_spec=gristmill.JobSpec(block=True),
        settings=found,
    )
    assert gristmill.read_output("@out/today", settings=found).num_rows == 2
    assert gristmill.get_job(job.id, settings=found).compute_pool == "inline"
