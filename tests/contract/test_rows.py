"""Rows in, rows out: order, types, errors, on every pool."""

import datetime
import decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import gristmill
from gristmill import JobStatus, OutputSpec
from gristmill.errors import ModelError, SchemaError, SpecError
from tests.contract.conftest import Bench, numbers


def test_rows_come_out_in_input_order_with_all_columns(bench: Bench) -> None:
    job = bench.run(bench.write(numbers(1_000)), echo={"column": "id"}, job={"num_workers": 2})
    assert job.status is JobStatus.DONE, job.message
    rows = bench.rows()
    assert [row["id"] for row in rows] == list(range(1_000))
    assert all(row["echo"] == row["id"] and row["text"] == f"row {row['id']}" for row in rows)
    names = sorted(path.name for path in bench.output.iterdir())
    assert names[0] == "_SUCCESS"
    assert all(name.startswith("part-") and name.endswith(".parquet") for name in names[1:])


def test_a_row_engine_gives_the_same(bench: Bench) -> None:
    job = bench.run(bench.write(numbers(700)), model="echo:row", echo={"column": "id", "window": 32, "delay": 0.001})
    assert job.status is JobStatus.DONE, job.message
    assert [row["echo"] for row in bench.rows()] == list(range(700))


def test_every_type_passes_through(bench: Bench) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    table = pa.table(
        {
            "id": pa.array([1, 2, None], pa.int32()),
            "nested": pa.array([{"a": [1, None]}, None, {"a": []}], pa.struct({"a": pa.list_(pa.int64())})),
            "category": pa.array(["x", "y", "x"]).dictionary_encode(),
            "price": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")], pa.decimal128(10, 2)),
            "when": pa.array(
                [datetime.datetime(2026, 1, 1, tzinfo=zone), None, None], pa.timestamp("us", "Europe/Oslo")
            ),
            "day": pa.array([datetime.date(2026, 1, 1), None, None]),
            "raw": pa.array([b"\x00\xff", None, b""], pa.binary()),
            "nothing": pa.nulls(3),
            "flag": pa.array([True, False, None]),
            "größe 量": pa.array(["a", "b", None]),
        }
    )
    job = bench.run(bench.write(table), echo={"column": "id"})
    assert job.status is JobStatus.DONE, job.message
    found = gristmill.read_output(bench.output, settings=bench.settings)
    assert found.drop_columns(["echo"]).equals(table)


def test_an_input_without_rows_gives_an_output_without_rows(bench: Bench) -> None:
    job = bench.run(bench.write(numbers(0)), echo={"column": "id"})
    assert job.status is JobStatus.DONE, job.message
    found = gristmill.read_output(bench.output, settings=bench.settings)
    assert found.num_rows == 0
    assert found.column_names[:3] == ["id", "text", "x"]
    assert (bench.output / "_SUCCESS").exists()


def test_failed_rows_are_recorded_and_the_rest_is_right(bench: Bench) -> None:
    job = bench.run(bench.write(numbers(500)), echo={"column": "id", "fail_on": [7, 333]}, job={"on_error": "record"})
    assert job.status is JobStatus.DONE, job.message
    rows = bench.rows()
    failed = {row["id"]: row for row in rows if row["_error"] is not None}
    assert sorted(failed) == [7, 333]
    assert failed[7]["echo"] is None
    assert failed[7]["_error"]["type"] == "ValueError"
    assert failed[7]["_error"]["step"] == "infer"
    assert all(row["echo"] == row["id"] for row in rows if row["id"] not in failed)
    assert gristmill.read_manifest(bench.output, settings=bench.settings).errors == 2


def test_all_rows_failing_is_still_an_output_when_errors_are_recorded(bench: Bench) -> None:
    job = bench.run(bench.write(numbers(3)), echo={"column": "id", "fail_on": [0, 1, 2]}, job={"on_error": "record"})
    assert job.status is JobStatus.DONE, job.message
    assert [row["_error"]["type"] for row in bench.rows()] == ["ValueError"] * 3


def test_one_failed_row_fails_the_job_by_default_and_a_rerun_redoes_only_its_shard(bench: Bench) -> None:
    source = bench.write(numbers(4_000), row_group=500)
    broken = bench.root / "broken"
    broken.touch()
    model = _Mended(broken, bench.calls_folder)
    job = bench.run(source, model=model, job={"job_name": "mended", "num_workers": 2})
    assert job.status is JobStatus.FAILED
    assert "row 5" in job.message or "id 1205" in job.message
    assert [error["type"] for error in job.errors()] == ["RuntimeError"]
    assert not (bench.output / "_SUCCESS").exists()
    first = bench.calls()
    broken.unlink()
    again = bench.run(source, model=model, job={"job_name": "mended", "num_workers": 2})
    assert again.id == job.id
    assert again.status is JobStatus.DONE, again.message
    assert [row["y"] for row in bench.rows()] == [2 * i for i in range(4_000)]
    redone = {int(row) for row in bench.calls() if bench.calls()[row] > first[row]}
    assert 1205 in redone
    assert len(redone) <= 1_000


class _Mended(gristmill.CustomModel):
    """Fails on one row while a file is there."""

    def __init__(self, broken: Path, calls: Path) -> None:
        self.broken = broken
        self.calls = calls

    @gristmill.inference_api(outputs={"y": "int64"})
    def predict(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        import os

        ids = rows.column("id").to_pylist()
        if self.broken.exists() and 1205 in ids:
            raise RuntimeError("id 1205 is broken")
        self.calls.mkdir(exist_ok=True)
        with (self.calls / f"{os.getpid()}.log").open("a") as log:
            log.write("".join(f"{row}\n" for row in ids))
        return pa.record_batch({"y": pa.array([2 * row for row in ids], pa.int64())})


def test_a_result_of_the_wrong_type_is_that_rows_error(bench: Bench) -> None:
    job = bench.run(
        bench.write(numbers(35)),
        model="python:tests.contract.models:Moody",
        job={"on_error": "record", "max_batch_rows": 9},
    )
    assert job.status is JobStatus.DONE, job.message
    failed = {row["id"]: row["_error"] for row in bench.rows() if row["_error"] is not None}
    assert sorted(failed) in ([10, 20, 30], [0, 10, 20, 30])
    assert {error["step"] for error in failed.values()} <= {"output", "infer"}
    assert all(row["y"] == row["id"] * 2.0 for row in bench.rows() if row["id"] not in failed)


def test_missing_corrupt_and_forbidden_files_are_those_rows_errors(bench: Bench) -> None:
    images = bench.root / "images"
    images.mkdir()
    for number in range(6):
        Image.fromarray(np.full((4, 10 + number), number, np.uint8)).save(images / f"{number}.png")
    (images / "corrupt.png").write_bytes((images / "0.png").read_bytes()[:40])
    (bench.root / "secret.png").write_bytes((images / "0.png").read_bytes())
    good = [str(images / f"{number}.png") for number in range(6)]
    bad = [str(images / "corrupt.png"), str(images / "gone.png"), str(bench.root / "secret.png"), "../secret.png"]
    rows = pa.table({"image": [*good[:3], *bad, *good[3:]], "n": range(10)})
    job = bench.run(
        rows,
        model="python:tests.contract.models:Pictures",
        input_spec=gristmill.InputSpec(
            column_handling={"IMAGE": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}},
            allowed_locations=(str(images),),
        ),
        job={"on_error": "record"},
    )
    assert job.status is JobStatus.DONE, job.message
    found = bench.rows()
    assert [row["width"] for row in found] == [10, 11, 12, None, None, None, None, 13, 14, 15]
    assert [row["image"] for row in found] == rows["image"].to_pylist()
    errors = [row["_error"] for row in found[3:7]]
    assert [error["step"] for error in errors] == ["infer", "resolve", "resolve", "resolve"]
    assert "gone.png" in errors[1]["reference"]


def test_the_error_limit_stops_a_recording_job(bench: Bench) -> None:
    job = bench.run(
        bench.write(numbers(300)),
        echo={"column": "id", "fail_on": list(range(100))},
        job={"on_error": "record", "max_errors": 10},
    )
    assert job.status is JobStatus.FAILED
    assert "max_errors=10" in job.message
    assert not (bench.output / "_SUCCESS").exists()


def test_several_functions_need_a_name_and_params_reach_the_model(bench: Bench) -> None:
    source = bench.write(numbers(10))
    model = "python:tests.contract.models:Doubler"
    with pytest.raises(ModelError, match=r"double.*halve"):
        bench.run(source, model=model)
    job = bench.run(
        source, model=model, job={"function_name": "halve"}, input_spec=gristmill.InputSpec(params={"TIMES": 3})
    )
    assert job.status is JobStatus.DONE, job.message
    assert [row["half"] for row in bench.rows()] == [i / 16 for i in range(10)]


def test_an_output_named_like_an_input_is_refused_with_nothing_touched(bench: Bench) -> None:
    source = bench.write(numbers(10).rename_columns(["id", "text", "Echo"]))
    with pytest.raises(SchemaError, match="Echo"):
        bench.run(source, echo={"output_type": "string"})
    assert not bench.output.exists()


def test_an_undeclared_output_named_like_an_input_fails_the_job_and_says_so(bench: Bench) -> None:
    source = bench.write(numbers(10).rename_columns(["id", "y", "x"]))
    job = bench.run(source, model="python:tests.contract.models:Moody")
    assert job.status is JobStatus.FAILED
    assert "'y'" in job.message


def test_a_model_that_cannot_be_loaded_fails_the_job_with_its_reason(bench: Bench) -> None:
    job = bench.run(bench.write(numbers(10)), model=_Unloadable)
    assert job.status is JobStatus.FAILED
    assert "no weights here" in job.message


class _Unloadable(gristmill.CustomModel):
    def __init__(self) -> None:
        raise RuntimeError("no weights here")

    @gristmill.inference_api(outputs={"y": "int64"})
    def predict(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows


def test_an_input_inside_the_output_is_refused(bench: Bench) -> None:
    source = bench.write(numbers(10))
    with pytest.raises(SpecError, match="holds the input"):
        bench.run(source, output_spec=OutputSpec(location=source.parent, mode="overwrite"))
    assert sorted(path.name for path in source.iterdir()) == ["rows.parquet"]


def test_an_inline_job_leaves_no_threads_behind(tmp_path: Path, settings: gristmill.Settings) -> None:
    import threading
    import time

    before = set(threading.enumerate())
    bench = Bench(tmp_path, settings, "inline")
    for number in range(3):
        job = bench.run(bench.write(numbers(300)), echo={"column": "id"}, job={"job_name": f"j{number}"})
        assert job.status is JobStatus.DONE, job.message
    for _ in range(200):
        left = [thread for thread in threading.enumerate() if thread not in before]
        if not left:
            break
        time.sleep(0.05)
    assert left == []


def test_a_row_that_kills_its_worker_is_found_and_all_others_are_right(processes: Bench) -> None:
    log = str(processes.calls_folder)
    job = processes.run(
        processes.write(numbers(400)),
        echo={"column": "id", "kill_on": [137], "log": log},
        job={"on_error": "record", "num_workers": 2},
    )
    assert job.status is JobStatus.DONE, job.message
    rows = processes.rows()
    assert [row["id"] for row in rows] == list(range(400))
    assert [row["id"] for row in rows if row["_error"] is not None] == [137]
    assert rows[137]["_error"]["type"] == "WorkerDied"
    assert processes.calls()["137"] >= 2
