"""The public functions: what they accept, what they refuse, and that a refusal touches nothing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill import InputSpec, JobSpec, JobStatus, OutputSpec, Settings
from gristmill.errors import (
    EmptyInputError,
    GristmillError,
    JobNotFoundError,
    JobStateError,
    LocationError,
    ModelError,
    OutputError,
    OutputExistsError,
    SchemaError,
    SpecError,
)
from tests.conftest import S3Server


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A folder with 100 rows of `id` and `x`."""
    folder = tmp_path / "input"
    folder.mkdir()
    pq.write_table(pa.table({"id": range(100), "x": [float(i) for i in range(100)]}), folder / "a.parquet")
    return folder


def run(
    output: Path | str, *, model: Any = "echo:", X: Any = None, settings: Settings | None = None, **options: Any
) -> Any:
    mode = options.pop("mode", "error")
    if "output_spec" not in options:
        options["output_spec"] = OutputSpec(location=output, mode=mode)
    options.setdefault("compute_pool", "inline")
    options.setdefault("job_spec", JobSpec(block=True))
    options.setdefault("inference_engine_options", {"column": "id"})
    return gristmill.run_batch(model, X, settings=settings, **options)


def ids(output: Path | str, settings: Settings | None = None) -> list[int]:
    return list(gristmill.read_output(output, settings=settings)["echo"].to_pylist())


FRAMES = {
    "arrow table": lambda table: table,
    "arrow batch": lambda table: table.to_batches()[0],
    "arrow reader": lambda table: table.to_reader(),
    "arrow dataset": lambda table: ds.dataset(table),
    "pandas": lambda table: table.to_pandas(),
    "polars": lambda table: pl.from_arrow(table),
    "polars lazy": lambda table: pl.from_arrow(table).lazy(),
}


@pytest.mark.parametrize("kind", sorted(FRAMES))
def test_frames_of_every_library_are_inputs(kind: str, settings: Settings, tmp_path: Path) -> None:
    job = run(tmp_path / "out", X=FRAMES[kind](pa.table({"id": range(50), "t": ["x"] * 50})))
    assert job.status is JobStatus.DONE, job.message
    assert ids(tmp_path / "out") == list(range(50))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_text_files_are_inputs(suffix: str, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    frame = pd.DataFrame({"id": range(20), "name": [f"n{i}" for i in range(20)]})
    if suffix == "csv":
        frame.to_csv(folder / "rows.csv", index=False)
    else:
        frame.to_json(folder / "rows.jsonl", orient="records", lines=True)
    job = run(tmp_path / "out", input_location=folder)
    assert job.status is JobStatus.DONE, job.message
    assert ids(tmp_path / "out") == list(range(20))


def test_a_query_over_files_is_an_input(settings: Settings, table: Path, tmp_path: Path) -> None:
    sql = f"SELECT id, x * 2 AS y FROM '{table}/*.parquet' WHERE id >= 90 ORDER BY id"
    assert run(tmp_path / "a", query=sql).status is JobStatus.DONE
    assert ids(tmp_path / "a") == list(range(90, 100))
    assert run(tmp_path / "b", X=gristmill.query(sql)).status is JobStatus.DONE
    assert ids(tmp_path / "b") == list(range(90, 100))


def test_a_file_listing_is_an_input_whose_files_may_be_opened(settings: Settings, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(5):
        (files / f"{number}.bin").write_bytes(b"x" * number)
    (files / "notes.txt").write_text("no")
    listing = gristmill.list_stage_files(files, pattern=r".*\.bin", column_name="image")
    handling = {"image": {"input_format": "FULL_STAGE_PATH", "convert_to": "RAW_BYTES"}}
    job = run(
        tmp_path / "out",
        model="python:tests.contract.models:Sizes",
        X=listing,
        input_spec=InputSpec(column_handling=handling),
        inference_engine_options=None,
    )
    assert job.status is JobStatus.DONE, job.message
    found = gristmill.read_output(tmp_path / "out")
    assert found["size"].to_pylist() == [0, 1, 2, 3, 4]
    assert found["image"].to_pylist() == [str(files / f"{number}.bin") for number in range(5)]


def test_stages_name_locations_and_appear_in_the_output(settings: Settings, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.bin").write_bytes(b"abc")
    staged = settings.model_copy(
        update={"stages": {"shop.public.images": str(images), "scores": str(tmp_path / "scores")}}
    )
    handling = {"PATH": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}}
    rows = pa.table({"path": ["@SHOP.PUBLIC.IMAGES/a.bin"]}).rename_columns(["path"])
    job = run(
        "@scores/today",
        model="python:tests.contract.models:Sizes",
        X=rows.rename_columns(["image"]),
        input_spec=InputSpec(column_handling={"Image": handling["PATH"]}),
        inference_engine_options=None,
        settings=staged,
    )
    assert job.status is JobStatus.DONE, job.message
    assert job.location == str(tmp_path / "scores" / "today")
    assert gristmill.read_output("@scores/today", settings=staged).to_pylist() == [
        {"image": "@SHOP.PUBLIC.IMAGES/a.bin", "size": 3}
    ]


def test_base_location_puts_the_output_under_the_jobs_name(settings: Settings, table: Path, tmp_path: Path) -> None:
    job = run(
        "",
        input_location=table,
        output_spec=OutputSpec(base_stage_location=tmp_path / "all"),
        job_spec=JobSpec(job_name="nightly", block=True),
    )
    assert job.location == str(tmp_path / "all" / "nightly")
    assert ids(tmp_path / "all" / "nightly") == list(range(100))


def test_memory_locations_work_in_process(settings: Settings) -> None:
    inside = settings.model_copy(update={"home": "memory://home-of-a-test"})
    job = run("memory://out-of-a-test", X=pa.table({"id": [1, 2]}), settings=inside)
    assert job.status is JobStatus.DONE, job.message
    assert ids("memory://out-of-a-test", inside) == [1, 2]


def test_ten_thousand_files_of_one_row(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"{number:05d}.jsonl").write_text(f'{{"id": {number}}}\n')
    job = run(tmp_path / "out", input_location=folder)
    assert job.status is JobStatus.DONE, job.message
    assert ids(tmp_path / "out") == list(range(10_000))
    assert len(gristmill.read_manifest(tmp_path / "out").files) < 100


def test_everything_on_s3_home_included(s3: S3Server, tmp_path: Path) -> None:
    settings = s3.settings.model_copy(update={"home": f"{s3.root}/home"})
    source = pa.table({"id": range(300)})
    job = run(
        "@db.public.bucket/out",
        X=source,
        compute_pool="local",
        settings=settings,
        job_spec=JobSpec(block=True, num_workers=2, job_name="cloudy"),
    )
    assert job.status is JobStatus.DONE, job.message
    assert ids(f"{s3.root}/out", settings) == list(range(300))
    again = run(
        "@db.public.bucket/out",
        X=source,
        compute_pool="local",
        mode="overwrite",
        settings=settings,
        job_spec=JobSpec(block=True, job_name="cloudy"),
    )
    assert again.id == job.id
    assert "DONE" in job.get_logs()


REFUSED: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "no input": (SpecError, "exactly one of X, query and input_location", {}),
    "two inputs": (SpecError, "X and query were given", {"X": pa.table({"id": [1]}), "query": "SELECT 1 AS id"}),
    "text as X": (SpecError, "input_location=", {"X": "/data/rows"}),
    "a list as X": (SpecError, "is not an input", {"X": [1, 2]}),
    "no files": (EmptyInputError, "holds no files", {"input_location": "nowhere"}),
    "unknown model": (ModelError, "not a model reference", {"X": pa.table({"id": [1]}), "model": "gpt"}),
    "unknown module": (ModelError, "no_such_module", {"X": pa.table({"id": [1]}), "model": "python:no_such_module:X"}),
    "unknown engine": (
        SpecError,
        "not known",
        {"X": pa.table({"id": [1]}), "inference_engine_options": {"engine": "warp"}},
    ),
    "unknown pool": (SpecError, "no pool 'gpus'", {"X": pa.table({"id": [1]}), "compute_pool": "gpus"}),
    "unknown function": (
        ModelError,
        "no function 'train'",
        {"X": pa.table({"id": [1]}), "job_spec": JobSpec(function_name="train")},
    ),
    "unknown param": (
        SpecError,
        "temperature",
        {"X": pa.table({"id": [1]}), "input_spec": InputSpec(params={"temperature": 1})},
    ),
    "partition column": (
        SpecError,
        "takes no partitions",
        {"X": pa.table({"id": [1]}), "input_spec": InputSpec(partition_column="id")},
    ),
    "unknown file column": (
        SchemaError,
        "no column 'image'",
        {
            "X": pa.table({"id": [1]}),
            "input_spec": InputSpec(
                column_handling={"image": {"input_format": "full_stage_path", "convert_to": "base64"}}
            ),
        },
    ),
    "file column of numbers": (
        SchemaError,
        "not paths",
        {
            "X": pa.table({"id": [1]}),
            "input_spec": InputSpec(
                column_handling={"id": {"input_format": "full_stage_path", "convert_to": "base64"}}
            ),
        },
    ),
    "memory outside": (
        LocationError,
        "inline",
        {"X": pa.table({"id": [1]}), "output": "memory://x", "compute_pool": "local"},
    ),
    "unknown stage": (LocationError, "@nowhere", {"X": pa.table({"id": [1]}), "output": "@nowhere/x"}),
    "column named like an output": (
        SchemaError,
        "echo",
        {"X": pa.table({"id": [1], "ECHO": [1]}), "inference_engine_options": {"column": "id", "output_type": "int64"}},
    ),
    "column named _error": (
        SchemaError,
        "_error",
        {"X": pa.table({"id": [1], "_error": [1]}), "job_spec": JobSpec(on_error="record")},
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_wrong_request_is_refused_with_nothing_touched(case: str, settings: Settings, tmp_path: Path) -> None:
    error, words, request = REFUSED[case]
    output = tmp_path / "out"
    output.mkdir()
    (output / "old.parquet").write_bytes(b"old")
    before = sorted(tmp_path.rglob("*"))
    given = {"mode": "overwrite", **request}
    with pytest.raises(error, match=words):
        run(given.pop("output", output), **given)
    assert sorted(tmp_path.rglob("*")) == before
    assert (output / "old.parquet").read_bytes() == b"old"


def test_a_location_with_files_is_refused_in_error_mode_and_says_how_many(
    settings: Settings, table: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "a.txt").write_text("x")
    (output / "b.txt").write_text("x")
    with pytest.raises(OutputExistsError, match=r"2 files.*overwrite"):
        run(output, input_location=table)
    assert sorted(path.name for path in output.iterdir()) == ["a.txt", "b.txt"]


def test_overwrite_replaces_what_was_there(settings: Settings, table: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run(output, X=pa.table({"id": [1, 2, 3]})).status is JobStatus.DONE
    assert run(output, input_location=table, mode="overwrite").status is JobStatus.DONE
    assert ids(output) == list(range(100))


def test_a_failed_overwrite_leaves_the_old_output_as_it_was(settings: Settings, table: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run(output, X=pa.table({"id": [1, 2, 3]})).status is JobStatus.DONE
    job = run(output, input_location=table, mode="overwrite", inference_engine_options={"column": "id", "fail_on": [5]})
    assert job.status is JobStatus.FAILED
    assert ids(output) == [1, 2, 3]


def test_reading_without_a_sentinel_is_refused(settings: Settings, table: Path) -> None:
    with pytest.raises(OutputError, match="_SUCCESS"):
        gristmill.read_output(table)


def test_specs_may_be_given_in_parts_but_not_twice(settings: Settings, table: Path, tmp_path: Path) -> None:
    job = run(
        tmp_path / "out",
        input_stage_location=table,
        job_spec=JobSpec(block=True),
        resources_spec=gristmill.ResourcesSpec(replicas="2"),
        inference_spec=gristmill.InferenceSpec(max_batch_rows=7),
    )
    assert job.status is JobStatus.DONE, job.message
    assert job.target_instances == 2
    assert job.min_instances == 1
    with pytest.raises(SpecError, match="resources_spec.replicas"):
        run(
            tmp_path / "b",
            input_location=table,
            job_spec=JobSpec(replicas=2),
            resources_spec=gristmill.ResourcesSpec(replicas=3),
        )


def test_jobs_are_listed_found_by_name_and_deleted(settings: Settings, table: Path, tmp_path: Path) -> None:
    for number in range(3):
        run(tmp_path / f"out{number}", input_location=table, job_spec=JobSpec(job_name=f"job{number}", block=True))
    listed = gristmill.list_jobs(2)
    assert listed.columns[:8] == [
        "name", "status", "message", "owner", "compute_pool", "target_instances", "created_time", "completed_time",
    ]  # fmt: skip
    assert [row["name"] for row in listed.collect()] == ["job2", "job1"]
    job = gristmill.get_job("job1")
    assert gristmill.get_job(job.id).id == job.id
    gristmill.delete_job(job)
    assert job.status is JobStatus.DELETED
    with pytest.raises(JobNotFoundError, match="job1"):
        gristmill.get_job("job1")
    assert ids(tmp_path / "out1") == list(range(100))


def test_results_are_read_from_the_output_not_from_the_handle(settings: Settings, table: Path, tmp_path: Path) -> None:
    job = run(tmp_path / "out", input_location=table)
    with pytest.raises(JobStateError, match="read_output"):
        job.result()
    with pytest.raises(JobNotFoundError, match="dashboard"):
        job.get_ray_dashboard_url()
    assert job.manifest().rows == 100


def test_a_wait_that_is_too_short_raises_and_the_job_goes_on(settings: Settings, table: Path, tmp_path: Path) -> None:
    job = run(
        tmp_path / "out",
        input_location=table,
        job_spec=JobSpec(),
        inference_engine_options={"column": "id", "delay": 2.0},
    )
    with pytest.raises(TimeoutError, match="goes on"):
        job.wait(0.05)
    with pytest.raises(JobStateError, match="cancel"):
        gristmill.delete_job(job)
    assert job.wait(240) is JobStatus.DONE


HEAVY = (
    "airflow",
    "dagster",
    "daft",
    "duckdb",
    "joblib",
    "mlflow",
    "obstore",
    "pandas",
    "polars",
    "ray",
    "s3fs",
    "sklearn",
)


@pytest.mark.parametrize(
    "module", ["gristmill", "gristmill.api", "gristmill.submission.submit", "gristmill.runner.execute"]
)
def test_importing_brings_nothing_heavy_along(module: str) -> None:
    code = (
        f"import sys, {module}; print(*sorted(set(sys.modules) & set({(*HEAVY, 'torch', 'transformers', 'vllm')!r})))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_the_public_names_are_sorted_and_all_there() -> None:
    public = [name for name in gristmill.__all__ if not name.startswith("__")]
    assert public == sorted(public)
    assert all(getattr(gristmill, name) is not None for name in gristmill.__all__)


def test_a_rerun_may_allow_more_and_overwrite(settings: Settings, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.bin").write_bytes(b"abc")
    handling = {"image": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}}

    def attempt(mode: str, *allowed: str) -> gristmill.Job:
        return run(
            tmp_path / "out",
            model="python:tests.contract.models:Sizes",
            X=pa.table({"image": [str(files / "a.bin")]}),
            input_spec=InputSpec(column_handling=handling, allowed_locations=allowed),
            job_spec=JobSpec(job_name="again", block=True),
            inference_engine_options=None,
            mode=mode,
        )

    first = attempt("error")
    assert first.status is JobStatus.FAILED
    (tmp_path / "out" / "note.txt").write_text("in the way")
    second = attempt("overwrite", str(files))
    assert second.id == first.id
    assert second.status is JobStatus.DONE, second.message


def test_a_null_text_does_not_decide_the_type(settings: Settings, tmp_path: Path) -> None:
    def words(frame: pd.DataFrame) -> pd.DataFrame:
        if len(frame) > 1:
            raise ValueError("one at a time")
        return pd.DataFrame({"word": [None if frame["id"].iloc[0] == 0 else "yes"]})

    job = run(tmp_path / "out", model=words, X=pa.table({"id": [0, 1, 2]}), inference_engine_options=None)
    assert job.status is JobStatus.DONE, job.message
    assert gristmill.read_output(tmp_path / "out")["word"].to_pylist() == [None, "yes", "yes"]


def test_settings_given_in_code_are_all_that_a_runner_has(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("gristmill.toml").write_text("this is no toml")
    job = run(tmp_path / "out", X=pa.table({"id": [1]}), compute_pool="local", settings=settings)
    assert job.status is JobStatus.DONE, job.message


def test_a_runner_that_cannot_start_is_told_at_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "pyarrow.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONSTARTUP", "")
    monkeypatch.syspath_prepend(broken)
    with pytest.raises(GristmillError, match=r"runner's process could not start \(exit code 3\)"):
        run(tmp_path / "out", X=pa.table({"id": [1]}), compute_pool="local", job_spec=JobSpec())
    assert not (tmp_path / "out").exists()
