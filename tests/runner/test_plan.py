"""The plan of a run over partitions: fixed once, for every run of the job."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill import InputSpec, JobSpec, JobStatus, OutputSpec, Settings, partitioned_api
from gristmill.errors import PartitionError
from gristmill.inputs.files import open_files
from gristmill.plan.planner import plan_shards
from gristmill.plan.policy import ShardPolicy
from gristmill.plan.store import read_plan, write_plan
from gristmill.runner.plan import RunPlan, StoppedError, group_rows, known_plan
from gristmill.spec.request import InputSource, JobRequest
from gristmill.spec.schema_text import schema_to_text
from gristmill.storage.storage import Storage


@pytest.fixture
def request_(storage: Storage, tmp_path: Path) -> JobRequest:
    """A job over 90 rows in 30 partitions, planned and not yet grouped."""
    (tmp_path / "input").mkdir()
    rows = pa.table({"key": [f"k{at % 30:02d}" for at in range(90)], "x": range(90)})
    pq.write_table(rows, tmp_path / "input" / "rows.parquet", row_group_size=20)
    source = open_files(storage, tmp_path / "input")
    staging = str(tmp_path / "out" / "_gristmill" / "job")
    plan = write_plan(storage, f"{staging}/plan.parquet", plan_shards(storage, source, ShardPolicy()))
    return JobRequest(
        name="job",
        key="job",
        model="python:x:X",
        engine="python_generic",
        function="total",
        source=InputSource(kind="location", text=source.location, format="parquet"),
        input_schema=schema_to_text(source.schema),
        location=str(tmp_path / "out"),
        staging=staging,
        owner="me",
        created=0.0,
        shards=plan.shards,
        rows=plan.rows,
        function_kind="partitioned",
        partition_column="key",
    )


def grouped(
    storage: Storage, request: JobRequest, *, generation: int = 1, most_bytes: int = 10**6, stop: str | None = None
) -> RunPlan:
    return group_rows(
        storage,
        request,
        generation=generation,
        parallelism=2,
        most_bytes=most_bytes,
        stop_reason=lambda: stop,
    )


def test_rows_are_grouped_once_and_every_later_run_reads_the_same_shards(
    storage: Storage, request_: JobRequest
) -> None:
    assert known_plan(storage, request_) is None
    plan = grouped(storage, request_)
    assert (plan.partitions, plan.rows) == (30, 90)
    assert known_plan(storage, request_) == plan
    shards = list(read_plan(storage, plan.location))
    assert len(shards) == plan.shards == 8
    assert sum(shard.rows or 0 for shard in shards) == 90


def test_of_two_runners_at_once_the_second_takes_the_plan_of_the_first(
    storage: Storage, request_: JobRequest, tmp_path: Path
) -> None:
    first = grouped(storage, request_)
    pointer = Path(request_.staging) / "partitions.json"
    content = pointer.read_bytes()
    pointer.unlink()
    second = grouped(storage, request_, generation=2)  # began before the first was done
    assert second.location != first.location
    assert grouped(storage, request_, generation=3) == second
    assert pointer.read_bytes() != content


class Pausing(Storage):
    """Does something before and after a plan is fixed."""

    before: Callable[[], None] = staticmethod(lambda: None)
    after: Callable[[], None] = staticmethod(lambda: None)

    def write_bytes(self, location: str, data: bytes, *, exclusive: bool = False) -> None:
        is_plan = location.endswith("partitions.json")
        if is_plan:
            self.before()
        super().write_bytes(location, data, exclusive=exclusive)
        if is_plan:
            self.after()


def rows_of(storage: Storage, plan: RunPlan) -> int:
    """The rows that can be read by a plan."""
    files = {part.location: part for shard in read_plan(storage, plan.location) for part in shard.slices}
    return sum(pq.read_metadata(location).num_rows for location in files)


def test_a_run_that_was_frozen_as_it_fixed_its_plan_has_the_rows_still(storage: Storage, request_: JobRequest) -> None:
    def another_begins() -> None:
        with pytest.raises(StoppedError, match="cancelled"):
            grouped(storage, request_, generation=2, stop="cancelled")

    frozen = Pausing(storage.settings)
    frozen.before = another_begins
    plan = grouped(frozen, request_)
    assert known_plan(storage, request_) == plan
    assert rows_of(storage, plan) == 90


def test_a_plan_that_was_fixed_though_the_answer_was_lost_has_its_rows(storage: Storage, request_: JobRequest) -> None:
    def fails() -> None:
        raise OSError("the answer was lost")

    broken = Pausing(storage.settings)
    broken.after = fails
    with pytest.raises(OSError, match="lost"):
        grouped(broken, request_)
    plan = grouped(storage, request_, generation=2)
    assert known_plan(storage, request_) == plan
    assert rows_of(storage, plan) == 90


def test_what_killed_runs_have_grouped_goes_once_there_is_a_plan(storage: Storage, request_: JobRequest) -> None:
    left = Path(request_.staging) / "grouped" / "000001" / "runs" / "000000.arrow"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"...")
    plan = grouped(storage, request_, generation=2)
    assert [path.name for path in (Path(request_.staging) / "grouped").iterdir()] == ["000002"]
    assert rows_of(storage, plan) == 90


def test_what_stops_the_run_stops_the_grouping_and_leaves_nothing(storage: Storage, request_: JobRequest) -> None:
    with pytest.raises(StoppedError, match="cancelled"):
        grouped(storage, request_, stop="cancelled")
    assert known_plan(storage, request_) is None
    assert [path.name for path in Path(request_.staging).rglob("*.parquet")] == ["plan.parquet"]


def test_a_partition_that_is_too_large_leaves_nothing(storage: Storage, request_: JobRequest) -> None:
    with pytest.raises(PartitionError, match="the partition key=k00 has 3 rows of"):
        grouped(storage, request_, most_bytes=10)
    assert known_plan(storage, request_) is None


def test_other_jobs_have_the_plan_that_was_made_for_them(storage: Storage, request_: JobRequest) -> None:
    by_row = request_.model_copy(update={"function_kind": "scalar", "partition_column": None})
    assert known_plan(storage, by_row) == RunPlan(f"{request_.staging}/plan.parquet", request_.shards, rows=90)


class Sums:
    """Adds up."""

    @partitioned_api(outputs={"total": "int64"})
    def total(self, rows: pa.RecordBatch) -> dict[str, list[int]]:
        return {"total": [sum(rows["x"].to_pylist())]}


def sums(
    settings: Settings, root: Path, *, column: str | None = "key", most: int | None = None, on_error: str = "fail"
) -> gristmill.Job:
    return gristmill.run_batch(
        Sums,
        pa.table({"key": ["a", "b", "a"], "x": [1, 2, 3]}),
        compute_pool="inline",
        input_spec=InputSpec(partition_column=column),
        output_spec=OutputSpec(location=root / "out", mode="overwrite"),
        job_spec=JobSpec(job_name="sums", block=True, on_error=on_error),
        settings=settings.model_copy(update={"max_partition_bytes": most}),
    )


@pytest.mark.parametrize("on_error", ["fail", "record"])
@pytest.mark.parametrize(
    ("column", "told"),
    [("key", "the partition key=a has 2 rows of"), (None, "the input, which is one partition, has at least 3 rows of")],
)
def test_a_job_whose_partition_is_too_large_goes_on_once_it_may_be(
    settings: Settings, tmp_path: Path, column: str | None, told: str, on_error: str
) -> None:
    job = sums(settings, tmp_path, column=column, most=20, on_error=on_error)
    assert job.status is JobStatus.FAILED
    assert told in job.message
    assert "raise the setting max_partition_bytes" in job.message
    again = sums(settings, tmp_path, column=column, on_error=on_error)
    assert (again.id, again.status) == (job.id, JobStatus.DONE), again.message
    assert gristmill.read_output(tmp_path / "out", columns=["total"])["total"].to_pylist() == (
        [6] if column is None else [4, 2]
    )


def test_a_job_whose_rows_cannot_be_grouped_has_failed_and_goes_on_once_they_can(
    settings: Settings, tmp_path: Path
) -> None:
    job = sums(settings, tmp_path, most=20)
    in_the_way = Path(job.request.staging) / "grouped"
    in_the_way.write_bytes(b"")
    again = sums(settings, tmp_path)
    assert (again.id, again.status) == (job.id, JobStatus.FAILED)
    assert "the rows could not be grouped into partitions: NotADirectoryError" in again.message
    in_the_way.unlink()
    assert sums(settings, tmp_path).status is JobStatus.DONE
