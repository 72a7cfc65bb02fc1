"""The sensor for sentinels: alike in every mode, and quick to refuse what cannot be right."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.executors.workloads import TaskInstance as TaskInstanceDTO
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.serialization.serialized_objects import DagSerialization
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent
from tests.airflow.in_process import load_dag, meanwhile
from tests.airflow.sentinels import FINISHED, publish
from tests.conftest import S3Server

from airflow_gristmill import SentinelSensor
from gristmill.storage.storage import Storage

MODES = ["poke", "reschedule", "deferrable", "outlets"]
WAITS: dict[str, Any] = {
    "poke": {"told": "waiting, "},
    "reschedule": {"told": "Rescheduling task"},
    "deferrable": {"told": "waiting, ", "times": 2},
    "outlets": {"told": "waiting, ", "times": 2},
}
"""What a run logs once it waits as its mode does: a deferrable one's task, and then its trigger."""


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "out")


@pytest.mark.parametrize("mode", MODES)
def test_what_is_there_is_found_at_once_and_summarised(run_dag, storage: Storage, out: str, mode: str) -> None:
    manifest = publish(storage, out)
    run = run_dag(f"sentinel_wait_{mode}", conf={"location": out})
    assert run.state == "success", run.log
    assert run.xcom("wait") == manifest.summary(out)
    assert "running trigger in line" not in run.log


@pytest.mark.parametrize("mode", MODES)
def test_what_comes_later_is_waited_for(run_dag, storage: Storage, out: str, mode: str) -> None:
    with meanwhile(lambda: publish(storage, out), **WAITS[mode]):
        run = run_dag(f"sentinel_wait_{mode}", conf={"location": out})
    assert run.state == "success", run.log
    assert run.xcom("wait")["job"] == "job-a"
    assert ("Rescheduling task" in run.log) == (mode == "reschedule")
    assert ("running trigger in line" in run.log) == (mode in ("deferrable", "outlets"))
    if mode != "reschedule":  # each look of which has a process of its own
        assert run.log.count("waiting, no _SUCCESS yet") == (1 if mode == "poke" else 2)


@pytest.mark.parametrize("mode", MODES)
def test_an_older_run_is_not_what_is_waited_for(run_dag, storage: Storage, out: str, mode: str) -> None:
    publish(storage, out)
    asked = {"location": out, "newer_than": FINISHED.isoformat(), "min_rows": "3", "max_error_rate": "0.1"}
    newer = {"job": "job-b", "finished": FINISHED + timedelta(days=1), "rows": 10}
    with meanwhile(lambda: publish(storage, out, **newer), **WAITS[mode]):
        run = run_dag(f"sentinel_wait_{mode}", conf=asked)
    assert run.state == "success", run.log
    assert run.xcom("wait")["job"] == "job-b"
    assert "waiting, of 2026-01-02T06:00:00Z, not newer than 2026-01-02T06:00:00Z" in run.log


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"max_error_rate": "2"}, "SentinelCondition.max_error_rate: Input should be less than or equal to 1"),
        ({"newer_than": "2026-13-01"}, "SentinelCondition.newer_than: is not a moment with a time zone"),
        ({"location": "@nowhere/x"}, "names the stage '@nowhere', which the settings do not have"),
    ],
)
def test_a_wrong_value_fails_the_task_without_a_retry(
    run_dag, out: str, mode: str, asked: dict[str, str], words: str
) -> None:
    run = run_dag(f"sentinel_wait_{mode}", conf={"location": out, **asked})
    assert run.task_state("wait") == "failed", run.log
    assert run.task_instances()["wait", -1].try_number == 1
    assert words in run.log
    assert "SentinelSensor 'wait': " in run.log


@pytest.mark.parametrize(("mode", "state"), [("timeout", "failed"), ("soft_fail", "skipped")])
def test_a_sensor_that_waits_too_long_ends_as_sensors_do(run_dag, out: str, mode: str, state: str) -> None:
    run = run_dag(f"sentinel_wait_{mode}", conf={"location": out})
    assert run.task_state("wait") == state, run.log
    assert run.task_instances()["wait", -1].try_number == 1


@pytest.mark.parametrize("data", [b"", b"done", b"\x00\xff" * 2_000_000], ids=["empty", "words", "binary"])
def test_another_tools_sentinel_counts_and_is_no_manifest(run_dag, storage: Storage, out: str, data: bytes) -> None:
    storage.write_bytes(f"{out}/_SUCCESS", data)
    run = run_dag("sentinel_wait_poke", conf={"location": out})
    assert run.state == "success", run.log
    assert run.xcom("wait") == {"location": out}


def test_each_mapped_sensor_waits_for_its_own_and_a_wrong_one_is_not_retried(
    run_dag, storage: Storage, out: str
) -> None:
    publish(storage, f"{out}/a")
    run = run_dag("sentinel_wait_mapped", conf={"location": out})
    assert run.task_state("wait", map_index=0) == "success", run.log
    assert run.xcom("wait", map_index=0)["location"] == f"{out}/a"
    assert run.task_state("wait", map_index=1) == "failed"
    assert run.task_instances()["wait", 1].try_number == 1
    assert "max_error_rate: Input should be less than or equal to 1 (given: 2)" in run.log


def test_the_data_interval_is_a_condition(run_dag, storage: Storage, out: str) -> None:
    publish(storage, f"{out}/2026-01-02")
    run = run_dag("sentinel_wait_interval", conf={"location": out}, logical_date=datetime(2026, 1, 2, tzinfo=UTC))
    assert run.state == "success", run.log


def test_a_connection_gives_stages_and_credentials(run_dag, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {
        "conn_type": "gristmill",
        "extra": {"stages": {"lake": s3.root}, "storage_options": s3.settings.storage_options},
    }
    monkeypatch.setenv("AIRFLOW_CONN_GRISTMILL_DEFAULT", json.dumps(connection))
    with meanwhile(lambda: publish(Storage(s3.settings), f"{s3.root}/day"), **WAITS["deferrable"]):
        run = run_dag("sentinel_wait_deferrable", conf={"location": "@lake/day"})
    assert run.state == "success", run.log
    assert run.xcom("wait")["location"] == f"{s3.root}/day"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_error_rate": 2}, r"'wait': SentinelCondition.max_error_rate: .* \(given: 2\)"),
        ({"max_error_rate": "20%"}, r"max_error_rate: .* \(given: '20%'\)"),
        ({"min_rows": -1}, r"min_rows: .* \(given: -1\)"),
        ({"newer_than": "yesterday"}, r"newer_than: .* \(given: 'yesterday'\)"),
        ({"newer_than": datetime(2026, 1, 1)}, "newer_than: is not a moment with a time zone"),  # noqa: DTZ001
    ],
)
def test_a_wrong_literal_is_refused_while_the_dag_is_parsed(given: dict[str, Any], words: str) -> None:
    with pytest.raises(AirflowFailException, match=words):
        SentinelSensor(task_id="wait", location="/out", **given)


# -- in the triggerer, without a worker


def sensor(**options: Any) -> SentinelSensor:
    """A deferrable sensor in a DAG."""
    with DAG("sentinels", schedule=None, **options.pop("dag", {})):
        return SentinelSensor(task_id="wait", **{"location": "/out", "deferrable": True, **options})


def test_a_deferrable_sensor_starts_in_the_triggerer() -> None:
    assert sensor().start_from_trigger
    assert sensor(location="/out/{{ ds }}", newer_than="{{ data_interval_end }}", min_rows=5).start_from_trigger
    assert sensor(location=Path("/out"), newer_than=FINISHED).start_from_trigger
    assert not sensor(deferrable=False).start_from_trigger


@pytest.mark.parametrize(
    "options",
    [
        {"outlets": [Asset("scores")]},
        {"pre_execute": print},
        {"post_execute": print},
        {"on_execute_callback": print},
        {"location": "/out/{{ day() }}", "dag": {"user_defined_macros": {"day": str}}},
        {"location": "/out/{{ ds | day }}", "dag": {"user_defined_filters": {"day": str}}},
    ],
    ids=["outlets", "pre_execute", "post_execute", "on_execute_callback", "macros", "filters"],
)
def test_a_sensor_that_needs_a_worker_starts_there(options: dict[str, Any]) -> None:
    assert not sensor(**options).start_from_trigger


def test_a_sensor_on_values_of_other_tasks_starts_on_a_worker() -> None:
    with DAG("sentinels", schedule=None):
        first = SentinelSensor(task_id="first", location="/out", deferrable=True)
        second = SentinelSensor(task_id="second", location="/out", job_id=first.output["job"], deferrable=True)
    assert first.start_from_trigger
    assert not second.start_from_trigger


def test_outlets_that_are_added_later_bring_the_sensor_to_a_worker() -> None:
    task = sensor()
    task > Asset("scores")  # noqa: B015 - how Airflow writes it
    assert task.outlets
    assert not task.start_from_trigger


def as_the_triggerer_makes_it(dag: DAG, *, conf: dict[str, Any]) -> BaseTrigger:
    """The trigger of the task `wait`, through all that stands between a DAG's file and the triggerer."""
    encoded = DagSerialization.to_dict(dag)
    task = DagSerialization.from_dict(encoded).get_task("wait")
    assert task.start_from_trigger
    row = Trigger(task.start_trigger_args.trigger_cls, task.start_trigger_args.trigger_kwargs)
    kwargs = {name: smart_decode_trigger_kwargs(value) for name, value in row.kwargs.items()}
    trigger = TriggerRunner().get_trigger_by_classpath(row.classpath)(**kwargs)
    run: dict[str, Any] = {"dag_id": dag.dag_id, "run_id": "r", "conf": conf, "run_type": "scheduled"}
    run |= {"state": "running", "consumed_asset_events": [], "partition_key": None, "end_date": None}
    run |= dict.fromkeys(("logical_date", "data_interval_start", "run_after", "start_date"), "2026-01-01T00:00:00Z")
    run |= {"data_interval_end": "2026-01-02T00:00:00Z"}
    ti = TaskInstanceDTO(
        **dict.fromkeys(("id", "dag_version_id"), "01900000-0000-7000-8000-000000000000"),
        **dict.fromkeys(("try_number", "pool_slots", "priority_weight"), 1),
        task_id="wait",
        dag_id=dag.dag_id,
        run_id="r",
        map_index=-1,
        queue="default",
    )
    runtime = TriggerRunner.create_runtime_ti(ti, encoded, run)
    context = runtime.get_template_context()
    trigger.task_instance = runtime
    trigger.render_template_fields(context)
    return trigger


async def first(trigger: BaseTrigger) -> TriggerEvent:
    return await anext(trigger.run())


def test_started_in_the_triggerer_it_renders_there_and_resumes_on_a_worker(
    airflow_db: None, storage: Storage, out: str
) -> None:
    manifest = publish(storage, f"{out}/2026-01-01")
    trigger = as_the_triggerer_makes_it(load_dag("sentinel_wait_interval"), conf={"location": out})
    event = asyncio.run(first(trigger))
    assert not isinstance(event, TaskSuccessEvent)  # Airflow would hand its XCom on as text
    assert sensor().execute_complete({}, event.payload) == manifest.summary(f"{out}/2026-01-01")


def test_what_cannot_be_right_goes_from_the_triggerer_to_a_worker(airflow_db: None, out: str) -> None:
    trigger = as_the_triggerer_makes_it(
        load_dag("sentinel_wait_deferrable"), conf={"location": out, "max_error_rate": 2}
    )
    event = asyncio.run(first(trigger))
    assert not isinstance(event, TaskSuccessEvent)
    with pytest.raises(AirflowFailException, match=r"max_error_rate: .* \(given: '2'\)"):
        sensor().execute_complete({}, event.payload)


def test_the_timeout_of_a_sensor_is_that_of_its_trigger() -> None:
    args = sensor(timeout=90).start_trigger_args
    assert args is not None
    assert args.timeout == timedelta(seconds=90)


def test_a_task_that_pushes_nothing_ends_in_the_triggerer(storage: Storage, out: str) -> None:
    publish(storage, out)
    args = sensor(location=out, do_xcom_push=False).start_trigger_args
    assert args is not None
    event = asyncio.run(first(TriggerRunner().get_trigger_by_classpath(args.trigger_cls)(**args.trigger_kwargs)))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms is None


class OfADay(SentinelSensor):
    """Sets its location late, as derived classes do."""

    def __init__(self, *, day: str, **kwargs: Any) -> None:
        super().__init__(location="/not/yet", **kwargs)
        self.location = f"/scores/{day}"


def test_a_derived_sensor_starts_on_a_worker_where_its_own_fields_and_methods_count():
    assert SentinelSensor(task_id="wait", location="/x", deferrable=True).start_from_trigger
    derived = OfADay(task_id="wait", day="2026-01-01", deferrable=True)
    assert not derived.start_from_trigger
    assert derived.start_trigger_args is None
