"""Backfills: a job for each partition, what fails alone fails alone, and what is done is not done again."""

from pathlib import Path

import pytest
from tests.bench import generations

from gristmill import JobStatus

ROWS = 2
IN_PROCESS = {"execution": {"config": {"in_process": {}}}}
"""A run of one process, where there are twenty."""
FORCED = "gristmill/force_rerun"

pytestmark = pytest.mark.timeout(900)


def keys(count):
    return [f"p{number:02d}" for number in range(count)]


def rows_of(key: str) -> list[int]:
    first = int(key[1:]) * ROWS
    return list(range(first, first + ROWS))


def prepare(bench, count):
    """Rows for each partition."""
    for key in keys(count):
        bench.rows(f"in/{key}", first=rows_of(key)[0], count=ROWS, files=1)


def refuse(bench, row) -> Path:
    """Have the model fail on a row, until the file is gone."""
    (bench.folder / "refuse").mkdir()
    file = bench.folder / "refuse" / str(row)
    file.touch()
    return file


def calls_of(bench, wanted):
    """How often the rows of these partitions were computed."""
    calls = bench.calls()
    return {calls[row] for key in wanted for row in rows_of(key)}


def test_of_twenty_partitions_one_fails_and_is_run_again_alone(graphql, bench):
    twenty, every = bench("twenty"), keys(20)
    good = [key for key in every if key != "p07"]
    prepare(twenty, 20)
    file = refuse(twenty, rows_of("p07")[0])

    backfill = graphql.backfill("twenty", every, config=IN_PROCESS)
    runs = graphql.wait_for_runs(backfill, 20)
    assert sorted(run["tags"]["dagster/partition"] for run in runs) == every
    assert {run["tags"]["dagster/partition"] for run in runs if run["status"] != "SUCCESS"} == {"p07"}
    counts = graphql.partition_counts("twenty")
    assert (counts["numMaterialized"], counts["numFailed"]) == (19, 1)
    assert calls_of(twenty, good) == {1}
    jobs = {job.request.key: job for job in twenty.jobs()}
    assert sorted(jobs) == [f"twenty:{key}" for key in every]
    assert {key for key, job in jobs.items() if job.status is not JobStatus.DONE} == {"twenty:p07"}
    assert "7 is refused" not in graphql.story(runs[0]["runId"])
    failed = next(run["runId"] for run in runs if run["status"] == "FAILURE")
    assert f"{rows_of('p07')[0]} is refused" in graphql.story(failed)

    file.unlink()
    assert graphql.wait_for_backfill(backfill) == "COMPLETED_FAILED"
    again = graphql.reexecute_backfill(backfill)
    (run,) = graphql.wait_for_runs(again, 1)
    assert (run["status"], run["tags"]["dagster/partition"]) == ("SUCCESS", "p07")
    assert len(graphql.runs(dagster__backfill=again)) == 1
    assert graphql.partition_counts("twenty")["numMaterialized"] == 20
    assert calls_of(twenty, good) == {1}
    assert {job.id for job in twenty.jobs()} == {job.id for job in jobs.values()}
    assert generations(jobs["twenty:p07"]) == 2
    for key in every:
        assert twenty.output(f"out/{key}") == rows_of(key)
        (made,) = graphql.materializations("twenty", partitions=[key])
        assert made["metadata"]["job"] == jobs[f"twenty:{key}"].id
        assert made["metadata"]["location"] == str(twenty.folder / "out" / key)


def test_what_is_finished_is_computed_again_only_when_its_request_has_changed_or_somebody_forces_it(graphql, bench):
    changed = bench("changed")
    changed.rows("in", count=2, files=1)
    found = []
    for wish in ("first", "again", "forced", "changed"):
        if wish == "changed":
            (changed.folder / "output_type").write_text("int32")
            graphql.reload()
        run = graphql.launch("changed", tags={FORCED: "true"} if wish == "forced" else {}, config=IN_PROCESS)
        graphql.wait_for_run(run)
        found.append((graphql.latest("changed"), set(changed.calls().values())))
    assert [calls for _, calls in found] == [{1}, {1}, {2}, {3}]
    first, again, forced, other = [made["metadata"]["job"] for made, _ in found]
    assert again == first
    assert len({first, forced, other}) == 3
    versions = [made["tags"]["dagster/data_version"] for made, _ in found]
    assert versions[1] == versions[0]
    assert versions[3] != versions[0]


def test_in_a_single_run_the_others_are_recorded_as_they_finish_and_the_failed_one_alone_is_computed_again(
    graphql, bench
):
    ten, every = bench("ten_in_one"), keys(10)
    good = [key for key in every if key != "p03"]
    prepare(ten, 10)
    file = refuse(ten, rows_of("p03")[0])

    backfill = graphql.backfill("ten_in_one", every)
    (run,) = graphql.wait_for_runs(backfill, 1, "STARTED")
    recorded = graphql.until(
        lambda: graphql.materializations("ten_in_one"),
        120,
        lambda: f"nothing is recorded: {graphql.story(run['runId'])}",
    )
    assert graphql.run(run["runId"])["status"] == "STARTED"
    assert len(recorded) < len(good)
    graphql.wait_for_run(run["runId"], expect="FAILURE")
    assert sorted(one["partition"] for one in graphql.materializations("ten_in_one")) == good
    assert calls_of(ten, good) == {1}
    assert "1 partition of 10 failed" in graphql.story(run["runId"])

    file.unlink()
    graphql.wait_for_run(graphql.reexecute(run["runId"]))
    assert calls_of(ten, good) == {1}
    assert len(ten.jobs()) == len(every)
    assert {job.status for job in ten.jobs()} == {JobStatus.DONE}
    assert [ten.output(f"out/{key}") for key in every] == [rows_of(key) for key in every]
    assert len(graphql.materializations("ten_in_one", partitions=["p03"])) == 1
