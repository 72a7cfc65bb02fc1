"""What a job has taken, from its record."""

from pathlib import Path

from gristmill.jobs.cost import Cost, cost_of
from gristmill.jobs.record import Claim, JobRecord, Progress, State
from gristmill.spec.enums import JobStatus, SaveMode
from gristmill.spec.job import JobSpec
from gristmill.spec.request import RunRequest
from gristmill.storage.storage import Storage


def _claim(how: JobSpec) -> Claim:
    return Claim(RunRequest(job_spec=how, pool="local", mode=SaveMode.OVERWRITE), owner="me", host="here", claimed=0.0)


def test_runs_that_were_killed_and_that_never_began_are_counted_for_what_they_took(
    storage: Storage, tmp_path: Path
) -> None:
    record = JobRecord(storage, str(tmp_path), "job")
    assert cost_of(record) == Cost(0, 0.0, 0.0, 0.0)
    killed = record.claim(_claim(JobSpec(replicas=2, num_workers=3, gpu_requests=4)), after=0)
    assert killed is not None
    killed.write_state(State(JobStatus.RUNNING, started=100.0))
    killed.write_progress(Progress(time=160.0))
    assert cost_of(record) == Cost(1, 60.0, 360.0, 480.0)
    assert record.claim(_claim(JobSpec()), after=1) is not None
    ended = record.claim(_claim(JobSpec()), after=2)
    assert ended is not None
    ended.write_state(State(JobStatus.DONE, started=200.0, completed=210.0))
    assert cost_of(record) == Cost(3, 70.0, 370.0, 480.0)
