"""Examining outputs, whole ones and those that were damaged in every way."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import EndpointConnectionError

import gristmill
from gristmill.chat.response import Choice, ResponseForm
from gristmill.errors import SpecError
from gristmill.jobs.examination import examine_output
from gristmill.jobs.handle import Job
from gristmill.outputs.checks import OutputChecks
from gristmill.outputs.examine import CheckFinding, Origin, examine, freshness
from gristmill.outputs.manifest import Column, Manifest, OutputFile, read_manifest
from gristmill.outputs.part import PartWriter
from gristmill.outputs.schema import ERROR_TYPE
from gristmill.outputs.sighting import Sighting, sight
from gristmill.storage.location import join
from gristmill.storage.storage import Storage
from tests.conftest import S3Server
from tests.outputs.conftest import Somewhere
from tests.outputs.work import Work

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
ROWS = 20


def run(storage: Storage, location: str, *, rows: int = ROWS, **options: Any) -> Job:
    """A job of the echo engine over `x`, 0 to `rows`; the row of the given `fail_on` fails."""
    return gristmill.run_batch(
        "echo:",
        pa.table({"x": pa.array(range(rows), pa.int64())}),
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location=location, mode="overwrite"),
        job_spec=gristmill.JobSpec(block=True, on_error="record"),
        inference_engine_options={"engine": "echo", "column": "x", **options},
        settings=storage.settings,
    )


def found(storage: Storage, location: str, checks: OutputChecks | None = None, **given: Any) -> dict[str, CheckFinding]:
    return {one.check: one for one in examine_output(storage, location, checks or OutputChecks(), **given)}


def write(storage: Storage, location: str, table: pa.Table, *, errors: int = 0, **fields: Any) -> Manifest:
    """An output of one file that holds the table, with its manifest."""
    name = "part-00000-a-b.parquet"
    with PartWriter(storage, join(location, name), table.schema) as part:
        for batch in table.to_batches():
            part.write(batch)
        size = part.close().bytes
    manifest = Manifest(
        **{
            "job": "job-a",
            "name": "scores",
            "fingerprint": "f",
            "model": "echo:",
            "function": "echo",
            "created": NOW - timedelta(hours=2),
            "started": NOW - timedelta(hours=1),
            "generation": 1,
            "finished": NOW,
            "rows": table.num_rows,
            "errors": errors,
            "columns": tuple(Column(field.name, str(field.type)) for field in table.schema),
            "files": (OutputFile(name, table.num_rows, size),),
            **fields,
        }
    )
    storage.write_bytes(join(location, "_SUCCESS"), manifest.to_bytes())
    return manifest


def nulls(storage: Storage, location: str, checks: OutputChecks | None = None, *, given: str = "x") -> CheckFinding:
    """The finding of `no_nulls` alone, where the input had the one column `given`."""
    origin = Origin(columns=(given,))
    (one,) = examine(
        storage, sight(storage, location), checks or OutputChecks(), origin=origin, now=NOW, names=["no_nulls"]
    )
    return one


def test_a_finished_output_passes_wherever_it_stands(place: Somewhere) -> None:
    job = run(place.storage, place.location)
    checks = OutputChecks(fresh_within=timedelta(days=1))
    findings = found(place.storage, place.location, checks, job=job.id)
    assert [(one.check, one.passed) for one in findings.values()] == [(name, True) for name in checks.names]
    assert findings["complete"].reason == "20 rows in, as many out, in 1 file"
    facts = findings["complete"].facts
    assert (facts["rows"], facts["rows_in"], facts["files"]) == (20, 20, 1)
    assert facts["bytes"] == sum(file.bytes for file in read_manifest(place.storage, place.location).files)
    assert findings["no_nulls"].facts == {"rows": 20, "nulls": 0, "columns": "echo"}


def test_an_output_of_no_rows_passes(storage: Storage, tmp_path: Path) -> None:
    run(storage, str(tmp_path / "out"), rows=0)
    assert all(one.passed for one in found(storage, str(tmp_path / "out")).values())


def test_one_of_many_files_that_is_gone_is_named(place: Somewhere) -> None:
    manifest = Work(place.storage, place.location, "job-a", shards=12).do().publish()
    assert found(place.storage, place.location)["complete"].passed
    gone = manifest.files[1].path
    place.storage.delete(join(place.location, gone))
    finding = found(place.storage, place.location)["complete"]
    assert not finding.passed
    assert f"{gone}' is missing, and the manifest names it (1 of 12 files are)" in finding.reason


def test_one_of_many_files_that_is_cut_short_is_named_with_its_sizes(place: Somewhere) -> None:
    file = Work(place.storage, place.location, "job-a", shards=12).do().publish().files[2]
    where = join(place.location, file.path)
    place.storage.write_bytes(where, place.storage.read_bytes(where)[:100])
    finding = found(place.storage, place.location)["complete"]
    assert not finding.passed
    assert f"{file.path}' has 100 bytes, the manifest says {file.bytes}" in finding.reason


def test_of_a_damaged_output_only_what_the_manifest_says_passes(storage: Storage, tmp_path: Path) -> None:
    job = run(storage, str(tmp_path / "out"))
    (tmp_path / "out" / job.manifest().files[0].path).unlink()
    passed = {name: one.passed for name, one in found(storage, str(tmp_path / "out")).items()}
    assert passed == {"complete": False, "error_rate": True, "no_nulls": False}


def test_a_file_of_the_right_size_without_a_footer_is_named(place: Somewhere) -> None:
    run(place.storage, place.location)
    file = read_manifest(place.storage, place.location).files[0]
    place.storage.write_bytes(join(place.location, file.path), b"x" * file.bytes)
    findings = found(place.storage, place.location)
    assert not findings["complete"].passed
    assert f"{file.path}' is no Parquet file that can be read" in findings["complete"].reason
    assert "not known" in findings["no_nulls"].reason


def test_rows_of_a_footer_that_are_not_the_manifests_are_told(storage: Storage, tmp_path: Path) -> None:
    where = str(tmp_path / "out")
    manifest = write(storage, where, pa.table({"x": [1, 2], "y": [1, 2]}))
    more = tuple(OutputFile(file.path, 3, file.bytes) for file in manifest.files)
    storage.write_bytes(join(where, "_SUCCESS"), manifest.model_copy(update={"files": more, "rows": 3}).to_bytes())
    assert "holds 2 rows, the manifest says 3" in found(storage, where)["complete"].reason
    storage.write_bytes(join(where, "_SUCCESS"), manifest.model_copy(update={"rows": 3}).to_bytes())
    finding = found(storage, where)["complete"]
    assert not finding.passed
    assert finding.reason == "the files hold 2 rows, the manifest says 3"


def test_fewer_rows_out_than_in_are_told(storage: Storage, tmp_path: Path) -> None:
    job = run(storage, str(tmp_path / "out"))
    finding = found(storage, job.location, rows_in=21)["complete"]
    assert (finding.passed, finding.reason) == (False, "21 rows in, 20 rows out")


def test_an_unknown_number_of_rows_is_said_and_is_no_fault(storage: Storage, tmp_path: Path) -> None:
    job = run(storage, str(tmp_path / "out"))
    location = job.location
    gristmill.delete_job(job, settings=storage.settings)
    finding = found(storage, location, job=job.id)["complete"]
    assert finding.passed
    assert "how many rows went in is not known" in finding.reason
    assert "rows_in" not in finding.facts


def test_a_query_counts_its_rows_in(storage: Storage, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": range(7)}), tmp_path / "in.parquet")
    job = gristmill.run_batch(
        "echo:",
        compute_pool="inline",
        query=f"SELECT x FROM '{tmp_path / 'in.parquet'}' WHERE x > 2",
        output_spec=gristmill.OutputSpec(location=str(tmp_path / "out"), mode="overwrite"),
        job_spec=gristmill.JobSpec(block=True),
        settings=storage.settings,
    )
    assert found(storage, job.location)["complete"].facts["rows_in"] == 4


def test_the_output_of_another_job_is_not_this_ones(storage: Storage, tmp_path: Path) -> None:
    mine, other = run(storage, str(tmp_path / "out")), run(storage, str(tmp_path / "out"), rows=3)
    finding = found(storage, mine.location, job=mine.id)["complete"]
    assert not finding.passed
    assert repr(other.id) in finding.reason
    assert repr(mine.id) in finding.reason
    assert found(storage, mine.location, job=other.id)["complete"].passed


def test_without_a_sentinel_every_check_fails(place: Somewhere) -> None:
    run(place.storage, place.location)
    place.storage.delete(join(place.location, "_SUCCESS"))
    findings = found(place.storage, place.location, OutputChecks(fresh_within="P1D"))  # type: ignore[arg-type]
    assert [one.passed for one in findings.values()] == [False] * 4
    assert {one.reason for one in findings.values()} == {
        f"there is no _SUCCESS at {place.location!r}, so no finished output"
    }


@pytest.mark.parametrize(("content", "flaw"), [(b"", "empty"), (b"{}", "not a manifest")])
def test_another_tools_sentinel_tells_nothing_but_its_age(place: Somewhere, content: bytes, flaw: str) -> None:
    run(place.storage, place.location)
    place.storage.write_bytes(join(place.location, "_SUCCESS"), content)
    findings = found(place.storage, place.location, OutputChecks(fresh_within="P1D"))  # type: ignore[arg-type]
    assert {name: one.passed for name, one in findings.items()} == {
        "complete": False,
        "error_rate": False,
        "no_nulls": False,
        "fresh": True,
    }
    assert f"is {flaw}" in findings["complete"].reason


def test_failed_rows_count_against_the_bound(storage: Storage, tmp_path: Path) -> None:
    job = run(storage, str(tmp_path / "out"), fail_on=3)
    strict = found(storage, job.location)["error_rate"]
    assert (strict.passed, strict.facts["error_rate"]) == (False, 0.05)
    assert strict.reason == "1 of 20 rows failed, a rate of 0.05, more than 0"
    assert found(storage, job.location, OutputChecks(max_error_rate=0.05))["error_rate"].passed


def test_nulls_of_failed_rows_do_not_count(storage: Storage, tmp_path: Path) -> None:
    job = run(storage, str(tmp_path / "out"), fail_on=3)
    finding = found(storage, job.location)["no_nulls"]
    assert (finding.passed, finding.facts["nulls"]) == (True, 0)
    assert finding.reason == "no null in echo in 19 rows without an error"


VALUES = {
    "number": [1, None, 3],
    "real": [1.5, None, float("nan")],
    "text": ["a", None, ""],
    "vector": [[1.0, 2.0], None, []],
    "struct": [{"a": None}, None, {"a": 1}],
}
TYPES = {"struct": pa.struct([("a", pa.int64())]), "vector": pa.list_(pa.float32())}


@pytest.mark.parametrize("name", VALUES)
def test_a_null_is_counted_in_columns_of_all_kinds(storage: Storage, tmp_path: Path, name: str) -> None:
    error = pa.array([None, None, None, {"type": "E"}], ERROR_TYPE)
    values = pa.array([*VALUES[name], None], TYPES.get(name))
    write(storage, str(tmp_path), pa.table({"x": [1, 2, 3, 4], "y": values, "_error": error}), errors=1)
    finding = nulls(storage, str(tmp_path))
    assert (finding.passed, finding.facts["nulls"]) == (False, 1)
    assert finding.reason == "null: 'y' in 1 of 3 rows without an error"


@pytest.mark.parametrize("name", VALUES)
def test_without_nulls_all_kinds_pass(storage: Storage, tmp_path: Path, name: str) -> None:
    values = pa.array([VALUES[name][0], VALUES[name][2]], TYPES.get(name))
    write(storage, str(tmp_path), pa.table({"x": [None, 2], "y": values}))
    assert nulls(storage, str(tmp_path)).passed


def test_named_columns_are_looked_at_and_no_others(storage: Storage, tmp_path: Path) -> None:
    write(storage, str(tmp_path), pa.table({"x": [None, 1], "y": [1, None], "z": [1, 2], "a.b": [None, 2]}))
    given = {name: nulls(storage, str(tmp_path), OutputChecks(no_nulls=(name,))).passed for name in ("x", "y", "z")}
    assert given == {"x": False, "y": False, "z": True}
    assert nulls(storage, str(tmp_path), OutputChecks(no_nulls=("a.b",))).facts["nulls"] == 1


def test_a_column_that_is_not_there_is_named_with_those_that_are(storage: Storage, tmp_path: Path) -> None:
    write(storage, str(tmp_path), pa.table({"x": [1], "y": [1], "_error": pa.nulls(1, ERROR_TYPE)}))
    finding = nulls(storage, str(tmp_path), OutputChecks(no_nulls=("label",)))
    assert (finding.passed, finding.reason) == (False, "no_nulls: there is no column 'label'; there are x, y")


def test_an_error_column_of_the_input_is_an_ordinary_one(storage: Storage, tmp_path: Path) -> None:
    error = pa.array([{"type": "E"}, None], ERROR_TYPE)
    write(storage, str(tmp_path), pa.table({"_error": error, "y": [None, 1]}))
    assert nulls(storage, str(tmp_path), given="_error").facts["nulls"] == 1


def test_the_models_columns_are_not_guessed_once_the_record_is_gone(storage: Storage, tmp_path: Path) -> None:
    job = run(storage, str(tmp_path / "out"))
    location = job.location
    gristmill.delete_job(job, settings=storage.settings)
    finding = found(storage, location)["no_nulls"]
    assert not finding.passed
    assert "among x, echo" in finding.reason
    assert found(storage, location, OutputChecks(no_nulls=("echo",)))["no_nulls"].passed


@pytest.mark.parametrize("prefix", ["", "chat_"])
@pytest.mark.parametrize(
    ("choices", "is_null"),
    [
        ([Choice(0, "Hi", "stop")], False),
        ([Choice(0, "", "length")], False),
        ([Choice(0, "Hi", "stop"), Choice(1, None, "stop")], False),
        ([Choice(0, None, "tool_calls")], True),
        ([], True),
        (None, True),
    ],
)
def test_an_answer_is_null_where_it_has_no_text(
    storage: Storage, tmp_path: Path, prefix: str, choices: list[Choice] | None, *, is_null: bool
) -> None:
    form = ResponseForm(prefix=prefix)
    good = form.row(id=None, created=None, model=None, choices=[Choice(0, "Yes", "stop")])
    row = (
        {**good, f"{prefix}choices": None}
        if choices is None
        else form.row(id=None, created=None, model=None, choices=choices)
    )
    failed = dict.fromkeys(form.schema.names)
    table = pa.Table.from_pylist([good, row, failed], form.schema)
    table = table.append_column("_error", pa.array([None, None, {"type": "E"}], ERROR_TYPE))
    write(storage, str(tmp_path), table.add_column(0, "x", pa.array([1, 2, 3])), errors=1)
    finding = nulls(storage, str(tmp_path))
    assert finding.facts == {"rows": 3, "nulls": int(is_null), "columns": f"{prefix}choices"}
    assert finding.passed is not is_null


def test_an_envelope_is_looked_at_when_it_is_named(storage: Storage, tmp_path: Path) -> None:
    form = ResponseForm()
    row = form.row(id=None, created=0, model="m", choices=[Choice(0, "Yes", "stop")])
    write(storage, str(tmp_path), pa.Table.from_pylist([row], form.schema))
    assert nulls(storage, str(tmp_path), OutputChecks(no_nulls=("id",))).facts["nulls"] == 1


def test_a_chats_output_passes(storage: Storage, tmp_path: Path) -> None:
    messages = [[{"role": "user", "content": text}] for text in ("hi", "no", "yes")]
    job = gristmill.run_batch(
        "echo:chat",
        pa.table({"messages": messages}),
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location=str(tmp_path / "out"), mode="overwrite"),
        job_spec=gristmill.JobSpec(block=True, on_error="record"),
        inference_engine_options={"engine": "echo", "fail_on": "no", "response_column": "answer"},
        settings=storage.settings,
    )
    finding = found(storage, job.location)["no_nulls"]
    assert (finding.passed, finding.facts["columns"]) == (True, "choices, answer")


def test_statistics_spare_the_values(storage: Storage, tmp_path: Path) -> None:
    where = str(tmp_path)
    manifest = write(storage, where, pa.table({"x": range(1000), "y": range(1000)}))
    file = tmp_path / manifest.files[0].path
    footer = file.stat().st_size - int.from_bytes(file.read_bytes()[-8:-4], "little") - 8
    file.write_bytes(b"\0" * footer + file.read_bytes()[footer:])  # all values are gone, the footer stands
    assert nulls(storage, where).passed


def test_values_that_cannot_be_read_are_a_flaw_of_the_file(storage: Storage, tmp_path: Path) -> None:
    where = str(tmp_path)
    manifest = write(storage, where, pa.table({"x": range(1000), "y": [float(x) for x in range(1000)]}))
    file = tmp_path / manifest.files[0].path
    footer = file.stat().st_size - int.from_bytes(file.read_bytes()[-8:-4], "little") - 8
    file.write_bytes(b"\xff" * footer + file.read_bytes()[footer:])  # reals have no statistics
    finding = nulls(storage, where)
    assert not finding.passed
    assert "no Parquet file that can be read" in finding.reason


@pytest.mark.parametrize(("hours", "passed"), [(23, True), (24, True), (24.01, False)])
def test_fresh_is_what_was_finished_within_the_time(
    storage: Storage, tmp_path: Path, hours: float, passed: bool
) -> None:
    write(storage, str(tmp_path), pa.table({"x": [1]}))
    finding = freshness(sight(storage, str(tmp_path)), timedelta(days=1), now=NOW + timedelta(hours=hours))
    assert finding.passed is passed
    assert finding.facts == {"age_hours": hours, "finished": "2026-01-02T12:00:00+00:00"}


def test_a_finish_in_the_future_is_fresh_and_of_no_age(storage: Storage, tmp_path: Path) -> None:
    write(storage, str(tmp_path), pa.table({"x": [1]}))
    finding = freshness(sight(storage, str(tmp_path)), timedelta(days=1), now=NOW - timedelta(minutes=5))
    assert (finding.passed, finding.facts["age_hours"]) == (True, 0.0)


def test_a_foreign_sentinel_of_no_known_time_is_not_fresh() -> None:
    finding = freshness(Sighting("/out", exists=True, flaw="empty"), timedelta(days=1), now=NOW)
    assert not finding.passed
    assert "does not tell when" in finding.reason


def test_only_the_checks_that_are_named_are_made(storage: Storage, tmp_path: Path) -> None:
    job = run(storage, str(tmp_path / "out"))
    assert list(found(storage, job.location, names=["no_nulls", "complete"])) == ["complete", "no_nulls"]
    with pytest.raises(SpecError, match="'fresh' is not asked for; the checks are complete, error_rate, no_nulls"):
        found(storage, job.location, names=["fresh"])


def test_a_storage_out_of_reach_is_an_error_and_no_finding(s3: S3Server) -> None:
    options = {"s3": {"endpoint_url": "http://127.0.0.1:9", "config_kwargs": {"retries": {"max_attempts": 1}}}}
    away = Storage(s3.settings.model_copy(update={"storage_options": options}))
    with pytest.raises(EndpointConnectionError, match="127.0.0.1:9"):
        found(away, f"{s3.root}/out")


def test_a_large_manifest_is_examined_with_all_its_files(storage: Storage, tmp_path: Path) -> None:
    where = str(tmp_path)
    manifest = write(storage, where, pa.table({"x": [1, 2], "y": [1, 2]}))
    (file,) = manifest.files
    content = (tmp_path / file.path).read_bytes()
    many = [OutputFile(f"part-{number:05d}-{'a' * 200}-b.parquet", 2, file.bytes) for number in range(4000)]
    for one in many[:3999]:
        (tmp_path / one.path).write_bytes(content)
    storage.write_bytes(
        join(where, "_SUCCESS"), manifest.model_copy(update={"files": tuple(many), "rows": 8000}).to_bytes()
    )
    finding = found(storage, where)["complete"]
    assert (finding.passed, finding.facts["files"]) == (False, 4000)
    assert many[3999].path in finding.reason
    (tmp_path / many[3999].path).write_bytes(content)
    assert found(storage, where)["complete"].passed
