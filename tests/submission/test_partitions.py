"""Partition columns that are refused, and what they make of a job's identity."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from gristmill import InputSpec, JobSpec, OutputSpec, Settings, inference_api, partitioned_api
from gristmill.errors import SchemaError, SpecError

ROWS = pa.table({"Region": ["a", "b"], "day": ["x", "x"], "list": [[1], [2]], "x": [1, 2]})


class Model:
    """Functions of each kind."""

    @inference_api(outputs={"y": "int64"})
    def by_row(self, rows: pa.RecordBatch) -> Any:
        return rows["x"]

    @partitioned_api(outputs={"y": "int64"})
    def total(self, rows: pa.RecordBatch) -> Any:
        return [sum(rows["x"].to_pylist())]

    @partitioned_api(outputs={"REGION": "string", "y": "int64"})
    def named(self, rows: pa.RecordBatch) -> Any:
        raise NotImplementedError

    @partitioned_api(outputs={"x": "int64"})
    def like_another(self, rows: pa.RecordBatch) -> Any:
        return [sum(rows["x"].to_pylist())]


def run(root: Path, function: str, by: str | None, **job: Any) -> gristmill.Job:
    return gristmill.run_batch(
        Model,
        ROWS,
        compute_pool="inline",
        input_spec=InputSpec(partition_column=by),
        output_spec=OutputSpec(location=root / "out", mode="overwrite"),
        job_spec=JobSpec(function_name=function, block=True, **job),
    )


@pytest.mark.parametrize(
    ("function", "by", "kind", "words"),
    [
        ("by_row", "region", SpecError, r"partition_column='region': the function 'by_row' takes no partitions"),
        (
            "total",
            "week",
            SchemaError,
            r"partition_column: the input has no column 'week'; it has: Region, day, list, x",
        ),
        ("total", "list", SchemaError, r"the column 'list' holds list<.*int64>, which cannot tell partitions apart"),
        ("named", "region", SchemaError, r"partition_column='region': the function 'named' has an output 'REGION'"),
    ],
)
def test_what_cannot_partition_is_refused_before_anything_is_written(
    settings: Settings, tmp_path: Path, function: str, by: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        run(tmp_path, function, by)
    assert not (tmp_path / "out").exists()


def test_outputs_may_be_named_like_columns_that_do_not_stand_in_the_output(settings: Settings, tmp_path: Path) -> None:
    run(tmp_path, "like_another", "REGION")
    assert gristmill.read_output(tmp_path / "out").to_pylist() == [{"Region": "a", "x": 1}, {"Region": "b", "x": 2}]
    run(tmp_path, "named", None)  # no column of the input stands there, so nothing is named twice


def test_another_partition_column_is_another_job_in_whatever_case(settings: Settings, tmp_path: Path) -> None:
    first = run(tmp_path, "total", "region", job_name="sums")
    assert run(tmp_path, "total", "REGION", job_name="sums").id == first.id
    assert len({first.id, run(tmp_path, "total", "day", job_name="sums").id, run(tmp_path, "total", None).id}) == 3


def test_jobs_without_partitions_keep_their_fingerprint(settings: Settings, tmp_path: Path) -> None:
    request = run(tmp_path, "by_row", None).request
    assert (request.function_kind, request.partition_column) == ("scalar", None)
    fields = request.model_dump(exclude={"function_kind", "partition_column"})
    assert type(request)(**fields).fingerprint == request.fingerprint
    assert request.model_copy(update={"partition_column": "day"}).fingerprint != request.fingerprint
