"""Terminating a run cancels its jobs, and leaves no process."""

import pytest
from tests.bench import runner_of, until
from tests.processes import lives

from gristmill import JobStatus

LIMIT = 120
"""Seconds to wait for the end of a job: on a busy machine it takes longer than the promised half minute."""

pytestmark = pytest.mark.timeout(900)


def assert_cancelled(jobs, processes):
    for job in jobs:
        until(lambda: job.status is JobStatus.CANCELLED, f"it is {job.status.value}", seconds=LIMIT)
    until(lambda: not any(map(lives, processes)), "the runner's processes are left", seconds=LIMIT)


def test_a_terminated_run_of_one_partition_cancels_its_job(dagster, graphql, bench):
    terminated = bench("terminated")
    terminated.rows("in/p00")
    run = graphql.launch("terminated", partition="p00")
    job = terminated.started("out/p00")
    processes = [*runner_of(job), dagster.step_process(run)]
    graphql.terminate(run)
    assert_cancelled([job], processes)
    graphql.wait_for_run(run, expect="CANCELED")
    assert not (terminated.folder / "out" / "p00" / "_SUCCESS").exists()
    assert graphql.materializations("terminated") == []

    again = graphql.launch("terminated", partition="p00")
    until(lambda: job.status is JobStatus.RUNNING, "the next run does not resume the job")
    graphql.terminate(again)
    graphql.wait_for_run(again, expect="CANCELED")
    assert_cancelled([job], [])


def test_a_terminated_run_of_several_partitions_cancels_those_that_are_at_work_and_starts_no_more(
    dagster, graphql, bench
):
    several = bench("terminated_in_one")
    for number in range(3):
        several.rows(f"in/p{number:02d}", first=40 * number)
    run = graphql.launch(
        "terminated_in_one",
        tags={"dagster/asset_partition_range_start": "p00", "dagster/asset_partition_range_end": "p02"},
    )
    until(lambda: {0, 40} <= set(several.calls()), "two jobs do not compute")
    jobs = several.jobs()
    until(lambda: all(job.progress() is not None for job in jobs), "a runner shows no progress")
    processes = [process for job in jobs for process in runner_of(job)]
    assert len(jobs) == 2
    graphql.terminate(run)
    assert_cancelled(jobs, [*processes, dagster.step_process(run)])
    graphql.wait_for_run(run, expect="CANCELED")
    assert len(several.jobs()) == 2
    assert graphql.materializations("terminated_in_one") == []
