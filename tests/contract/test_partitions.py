"""Functions over partitions: the same on every kind of pool, in all six ways of asking for one."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import gristmill
from gristmill import CustomModel, InputSpec, JobStatus, inference_api, partitioned_api
from gristmill.errors import SchemaError, SpecError
from tests.contract.conftest import Bench

REGIONS = ["us", "eu", "us", None, "asia", "eu", "us", None]
PRICES = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


class Sales(CustomModel):
    """Functions of each kind."""

    @inference_api(outputs={"twice": "double"})
    def double(self, rows: pa.RecordBatch) -> dict[str, Any]:
        return {"twice": pc.multiply(rows["price"], 2.0)}

    @inference_api(
        inputs={"price": "double"}, outputs={"share": "double", "of": "int64"}, function_type="TABLE_FUNCTION"
    )
    def share(self, rows: pa.RecordBatch) -> dict[str, Any]:
        total = pc.sum(rows["price"])
        return {"share": pc.divide(rows["price"], total), "of": [rows.num_rows] * rows.num_rows}

    @partitioned_api(inputs={"price": "double"}, outputs={"total": "double", "rows": "int64"})
    def total(self, frame: pd.DataFrame, *, scale: float = 1.0) -> pd.DataFrame:
        return pd.DataFrame({"total": [frame["price"].sum() * scale], "rows": [len(frame)]})

    @partitioned_api
    def above(self, rows: pa.Table, *, least: float = 0.0) -> pa.Table:
        return rows.filter(pc.greater(rows["price"], least)).select(["price"])

    @partitioned_api(outputs={"copy": "double", "nr": "int64"})
    def twice_each(self, rows: pa.RecordBatch) -> dict[str, Any]:
        prices = rows["price"].to_pylist()
        return {"copy": [price for price in prices for _ in range(2)], "nr": range(2 * len(prices))}

    @partitioned_api(outputs={"Region": "string"})
    def named(self, rows: pa.RecordBatch) -> dict[str, Any]:
        raise NotImplementedError

    @partitioned_api(outputs={"total": "double"})
    def picky(self, rows: pa.RecordBatch) -> dict[str, Any]:
        if 2.0 in rows["price"].to_pylist():
            raise ValueError("no such price")
        return {"total": [pc.sum(rows["price"]).as_py()]}

    @inference_api(outputs={"ok": "bool"}, function_type="table")
    def picky_rows(self, rows: pa.RecordBatch) -> dict[str, Any]:
        if 2.0 in rows["price"].to_pylist():
            raise ValueError("no such price")
        return {"ok": [True] * rows.num_rows}


def sales() -> pa.Table:
    return pa.table({"id": range(8), "Region": REGIONS, "price": PRICES})


def run(bench: Bench, function: str, *, by: str | None = "region", source: Any = None, **options: Any) -> gristmill.Job:
    job = {"function_name": function, **options.pop("job", {})}
    spec = InputSpec(partition_column=by, **options.pop("spec", {}))
    found = bench.run(sales() if source is None else source, model=Sales(), job=job, input_spec=spec, **options)
    return found


def test_a_function_over_rows_takes_no_partitions(bench: Bench) -> None:
    with pytest.raises(SpecError, match=r"partition_column='region': the function 'double' takes no partitions"):
        run(bench, "double")
    assert not bench.output.exists()


def test_a_table_function_without_partitions_gives_each_row_its_row(bench: Bench) -> None:
    job = run(bench, "share", by=None, job={"max_batch_rows": 4})
    assert job.status is JobStatus.DONE, job.message
    assert [(row["id"], row["of"]) for row in bench.rows()] == [(at, 4) for at in range(8)]


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


def test_a_partitioned_function_without_partitions_is_called_once_with_all_rows(bench: Bench) -> None:
    job = run(bench, "total", by=None, source=bench.write(sales(), row_group=3))
    assert job.status is JobStatus.DONE, job.message
    assert bench.rows() == [{"total": 36.0, "rows": 8}]
    assert (job.manifest().rows, job.manifest().input_rows, job.manifest().partitions) == (1, 8, 1)
    assert job.message == "1 rows from 8 rows in 1 partition"


def test_a_partitioned_function_gives_its_outputs_beside_the_partition_column(bench: Bench) -> None:
    job = run(bench, "total", spec={"params": {"scale": 10}}, job={"replicas": 2})
    assert job.status is JobStatus.DONE, job.message
    assert bench.rows() == [
        {"Region": "asia", "total": 50.0, "rows": 1},
        {"Region": "eu", "total": 80.0, "rows": 2},
        {"Region": "us", "total": 110.0, "rows": 3},
        {"Region": None, "total": 120.0, "rows": 2},
    ]
    assert (job.manifest().rows, job.manifest().input_rows, job.manifest().partitions) == (4, 8, 4)


def test_partitions_may_shrink_vanish_and_grow(bench: Bench) -> None:
    job = run(bench, "above", spec={"params": {"least": 5}})
    assert job.status is JobStatus.DONE, job.message
    assert [tuple(row.values()) for row in bench.rows()] == [("eu", 6.0), ("us", 7.0), (None, 8.0)]
    assert (job.manifest().rows, job.manifest().input_rows, job.manifest().partitions) == (3, 8, 4)
    run(bench, "twice_each")
    assert [row["nr"] for row in bench.rows()] == [*range(2), *range(4), *range(6), *range(4)]


def test_an_output_named_like_the_partition_column_is_refused(bench: Bench) -> None:
    with pytest.raises(SchemaError, match=r"'named' has an output 'Region' of that name"):
        run(bench, "named")
    assert not bench.output.exists()


def test_a_partition_that_fails_is_named(bench: Bench) -> None:
    job = run(bench, "picky")
    assert job.status is JobStatus.FAILED
    assert "1 of 4 partitions failed. First: shard" in job.message
    assert "(eu): infer: ValueError: no such price" in job.message
    assert not bench.output.joinpath("_SUCCESS").exists()


def test_a_recorded_failure_of_a_partition_is_one_row(bench: Bench) -> None:
    job = run(bench, "picky", job={"on_error": "record"})
    assert job.status is JobStatus.DONE, job.message
    found = bench.rows()
    assert [(row["Region"], row["total"]) for row in found] == [("asia", 5.0), ("eu", None), ("us", 11.0), (None, 12.0)]
    assert found[1]["_error"] == {"type": "ValueError", "message": "no such price", "step": "infer", "reference": "eu"}
    assert [row["_error"] is None for row in found] == [True, False, True, True]
    assert job.manifest().errors == 1


def test_a_recorded_failure_of_a_table_function_is_each_of_its_rows(bench: Bench) -> None:
    job = run(bench, "picky_rows", job={"on_error": "record"})
    assert job.status is JobStatus.DONE, job.message
    failed = [row for row in bench.rows() if row["_error"] is not None]
    assert [(row["id"], row["_error"]["reference"]) for row in failed] == [(1, "eu"), (5, "eu")]
    assert job.manifest().errors == 2


def test_files_of_a_partition_reach_its_call_together(bench: Bench, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.bin").write_bytes(name.encode() * 3)
    rows = pa.table({
        "who": ["x", "y", "x", "y"],
        "file": [str(tmp_path / name) for name in ("a.bin", "b.bin", "c.bin", "lost.bin")],
    })  # fmt: skip
    job = bench.run(
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
    good, bad = bench.rows()
    assert (good["who"], good["content"], good["_error"]) == ("x", b"aaaccc", None)
    assert (bad["who"], bad["content"]) == ("y", None)
    assert (bad["_error"]["step"], bad["_error"]["reference"]) == ("resolve", "y")
    assert "1 of the 2 rows of the partition failed before, the first of them row 1 of it" in bad["_error"]["message"]
    assert "lost.bin" in bad["_error"]["message"]


class Album(CustomModel):
    """Puts files together."""

    @partitioned_api(inputs={"file": "bytes"}, outputs={"content": "bytes"})
    def join(self, rows: pa.RecordBatch) -> dict[str, list[bytes]]:
        return {"content": [b"".join(rows["file"].to_pylist())]}
