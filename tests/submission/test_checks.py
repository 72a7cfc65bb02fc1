"""What is refused before anything is written: outputs that would replace what is needed, and places that cannot be."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill import JobSpec, JobStatus, OutputSpec, Settings
from gristmill.errors import LocationError, SpecError
from gristmill.inputs.files import FilesSource
from gristmill.storage.storage import FileInfo
from gristmill.submission.checks import check_overlap


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": [1, 2]}), path)
    return path


def run(output: Path | str, X: Any = None, **options: Any) -> gristmill.Job:
    return gristmill.run_batch(
        options.pop("model", "echo:"),
        X,
        output_spec=OutputSpec(location=output, mode="overwrite"),
        compute_pool="inline",
        job_spec=options.pop("job_spec", JobSpec(block=True)),
        inference_engine_options=options.pop("engine", {"column": "id"}),
        **options,
    )


def refused(match: str, output: Path | str, X: Any = None, **options: Any) -> None:
    with pytest.raises(SpecError, match=match):
        run(output, X, **options)


@pytest.fixture
def out(settings: Settings, tmp_path: Path) -> Path:
    """A folder with a Parquet file, in the way."""
    return write(tmp_path / "n2" / "a.parquet").parent


def test_a_linked_folder_into_the_output_is_an_overlap(out: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(out)
    refused("holds the input", out, input_location=tmp_path / "link")
    refused("holds the input", tmp_path / "link", input_location=out)


def test_a_linked_file_into_the_output_is_an_overlap(out: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").symlink_to(out / "a.parquet")
    refused("holds the input", out, input_location=tmp_path / "in")


def test_a_glob_into_the_output_is_an_overlap(out: Path, tmp_path: Path) -> None:
    refused("holds the input", out, input_location=tmp_path / "n[2]" / "*.parquet")


def test_a_listing_of_the_output_is_an_overlap(out: Path) -> None:
    refused("holds the listed files", out, gristmill.list_files(str(out)), engine={"column": "FILE_PATH"})


def test_a_model_in_the_output_is_an_overlap(out: Path, tmp_path: Path) -> None:
    import cloudpickle
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    (out / "model.pkl").write_bytes(cloudpickle.dumps(model))
    refused("holds the model", out, pa.table({"x": [1.0]}), model=str(out / "model.pkl"), engine=None)


def test_a_home_in_the_output_is_an_overlap(settings: Settings, tmp_path: Path) -> None:
    refused("holds the settings' home", tmp_path, pa.table({"id": [1]}))
    (tmp_path / "link").symlink_to(tmp_path)
    refused("holds the settings' home", tmp_path / "link" / "home", pa.table({"id": [1]}))
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("given", ["", "**/*.parquet", "*", "o*", "**", "*/*.parquet"])
def test_an_output_that_the_next_run_would_read_is_refused(settings: Settings, tmp_path: Path, given: str) -> None:
    write(tmp_path / "in" / "sub" / "a.parquet")
    write(tmp_path / "in" / "o.parquet")
    refused("next run", tmp_path / "in" / "out", input_location=f"{tmp_path}/in/{given}")


@pytest.mark.parametrize(("given", "name"), [("*.parquet", "out"), ("su*", "out"), ("", "_out"), ("**/a.*", "out")])
def test_an_output_that_no_run_would_read_may_stand_beside_the_input(
    settings: Settings, tmp_path: Path, given: str, name: str
) -> None:
    write(tmp_path / "in" / "sub" / "a.parquet")
    write(tmp_path / "in" / "a.parquet")
    job = run(tmp_path / "in" / name, input_location=f"{tmp_path}/in/{given}")
    assert job.status is JobStatus.DONE, job.message


def test_many_files_ask_each_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [FileInfo(f"{tmp_path}/in/d{number % 10}/{number}.parquet", 1, "1") for number in range(10_000)]
    asked: list[str] = []
    islink = os.path.islink
    monkeypatch.setattr(os.path, "islink", lambda path: asked.append(str(path)) or islink(path))
    source = FilesSource("parquet", f"{tmp_path}/in", files, pa.schema([]))
    check_overlap(f"{tmp_path}/out", source=source, rows=None, home=f"{tmp_path}/home", model="echo:")
    assert len(asked) < 10_000 + 50


def test_the_root_is_no_place(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to("/")
    for place in ("/", "file:///", tmp_path / "root"):
        with pytest.raises(LocationError, match=r"output_spec\.location .* is the root"):
            run(place, pa.table({"id": [1]}))


def test_a_file_in_the_way_is_named_with_its_field(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    for place in (file, file / "out", file / "a" / "b"):
        with pytest.raises(LocationError, match=r"output_spec\.location .* is a file; give a folder"):
            run(place, pa.table({"id": [1]}))
        monkeypatch.setenv("GRISTMILL_HOME", str(place))
        with pytest.raises(LocationError, match=r"settings\.home .* is a file; give a folder"):
            run(tmp_path / "out", pa.table({"id": [1]}))
        monkeypatch.setenv("GRISTMILL_HOME", str(tmp_path / "home"))


def test_more_workers_than_a_machine_has_are_refused(settings: Settings, tmp_path: Path) -> None:
    how = JobSpec(replicas=1_000, num_workers=2)
    refused("at most 1,024 workers", tmp_path / "out", pa.table({"id": [1]}), job_spec=how)
