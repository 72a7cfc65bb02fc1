"""The examples run as they stand, on a fresh home; a second run computes only what it should."""

import importlib.util
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from tests.conftest import S3Server
from tests.docs.pages import ROOT

import gristmill
from gristmill.settings import Settings

EXAMPLES = ROOT / "example_dags" / "dagster"
FILES = sorted(EXAMPLES.glob("*.py"))
DAY = "2026-01-02"


@pytest.fixture
def base(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the examples' files, empty; jobs run in this process."""
    folder = tmp_path / "examples"
    monkeypatch.setenv("GRISTMILL_EXAMPLES", str(folder))
    monkeypatch.setenv("GRISTMILL_DEFAULT_POOL", "inline")
    return folder / "dagster"


def definitions(name: str) -> dg.Definitions:
    """What an example defines, as it is when the environment is what it is now."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    defs = module.defs
    dg.Definitions.validate_loadable(defs)
    return defs


def make(
    defs: dg.Definitions, instance: dg.DagsterInstance, *selection: str, **how: Any
) -> dict[str, dg.AssetMaterialization]:
    """Materialize assets; returns what was recorded, by asset."""
    assets = [one for one in defs.assets if not isinstance(one, dg.AssetSpec)]
    names = selection or tuple(key.to_user_string() for one in assets for key in one.keys)
    keys = [dg.AssetKey(name) for name in names]
    result = dg.materialize(defs.assets, resources=dict(defs.resources), selection=keys, instance=instance, **how)
    assert result.success
    return {
        event.materialization.asset_key.to_user_string(): event.materialization
        for event in result.get_asset_materialization_events()
    }


def values(made: dg.AssetMaterialization) -> dict[str, Any]:
    return {name: value.value for name, value in made.metadata.items()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_loaded_without_deprecations_and_without_heavy_libraries(file: Path) -> None:
    code = f"""
import sys, warnings
import dagster, dagster_gristmill
warnings.simplefilter("error", DeprecationWarning)
import importlib.util
spec = importlib.util.spec_from_file_location("example", {str(file)!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
heavy = {{"duckdb", "numpy", "pandas", "pyarrow", "ray", "sklearn", "torch"}} & set(sys.modules)
assert not heavy, heavy
assert "pip install" in module.__doc__
assert "dagster dev -f " in module.__doc__
assert "-f example_dags/dagster/{file.name}" in module.__doc__
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_days_scores_are_computed_once_and_the_report_reads_them(base: Path, instance: dg.DagsterInstance) -> None:
    nightly = definitions("nightly_scores")
    make(nightly, instance, "late_model")
    first = make(nightly, instance, "orders", "scores", partition_key=DAY)["scores"]
    assert values(first)["location"] == str(base / "sales/scores" / DAY)
    assert values(first)["rows"] == 1000
    again = make(nightly, instance, "scores", partition_key=DAY)["scores"]
    assert values(again)["job"] == values(first)["job"]
    report = make(definitions("scores_report"), instance, "scores_report", partition_key=DAY)["scores_report"]
    assert values(report)["orders"] == 1000
    assert 0 < values(report)["late"] < 1000


def test_the_report_refuses_a_day_without_scores(base: Path, instance: dg.DagsterInstance) -> None:
    with pytest.raises(Exception, match="never materialized"):
        make(definitions("scores_report"), instance, "scores_report", partition_key=DAY)


def test_the_schedule_asks_for_the_day_that_is_over(base: Path) -> None:
    repository = definitions("nightly_scores").get_repository_def()
    (schedule,) = repository.schedule_defs
    with dg.build_schedule_context(
        repository_def=repository, scheduled_execution_time=datetime(2026, 1, 3, tzinfo=UTC)
    ) as context:
        (asked,) = schedule.evaluate_tick(context).run_requests
    assert asked.partition_key == DAY


def test_pictures_are_classified_once_shown_and_read_rightly(base: Path, instance: dg.DagsterInstance) -> None:
    defs = definitions("classify_images")
    made = make(defs, instance)
    assert values(made["digits_read"])["rows"] == 1797
    assert "data:image" in values(made["digits_read"])["preview"]
    assert values(made["accuracy"])["share"] > 0.9
    again = make(defs, instance, "digits_read")["digits_read"]
    assert values(again)["job"] == values(made["digits_read"])["job"]
    forced = make(defs, instance, "digits_read", tags={"gristmill/force_rerun": "true"})["digits_read"]
    assert values(forced)["job"] != values(made["digits_read"])["job"]


def test_each_publication_is_told_of_once(base: Path, instance: dg.DagsterInstance) -> None:
    make(definitions("classify_images"), instance, "digits", "digits_read")
    defs = definitions("on_publication")
    (sensor,) = defs.sensors
    with dg.build_sensor_context(instance, resources=dict(defs.resources), definitions=defs) as context:
        tick = sensor.evaluate_tick(context)
    (event,) = tick.asset_events
    assert event.asset_key == dg.AssetKey("digits_published")
    assert len(tick.run_requests) == 1
    instance.report_runless_asset_event(event)
    noted = values(make(defs, instance, "publications")["publications"])
    assert (noted["rows"], noted["errors"]) == (1797, 0)
    with dg.build_sensor_context(
        instance, resources=dict(defs.resources), definitions=defs, cursor=tick.cursor
    ) as context:
        later = sensor.evaluate_tick(context)
    assert not later.run_requests
    assert not later.asset_events


def test_each_region_has_a_job_and_the_day_a_summary_of_all_answers(base: Path, instance: dg.DagsterInstance) -> None:
    defs = definitions("chat_by_region")
    jobs = set()
    for region in ("apac", "emea", "amer"):
        key = dg.MultiPartitionKey({"region": region, "day": DAY})
        made = make(defs, instance, "questions", "answers", partition_key=key)
        jobs.add(values(made["answers"])["job"])
        assert values(made["answers"])["location"] == str(base / "chats/answers" / DAY / region)
    assert len(jobs) == 3
    made = make(defs, instance, "chat_summary", partition_key=DAY)["chat_summary"]
    (text,) = gristmill.read_output(values(made)["location"], text=True)["response"].to_pylist()
    assert "I was charged twice." in text
    assert "Do you ship to Malta?" in text


def test_the_examples_work_in_a_bucket(
    s3: S3Server, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRISTMILL_EXAMPLES", f"{s3.root}/examples")
    monkeypatch.setenv("GRISTMILL_DEFAULT_POOL", "inline")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, s3.endpoint_url)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    nightly = definitions("nightly_scores")
    make(nightly, instance, "late_model")
    made = make(nightly, instance, "orders", "scores", partition_key=DAY)["scores"]
    assert values(made)["location"] == f"{s3.root}/examples/dagster/sales/scores/{DAY}"
    report = make(definitions("scores_report"), instance, "scores_report", partition_key=DAY)["scores_report"]
    assert values(report)["orders"] == 1000


def test_airflow_looks_for_dags_in_no_folder_of_the_examples() -> None:
    ignored = (EXAMPLES.parent / ".airflowignore").read_text().split()
    folders = {path.name for path in EXAMPLES.parent.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {f"{name}/" for name in folders} == set(ignored)
