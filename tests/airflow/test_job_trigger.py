"""The trigger that waits for a job: what it fires, what it survives, and that it never holds up the event loop."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from airflow_gristmill.job_trigger import BatchJobTrigger
from gristmill import JobSpec, JobStatus, OutputSpec, Settings
from gristmill.errors import JobNotFoundError

# Reports what its event loop's own thread opens, lists, connects to or imports while a trigger runs there.
_WATCHED = """
import asyncio, json, sys, threading
from airflow_gristmill.job_trigger import BatchJobTrigger
from airflow.sdk import BaseHook

BLOCKING = ("import", "open", "os.", "shutil.", "socket.", "sqlite3.", "subprocess.", "urllib.", "time.sleep")
seen, loops = [], []

def note(event, arguments):
    if loops and threading.get_ident() == loops[0] and event.startswith(BLOCKING):
        seen.append([event, str(arguments)[:200]])

sys.addaudithook(note)

async def main():
    trigger = BatchJobTrigger(sys.argv[1], poll_interval=0.2, cancel_on_kill=True)
    try:
        await BaseHook.aget_connection("none")  # what Airflow imports for it, a triggerer has imported already
    except Exception:
        pass
    before = set(sys.modules)
    loops.append(threading.get_ident())
    async for event in trigger.run():
        loops.append(event.payload)
    await trigger.on_kill()
    print(json.dumps({"blocking": seen, "event": loops[1], "imported": sorted(set(sys.modules) - before)}))

asyncio.run(main())
"""


def start(output: Path, *, rows: int = 4, delay: float = 0.5) -> gristmill.Job:
    return gristmill.run_batch(
        "echo:",
        pa.table({"id": range(rows)}),
        output_spec=OutputSpec(location=output),
        inference_engine_options={"column": "id", "delay": delay},
        job_spec=JobSpec(max_batch_rows=1),
    )


async def first(trigger: BatchJobTrigger) -> Any:
    return (await anext(trigger.run())).payload


def again(trigger: BatchJobTrigger) -> BatchJobTrigger:
    """The trigger as another triggerer makes it of what was stored."""
    path, fields = trigger.serialize()
    assert path == "airflow_gristmill.job_trigger.BatchJobTrigger"
    return BatchJobTrigger(**json.loads(json.dumps(fields)))


def test_it_fires_once_the_job_has_ended_well_or_not(settings: Settings, tmp_path: Path) -> None:
    good, bad = start(tmp_path / "good"), start(tmp_path / "bad", rows=200)
    bad.cancel()
    for job, status in ((good, "DONE"), (bad, "CANCELLED")):
        trigger = again(BatchJobTrigger(job.id, poll_interval=0.2))
        assert asyncio.run(first(trigger)) == {"job": job.id, "status": status}


def test_it_is_made_of_plain_values_and_made_again_from_them() -> None:
    fields = {"gristmill_conn_id": "lake", "poll_interval": 5.0, "log_interval": 7.0, "holder": "try-1"}
    trigger = BatchJobTrigger("job-a", **fields, cancel_on_kill=True, may_come=True)
    assert again(trigger).serialize() == trigger.serialize()
    assert again(trigger).serialize()[1] == {"job_id": "job-a", **fields, "cancel_on_kill": True, "may_come": True}


@pytest.mark.parametrize(("cancels", "status"), [(True, JobStatus.CANCELLED), (False, JobStatus.DONE)])
def test_only_a_person_who_ends_the_task_cancels_the_job(
    settings: Settings, tmp_path: Path, cancels: bool, status: JobStatus
) -> None:
    job = start(tmp_path / "out", rows=200 if cancels else 12)

    async def stop_then_kill() -> None:
        trigger = BatchJobTrigger(job.id, poll_interval=0.2, cancel_on_kill=cancels)
        waiting = asyncio.create_task(first(trigger))
        await asyncio.sleep(1)
        waiting.cancel()  # as a triggerer that shuts down does
        await trigger.cleanup()
        assert job.status in (JobStatus.PENDING, JobStatus.RUNNING)
        await again(trigger).on_kill()

    asyncio.run(stop_then_kill())
    assert job.wait(60) is status


def test_a_trigger_does_not_cancel_what_the_next_try_waits_for(settings: Settings, tmp_path: Path) -> None:
    job = start(tmp_path / "out", rows=200)
    job.hold("try-1")
    job.hold("try-2")
    asyncio.run(BatchJobTrigger(job.id, cancel_on_kill=True, holder="try-1").on_kill())
    assert job.status in (JobStatus.PENDING, JobStatus.RUNNING)
    asyncio.run(BatchJobTrigger(job.id, cancel_on_kill=True, holder="try-2").on_kill())
    assert job.wait(60) is JobStatus.CANCELLED


def test_a_job_that_does_not_exist_is_an_error_unless_it_may_come(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(JobNotFoundError, match="there is no job 'later'"):
        asyncio.run(first(BatchJobTrigger("later")))

    async def start_later() -> Any:
        waiting = asyncio.create_task(first(BatchJobTrigger("later", poll_interval=0.2, may_come=True)))
        await asyncio.sleep(1)
        assert not waiting.done()
        gristmill.run_batch(
            "echo:",
            pa.table({"id": [1]}),
            output_spec=OutputSpec(location=tmp_path / "out"),
            job_spec=JobSpec(job_name="later"),
        )
        return await waiting

    event = asyncio.run(start_later())
    assert event == {"job": gristmill.get_job("later").id, "status": "DONE"}


def test_a_connection_or_record_out_of_reach_is_waited_for(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(tmp_path / "out")
    job.wait(60)
    away = tmp_path / "away"
    record = Path(job.record.folder)

    def connect() -> None:
        record.rename(away)
        record.write_text("a file where the record was")  # reading what stands below raises NotADirectoryError
        connection = {"conn_type": "gristmill", "extra": {"home": settings.home}}
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))

    def put_back() -> None:
        record.unlink()
        away.rename(record)

    async def reach_later() -> Any:
        trigger = BatchJobTrigger(job.id, gristmill_conn_id="lake", poll_interval=0.2)
        waiting = asyncio.create_task(first(trigger))
        await asyncio.sleep(1)
        assert not waiting.done()
        connect()
        await asyncio.sleep(1)
        assert not waiting.done()
        put_back()
        return await waiting

    assert asyncio.run(reach_later()) == {"job": job.id, "status": "DONE"}


def test_the_event_loops_own_thread_opens_imports_and_connects_to_nothing(settings: Settings, tmp_path: Path) -> None:
    job = start(tmp_path / "out")
    done = subprocess.run([sys.executable, "-c", _WATCHED, job.id], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["event"] == {"job": job.id, "status": "DONE"}
    assert "gristmill.jobs.handle" in report["imported"], "this look should have been the first"
    assert report["blocking"] == []
