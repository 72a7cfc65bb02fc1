"""OpenLineage: the events that Airflow's own provider sends for a task, and the names of datasets."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from airflow_gristmill.lineage import dataset_name, lineage_of_job, lineage_of_request
from gristmill import OutputSpec, Settings

RUN = """
import json, sys
from tests.airflow.in_process import run
done = run(sys.argv[1], conf=json.loads(sys.argv[2]))
print(done.log)
sys.exit(done.state != sys.argv[3])
"""

NAMES = {
    "/data/orders/": ("file", "/data/orders"),
    "/data/orders/2026-*/x.parquet": ("file", "/data/orders"),
    "/": ("file", "/"),
    "s3://lake/orders/day=1": ("s3://lake", "orders/day=1"),
    "s3://lake": ("s3://lake", "/"),
    "gs://lake/a/b*.csv": ("gs://lake", "a"),
    "abfs://box@account/a": ("abfs://box@account", "a"),
}


@pytest.mark.parametrize("location", NAMES)
def test_datasets_have_the_names_that_openlineage_gives_them(location: str) -> None:
    assert dataset_name(location) == NAMES[location]


def events_of(dag_id: str, conf: dict[str, Any], folder: Path, *, state: str) -> list[dict[str, Any]]:
    sink = folder / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(sink), "append": True}
    done = subprocess.run(
        [sys.executable, "-c", RUN, dag_id, json.dumps(conf), state],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "120",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OpenLineage process with pid" not in done.stdout, "asking for the lineage took too long"
    events = [json.loads(line) for line in sink.read_text().splitlines()]
    return [event for event in events if event["job"]["name"] == f"{dag_id}.score"]


def test_a_run_tells_what_was_read_and_written_with_schemas_and_counts(
    airflow_db: None, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "input").mkdir()
    pq.write_table(pa.table({"id": range(100)}), tmp_path / "input" / "a.parquet")
    conf = {"input": str(tmp_path / "input"), "output": str(tmp_path / "out")}
    events = events_of("batch_sync", conf, tmp_path, state="success")
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]
    for event in events:
        assert [(data["namespace"], data["name"]) for data in event["inputs"]] == [("file", conf["input"])]
        assert [(data["namespace"], data["name"]) for data in event["outputs"]] == [("file", conf["output"])]
    [output] = events[1]["outputs"]
    statistics = output["outputFacets"]["outputStatistics"]
    manifest = gristmill.read_manifest(conf["output"])
    assert (statistics["rowCount"], statistics["fileCount"]) == (100, len(manifest.files))
    assert statistics["size"] == sum(file.bytes for file in manifest.files)
    told = [(field["name"], field["type"]) for field in output["facets"]["schema"]["fields"]]
    assert told == [("id", "int64"), ("echo", "int64")]
    [read] = events[1]["inputs"]
    assert [field["name"] for field in read["facets"]["schema"]["fields"]] == ["id"]
    assert events[1]["run"]["facets"]["externalQuery"]["externalQueryId"] == manifest.job


def test_a_query_names_its_files_and_its_text(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    pq.write_table(pa.table({"id": range(3)}), tmp_path / "input" / "a.parquet")
    sql = f"SELECT id, 'no/w' AS note FROM '{tmp_path}/input/*.parquet'"
    job = gristmill.run_batch(
        "echo:", query=sql, compute_pool="inline", output_spec=OutputSpec(location=tmp_path / "out")
    )
    job.wait()
    lineage = lineage_of_job(job, job.manifest())
    assert lineage.job_facets["sql"].query == sql
    assert ("file", str(tmp_path / "input")) in [(data.namespace, data.name) for data in lineage.inputs]
    assert [(data.namespace, data.name) for data in lineage.outputs] == [("file", str(tmp_path / "out"))]


def test_a_failed_job_has_written_nothing_yet_and_says_where_it_would(settings: Settings, tmp_path: Path) -> None:
    job = gristmill.run_batch(
        "echo:",
        pa.table({"id": [1]}),
        compute_pool="inline",
        inference_engine_options={"column": "id", "fail_on": 1},
        output_spec=OutputSpec(location=tmp_path / "out"),
    )
    job.wait()
    [output] = lineage_of_job(job, None).outputs
    assert output.name == str(tmp_path / "out")
    assert not output.outputFacets


def test_before_there_is_a_job_its_arguments_tell_what_they_can(settings: Settings) -> None:
    given = {"query": None, "output_location": "s3://lake/scores"}
    listing = {"location": "/images/cats", "pattern": r".*\.jpg"}
    lineage = lineage_of_request(input_location=None, input_files=listing, **given)
    assert [(data.namespace, data.name) for data in lineage.inputs] == [("file", "/images/cats")]
    assert [(data.namespace, data.name) for data in lineage.outputs] == [("s3://lake", "scores")]
    assert lineage_of_request(input_location="@stage/orders", input_files=None, **given).inputs == []
