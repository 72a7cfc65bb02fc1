"""Sentinels before a real scheduler and triggerer: sensors that need no worker, and DAGs that run on publication."""

import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from tests.airflow.conftest import DAGS
from tests.airflow.rest import Rest
from tests.airflow.sentinels import publish
from tests.airflow.standalone import Standalone

from gristmill.outputs.manifest import read_manifest
from gristmill.storage.storage import Storage

_CONSUMER = """
    from airflow.sdk import Asset, AssetWatcher, dag, task
    from airflow_gristmill import SentinelTrigger

    trigger = SentinelTrigger({location!r}, min_rows=2, poke_interval=0.5)
    scores = Asset("sentinel_live_watched", watchers=[AssetWatcher(name="published", trigger=trigger)])

    @dag(schedule=[scores])
    def sentinel_live_consumer():
        @task
        def consume(triggering_asset_events=None):
            return [event.extra["payload"] for event in triggering_asset_events[scores]]

        consume()

    sentinel_live_consumer()
"""


@pytest.fixture(scope="module")
def rest(airflow: Standalone) -> Rest:
    """The API of the server, which has the DAGs of `sentinel_live.py`."""
    airflow.add_dags(DAGS / "sentinel_live.py")
    return airflow.rest


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def produce(rest: Rest, location: str, *, rows: int) -> str:
    """A publication at the location; the id of its job."""
    run_id = rest.trigger("sentinel_live_producer", conf={"location": location, "rows": rows})
    rest.wait_for_run("sentinel_live_producer", run_id)
    return str(rest.xcom("sentinel_live_producer", run_id, "publish"))


def consumed(rest: Rest, count: int) -> list[dict[str, Any]]:
    """The payloads that the consumer got, in the order of its runs, once there are so many runs."""
    deadline = time.monotonic() + 120
    while len(runs := rest.runs("sentinel_live_consumer", order_by="run_after")) < count:
        assert time.monotonic() < deadline, f"the consumer has run {len(runs)} times, not {count}"
        time.sleep(0.5)
    for run in runs:
        rest.wait_for_run("sentinel_live_consumer", run["dag_run_id"])
    told = [rest.xcom("sentinel_live_consumer", run["dag_run_id"], "consume") for run in runs]
    return [payload for payloads in told for payload in payloads]


def test_a_dag_runs_once_for_each_publication_also_over_a_restart_of_the_triggerer(
    airflow: Standalone, rest: Rest, storage: Storage, out: str
) -> None:
    airflow.add_dags(textwrap.dedent(_CONSUMER.format(location=out)))
    jobs = [produce(rest, out, rows=2)]
    first = read_manifest(storage, out)
    assert consumed(rest, 1) == [first.summary(out)]
    airflow.restart("triggerer")
    produce(rest, out, rows=1)  # too few rows
    jobs.append(produce(rest, out, rows=3))
    consumed(rest, 2)
    jobs.append(produce(rest, out, rows=4))
    assert [(one["job"], one["rows"]) for one in consumed(rest, 3)] == list(zip(jobs, (2, 3, 4), strict=True))
    assert len(rest.runs("sentinel_live_consumer")) == 3
    assert len(rest.asset_events(name_pattern="sentinel_live_watched")) == 3


def test_a_sensor_waits_in_the_triggerer_and_one_that_returns_nothing_never_has_a_worker(
    rest: Rest, storage: Storage, out: str
) -> None:
    run_id = rest.trigger("sentinel_live_wait", conf={"location": out, "rows": 2})
    for task_id in ("wait", "wait_only"):
        task = rest.wait_for_task("sentinel_live_wait", run_id, task_id, "deferred")
        assert task["pid"] is None
    manifest = publish(storage, out)
    rest.wait_for_run("sentinel_live_wait", run_id)
    task = rest.task_instance("sentinel_live_wait", run_id, "wait_only")
    assert (task["state"], task["try_number"], task["pid"]) == ("success", 1, None)
    assert rest.xcom("sentinel_live_wait", run_id, "wait") == manifest.summary(out)
    assert rest.xcom("sentinel_live_wait", run_id, "job_of") == manifest.job


def test_what_cannot_be_right_fails_without_a_retry(rest: Rest, storage: Storage, out: str) -> None:
    run_id = rest.trigger("sentinel_live_wait", conf={"location": out, "rows": "many"})
    rest.wait_for_task("sentinel_live_wait", run_id, "wait", "failed")
    publish(storage, out)
    rest.wait_for_run("sentinel_live_wait", run_id, expect="failed")
    assert rest.task_instance("sentinel_live_wait", run_id, "wait")["try_number"] == 1
    assert "SentinelCondition.min_rows" in rest.log("sentinel_live_wait", run_id, "wait")


def test_a_sensor_with_outlets_registers_its_event(rest: Rest, storage: Storage, out: str) -> None:
    run_id = rest.trigger("sentinel_live_outlets", conf={"location": out})
    rest.wait_for_task("sentinel_live_outlets", run_id, "wait", "deferred")
    publish(storage, out)
    rest.wait_for_run("sentinel_live_outlets", run_id)
    events = rest.asset_events(source_dag_id="sentinel_live_outlets", source_run_id=run_id)
    assert [event["source_task_id"] for event in events] == ["wait"]
    assert rest.xcom("sentinel_live_outlets", run_id, "wait")["location"] == out


def test_sensors_that_wait_too_long_in_the_triggerer_fail_or_are_skipped(rest: Rest, out: str) -> None:
    run_id = rest.trigger("sentinel_live_timeout", conf={"location": out})
    rest.wait_for_run("sentinel_live_timeout", run_id, expect="failed")
    ended = {
        one["task_id"]: (one["state"], one["try_number"])
        for one in rest.task_instances("sentinel_live_timeout", run_id)
    }
    assert ended == {"fails": ("failed", 1), "skips": ("skipped", 1)}
