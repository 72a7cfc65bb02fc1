"""Functions over partitions: the same on every kind of pool. What is refused before a run is in `tests/submission`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import gristmill
from gristmill import CustomModel, InputSpec, JobStatus, Settings, inference_api, partitioned_api
from gristmill.errors import FailedRowsError
from gristmill.jobs.outcome import outcome_of
from gristmill.outputs.checks import OutputChecks
from gristmill.outputs.condition import SentinelCondition, judge
from gristmill.outputs.examine import Origin, examine
from gristmill.outputs.sighting import sight
from tests.contract.conftest import Bench

REGIONS = ["us", "eu", "us", None, "asia", "eu", "us", None]
PRICES = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


class Sales(CustomModel):
    """Functions of both kinds."""

    @inference_api(
        inputs={"price": "double"}, outputs={"share": "double", "of": "int64"}, function_type="TABLE_FUNCTION"
    )
    def share(self, rows: pa.RecordBatch) -> dict[str, Any]:
        total = pc.sum(rows["price"])
        return {"share": pc.divide(rows["price"], total), "of": [rows.num_rows] * rows.num_rows}

    @partitioned_api(inputs={"price": "double"}, outputs={"total": "double", "rows": "int64"})
    def total(self, frame: pd.DataFrame, *, scale: float = 1.0) -> pd.DataFrame:
        if 2.0 in list(frame["price"]):
            raise ValueError("no such price")
        return pd.DataFrame({"total": [frame["price"].sum() * scale], "rows": [len(frame)]})

    @partitioned_api
    def above(self, rows: pa.Table, *, least: float = 0.0) -> pa.Table:
        return rows.filter(pc.greater(rows["price"], least)).select(["price"])

    @partitioned_api(outputs={"copy": "double", "nr": "int64"})
    def twice_each(self, rows: pa.RecordBatch) -> dict[str, Any]:
        prices = rows["price"].to_pylist()
        return {"copy": [price for price in prices for _ in range(2)], "nr": range(2 * len(prices))}

    @inference_api(outputs={"ok": "bool"}, function_type="table")
    def picky(self, rows: pa.RecordBatch) -> dict[str, Any]:
        if 2.0 in rows["price"].to_pylist():
            raise ValueError("no such price")
        return {"ok": [True] * rows.num_rows}


class Album(CustomModel):
    """Puts files together."""

    @partitioned_api(inputs={"file": "bytes"}, outputs={"content": "bytes"})
    def join(self, rows: pa.RecordBatch) -> dict[str, list[bytes]]:
        return {"content": [b"".join(rows["file"].to_pylist())]}


@pytest.fixture
def inline(tmp_path: Path, settings: Settings) -> Bench:
    """A bench on the quickest pool, for what no pool changes."""
    return Bench(tmp_path, settings, "inline")


def sales() -> pa.Table:
    return pa.table({"id": range(8), "Region": REGIONS, "price": PRICES})


def run(bench: Bench, function: str, *, by: str | None = "region", source: Any = None, **options: Any) -> gristmill.Job:
    job = {"function_name": function, **options.pop("job", {})}
    spec = InputSpec(partition_column=by, **options.pop("spec", {}))
    return bench.run(sales() if source is None else source, model=Sales(), job=job, input_spec=spec, **options)


def test_a_call_of_a_table_function_sees_one_partition_and_gives_each_row_its_row(bench: Bench) -> None:
    job = run(bench, "share", source=bench.write(sales(), row_group=3))
    assert job.status is JobStatus.DONE, job.message
    found = bench.rows()
    assert [(row["Region"], row["id"]) for row in found] == [
        *(("asia", 4), ("eu", 1), ("eu", 5), ("us", 0), ("us", 2), ("us", 6), (None, 3), (None, 7)),
    ]
    assert [row["share"] for row in found] == [1.0, 0.25, 0.75, 1 / 11, 3 / 11, 7 / 11, 4 / 12, 8 / 12]
    assert list(found[0]) == ["id", "Region", "price", "share", "of"]
    manifest = job.manifest()
    assert (manifest.rows, manifest.input_rows, manifest.partitions) == (8, 8, 4)


def test_a_partitioned_function_gives_its_outputs_and_failures_beside_the_partition_column(bench: Bench) -> None:
    job = run(bench, "total", spec={"params": {"scale": 10}}, job={"replicas": 2, "on_error": "record"})
    assert job.status is JobStatus.DONE, job.message
    failed = {"type": "ValueError", "message": "no such price", "step": "infer", "reference": "eu"}
    assert bench.rows() == [
        {"Region": "asia", "total": 50.0, "rows": 1, "_error": None},
        {"Region": "eu", "total": None, "rows": None, "_error": failed},
        {"Region": "us", "total": 110.0, "rows": 3, "_error": None},
        {"Region": None, "total": 120.0, "rows": 2, "_error": None},
    ]
    manifest = job.manifest()
    assert (manifest.rows, manifest.input_rows, manifest.partitions, manifest.errors) == (4, 8, 4, 1)
    assert job.message == "4 rows from 8 rows in 4 partitions, 1 of them with errors"


def test_a_partitioned_function_without_partitions_is_called_once_with_all_rows(bench: Bench) -> None:
    rows = sales().slice(2)
    job = run(bench, "total", by=None, source=bench.write(rows, row_group=2), job={"replicas": 2})
    assert job.status is JobStatus.DONE, job.message
    assert bench.rows() == [{"total": 33.0, "rows": 6}]
    assert (job.manifest().rows, job.manifest().input_rows, job.manifest().partitions) == (1, 6, 1)


def test_a_table_function_without_partitions_gives_each_row_its_row(inline: Bench) -> None:
    job = run(inline, "share", by=None, job={"max_batch_rows": 4})
    assert job.status is JobStatus.DONE, job.message
    assert [(row["id"], row["of"]) for row in inline.rows()] == [(at, 4) for at in range(8)]


def test_partitions_may_shrink_vanish_and_grow(inline: Bench) -> None:
    job = run(inline, "above", spec={"params": {"least": 5}})
    assert job.status is JobStatus.DONE, job.message
    assert [tuple(row.values()) for row in inline.rows()] == [("eu", 6.0), ("us", 7.0), (None, 8.0)]
    assert (job.manifest().rows, job.manifest().input_rows, job.manifest().partitions) == (3, 8, 4)
    run(inline, "twice_each")
    assert [row["nr"] for row in inline.rows()] == [*range(2), *range(4), *range(6), *range(4)]


def test_no_partition_with_a_result_is_an_output_without_rows(inline: Bench) -> None:
    job = run(inline, "above", spec={"params": {"least": 50}})
    assert job.status is JobStatus.DONE, job.message
    assert (job.manifest().rows, job.manifest().input_rows, job.manifest().partitions) == (0, 8, 4)


@pytest.mark.parametrize("by", ["region", None])
def test_no_rows_are_no_calls(inline: Bench, by: str | None) -> None:
    job = run(inline, "total", by=by, source=sales().slice(0, 0))
    assert job.status is JobStatus.DONE, job.message
    found = gristmill.read_output(inline.output, settings=inline.settings)
    assert (found.num_rows, found.column_names[-2:]) == (0, ["total", "rows"])


def test_a_partition_that_fails_is_named(inline: Bench) -> None:
    job = run(inline, "total")
    assert job.status is JobStatus.FAILED
    assert "1 of 4 partitions failed. First: shard" in job.message
    assert "(eu): infer: ValueError: no such price" in job.message
    assert not inline.output.joinpath("_SUCCESS").exists()


def test_a_recorded_failure_of_a_table_function_is_each_of_its_rows(inline: Bench) -> None:
    job = run(inline, "picky", job={"on_error": "record"})
    assert job.status is JobStatus.DONE, job.message
    failed = [row for row in inline.rows() if row["_error"] is not None]
    assert [(row["id"], row["_error"]["reference"]) for row in failed] == [(1, "eu"), (5, "eu")]
    assert job.manifest().errors == 2


def run_with_a_row_that_cannot_be_read(inline: Bench) -> gristmill.Job:
    folder = inline.root / "input"
    folder.mkdir()
    (folder / "rows.csv").write_text("region,price\na,1\nb,2\nc,3\na,4\nb,5,too many\n")
    return inline.run(
        folder,
        model=Sales(),
        job={"function_name": "above", "on_error": "record"},
        input_spec=InputSpec(partition_column="region"),
    )


def test_a_row_that_cannot_be_read_has_no_key_and_fails_the_partition_of_those(inline: Bench) -> None:
    job = run_with_a_row_that_cannot_be_read(inline)
    assert job.status is JobStatus.DONE, job.message
    found = inline.rows()
    assert [(row["region"], row["price"]) for row in found] == [("a", 1), ("a", 4), ("b", 2), ("c", 3), (None, None)]
    error = found[-1]["_error"]
    assert (error["type"], error["step"], error["reference"]) == ("PartitionError", "read", "null")
    assert "rows.csv:6" in error["message"]


def test_failures_of_a_method_over_partitions_are_counted_of_the_partitions(inline: Bench) -> None:
    job = run_with_a_row_that_cannot_be_read(inline)
    manifest = job.manifest()
    assert (manifest.rows, manifest.errors, manifest.errors_of, manifest.tried) == (5, 1, "partition", 4)
    told = "1 of 4 partitions failed, a rate of 0.25, more than 0.2"
    sighting = sight(job.record.storage, job.location)
    finding = judge(sighting, SentinelCondition(max_error_rate=0.2))
    assert (finding.met, finding.reason) == (False, told)
    checks = OutputChecks(max_error_rate=0.2)
    asked = {"origin": Origin(), "now": datetime.now(UTC), "names": ["error_rate"]}
    (check,) = examine(job.record.storage, sighting, checks, **asked)
    assert (check.passed, check.reason) == (False, told)
    assert check.facts == {"rows": 5, "tried": 4, "errors": 1, "error_rate": 0.25}
    with pytest.raises(FailedRowsError, match="1 of 4 partitions failed, 25 %, and fail_on_errors=0.2 takes 20 %"):
        outcome_of(job, fail_on_errors=0.2)
    outcome_of(job, fail_on_errors=0.25)


def test_files_of_a_partition_reach_its_call_together(inline: Bench, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.bin").write_bytes(name.encode() * 3)
    rows = pa.table({
        "who": ["x", "y", "x", "y"],
        "file": [str(tmp_path / name) for name in ("a.bin", "b.bin", "c.bin", "lost.bin")],
    })  # fmt: skip
    job = inline.run(
        rows,
        model=Album(),
        job={"on_error": "record"},
        input_spec=InputSpec(
            partition_column="who",
            column_handling={"file": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}},
            allowed_locations=(str(tmp_path),),
        ),
    )
    assert job.status is JobStatus.DONE, job.message
    good, bad = inline.rows()
    assert (good["who"], good["content"], good["_error"]) == ("x", b"aaaccc", None)
    assert (bad["who"], bad["content"]) == ("y", None)
    assert (bad["_error"]["step"], bad["_error"]["reference"]) == ("resolve", "y")
    assert "1 of the 2 rows of the partition failed before, the first of them row 1 of it" in bad["_error"]["message"]
    assert "lost.bin" in bad["_error"]["message"]
