"""What a materialization shows, from real jobs and through a real materialization."""

from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from tests.dagster.finished import finished

from dagster_gristmill.metadata import column_schema, data_version, materialization_metadata, plain_schema
from gristmill import InputSpec, JobSpec
from gristmill.settings import Settings

ROWS = pa.table({"x": range(10)})


def test_counts_rates_times_and_place_are_shown_with_plain_names(settings: Settings, tmp_path: Path) -> None:
    job, manifest = finished(
        settings, ROWS, str(tmp_path / "out"), inference_engine_options={"count": 3, "column": "x", "delay": 0.05}
    )
    shown = materialization_metadata(job, manifest, partitioned=False)
    assert shown["location"] == shown["dagster/uri"] == str(tmp_path / "out")
    assert (shown["job"], shown["model"]) == (job.id, "echo:")
    assert (shown["rows"], shown["errors"], shown["dagster/row_count"]) == (10, 0, 10)
    counted = {name: value for name, value in shown.items() if name.endswith("tokens")}
    assert counted
    assert all(isinstance(value, int) and value == 30 for value in counted.values())
    assert shown["rows/s"] > 0
    assert shown["duration (s)"] == round((manifest.finished - manifest.started).total_seconds(), 3)
    assert shown["started"] == dg.MetadataValue.timestamp(manifest.started)
    assert shown["finished"].value - shown["started"].value == pytest.approx(shown["duration (s)"], abs=0.001)
    assert shown["worker hours"] == pytest.approx(shown["duration (s)"] / 3600, rel=0.5)
    assert "GPU hours" not in shown
    assert "![rows/s over" in shown["throughput"].value
    assert "10 rows" in shown["preview"].value


def test_rows_of_a_partition_are_not_told_as_those_of_the_asset(settings: Settings, tmp_path: Path) -> None:
    job, manifest = finished(settings, ROWS, str(tmp_path / "out"))
    shown = materialization_metadata(job, manifest, partitioned=True)
    assert shown["dagster/partition_row_count"] == 10
    assert "dagster/row_count" not in shown


def test_gpus_that_were_asked_for_are_part_of_the_cost(settings: Settings, tmp_path: Path) -> None:
    job, manifest = finished(settings, ROWS, str(tmp_path / "out"), job_spec=JobSpec(gpu_requests=4))
    shown = materialization_metadata(job, manifest, partitioned=False)
    assert shown["GPU hours"] == pytest.approx(4 * shown["worker hours"], rel=1e-2)


def test_columns_tell_what_they_are(settings: Settings, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_text("hello")
    job, manifest = finished(
        settings,
        pa.table({"x": [1], "file": [str(files / "a.txt")]}),
        str(tmp_path / "out"),
        input_spec=InputSpec(
            column_handling={"file": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}},
            allowed_locations=(str(files),),
        ),
        job_spec=JobSpec(on_error="record"),
        inference_engine_options={"column": "x", "output_type": "int64"},
    )
    columns = column_schema(job.request, manifest).columns
    assert [(column.name, column.type, column.tags["gristmill/role"]) for column in columns[:3]] == [
        ("x", "int64", "input"),
        ("file", "string", "input"),
        ("echo", "int64", "output"),
    ]
    assert [column.description for column in columns[:3]] == ["Input", "Input: names files", "Output of echo:"]
    assert (columns[3].name, columns[3].tags["gristmill/role"]) == ("_error", "error")


def test_a_forced_rerun_is_another_version_of_the_data_and_a_repetition_is_not(
    settings: Settings, tmp_path: Path
) -> None:
    first = finished(settings, ROWS, str(tmp_path / "out"), key="scores/2026.01")
    again = finished(settings, ROWS, str(tmp_path / "out"), key="scores/2026.01")
    forced = finished(settings, ROWS, str(tmp_path / "out"), key="scores/2026.01", force_rerun=True)
    assert data_version(again[1]) == data_version(first[1]) == dg.DataVersion(first[1].fingerprint)
    assert data_version(forced[1]) == dg.DataVersion(f"{first[1].fingerprint}.2")


def test_an_event_with_all_of_it_is_recorded_and_read_back(
    settings: Settings, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    @dg.asset
    def scores() -> dg.MaterializeResult:
        job, manifest = finished(settings, ROWS, str(tmp_path / "out"))
        shown = materialization_metadata(job, manifest, partitioned=False)
        return dg.MaterializeResult(metadata=shown, data_version=data_version(manifest))

    assert dg.materialize([scores], instance=instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey("scores"))
    assert event is not None
    materialization = event.asset_materialization
    assert materialization is not None
    metadata = materialization.metadata
    assert metadata["rows"] == dg.IntMetadataValue(10)
    assert isinstance(metadata["duration (s)"], dg.FloatMetadataValue)
    assert isinstance(metadata["preview"], dg.MarkdownMetadataValue)
    assert isinstance(metadata["started"], dg.TimestampMetadataValue)
    assert [column.name for column in metadata["dagster/column_schema"].value.columns] == ["x", "echo"]


def test_an_output_of_very_many_columns_makes_no_huge_event(settings: Settings, tmp_path: Path) -> None:
    wide = pa.table({f"column_{number}": [number] for number in range(600)})
    job, manifest = finished(settings, wide, str(tmp_path / "out"))
    metadata = materialization_metadata(job, manifest, partitioned=False)
    assert len(metadata["dagster/column_schema"].columns) == len(plain_schema(manifest).columns) == 500
    assert metadata["columns"] == len(manifest.columns) > 600
