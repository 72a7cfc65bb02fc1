"""The example DAGs run as they stand, on a fresh home; a second run computes only what it should."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.airflow.conftest import EXAMPLES
from tests.airflow.in_process import Run, load_dag
from tests.conftest import S3Server
from tests.docs.pages import ROOT, blocks

import gristmill
from gristmill.settings import Settings

DAY = datetime(2026, 1, 2, tzinfo=UTC)  # its runs are about the day before
FILES = sorted(EXAMPLES.glob("*.py"))

RunDag = Callable[..., Run]


@pytest.fixture
def base(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the examples' files, empty."""
    folder = tmp_path / "examples"
    monkeypatch.setenv("GRISTMILL_EXAMPLES", str(folder))
    return folder


def outcome(run: Run, task_id: str, **which: Any) -> Any:
    assert run.state == "success", run.log
    return run.xcom(task_id, **which)


def asset_events(run: Run) -> list[Any]:
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(AssetEvent).filter_by(source_dag_id=run.dag_run.dag_id, source_run_id=run.run_id).all()
        session.expunge_all()
    return found


def generation(job_id: str) -> int:
    return gristmill.get_job(job_id).record.latest().generation


def deferring(dag_id: str, task_id: str) -> Any:
    dag = load_dag(dag_id)
    dag.get_task(task_id).deferrable = True
    return dag


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_imported_without_a_warning_and_without_heavy_libraries(file: Path, airflow_db: None) -> None:
    code = f"""
import sys, warnings
from airflow import sdk
import airflow_gristmill.decorator, airflow_gristmill.operator, airflow_gristmill.sentinel_sensor
warnings.simplefilter("error")
import importlib.util
spec = importlib.util.spec_from_file_location("example", {str(file)!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
heavy = {{"duckdb", "numpy", "pandas", "pyarrow", "ray", "sklearn", "torch"}} & set(sys.modules)
assert not heavy, heavy
assert module.__doc__ and "pip install" in module.__doc__
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("deferrable", [False, True])
def test_pictures_are_classified_once_however_often_the_dag_runs(run_dag: RunDag, base: Path, deferrable: bool) -> None:
    def dag() -> Any:
        return deferring("gristmill_classify_images", "classify") if deferrable else "gristmill_classify_images"

    first = run_dag(dag())
    summary = outcome(first, "classify")
    assert (summary["rows"], summary["errors"]) == (1797, 0)
    assert first.xcom("report") > 0.9
    (event,) = asset_events(first)
    assert {name: event.extra[name] for name in ("job", "rows", "errors")} == {
        "job": summary["job"],
        "rows": 1797,
        "errors": 0,
    }

    again = run_dag(dag())
    assert outcome(again, "classify") == summary
    assert len(gristmill.list_jobs().to_pandas()) == 1
    assert generation(summary["job"]) == 1

    forced = outcome(run_dag(dag(), conf={"force": True}), "classify")
    assert forced["finished"] > summary["finished"]


def test_a_days_scores_are_computed_once_and_each_day_is_a_job(run_dag: RunDag, base: Path) -> None:
    first = outcome(run_dag("gristmill_nightly_scores", logical_date=DAY), "score")
    assert first["location"] == str(base / "sales/scores/2026-01-01")
    assert first["rows"] == 1000
    assert outcome(run_dag("gristmill_nightly_scores", logical_date=DAY), "score") == first
    other = outcome(run_dag("gristmill_nightly_scores", logical_date=datetime(2026, 1, 3, tzinfo=UTC)), "score")
    assert other["location"] == str(base / "sales/scores/2026-01-02")
    assert {gristmill.get_job(one["job"]).request.key for one in (first, other)} == {
        "gristmill_nightly_scores/score/2026-01-01",
        "gristmill_nightly_scores/score/2026-01-02",
    }
    assert len(gristmill.list_jobs().to_pandas()) == 2


def test_the_nightly_job_runs_by_hand_without_a_date(run_dag: RunDag, base: Path) -> None:
    run = run_dag("gristmill_nightly_scores", logical_date=None)
    assert outcome(run, "score")["location"].startswith(str(base / "sales/scores/manual__"))


def test_the_report_reads_the_scores_that_it_has_waited_for(run_dag: RunDag, base: Path) -> None:
    summary = outcome(run_dag("gristmill_nightly_scores", logical_date=DAY), "score")
    run = run_dag("gristmill_scores_report", logical_date=DAY)
    report = outcome(run, "report")
    assert run.xcom("wait") == summary
    assert report["orders"] == 1000
    assert 0 < report["late"] < 1000


def test_the_report_does_not_take_scores_from_before_the_day_was_over(run_dag: RunDag, base: Path) -> None:
    ahead = datetime(2100, 1, 2, tzinfo=UTC)  # its scores cannot have been finished after it
    outcome(run_dag("gristmill_nightly_scores", logical_date=ahead), "score")
    dag = load_dag("gristmill_scores_report")
    wait = dag.get_task("wait")
    wait.deferrable, wait.timeout, wait.poke_interval = False, 0.3, 0.1
    run = run_dag(dag, logical_date=ahead)
    assert run.state == "failed"
    assert "not newer than 2100-01-02T00:00:00Z" in run.log


def test_each_region_has_a_job_and_the_day_a_summary_of_all_answers(run_dag: RunDag, base: Path) -> None:
    run = run_dag("gristmill_chat_by_region", logical_date=DAY)
    summary = outcome(run, "summarize")
    answers = [run.xcom("answer", map_index=place) for place in range(3)]
    assert [one["location"].removeprefix(f"{base}/chats/") for one in answers] == [
        "answers/2026-01-01/apac",
        "answers/2026-01-01/emea",
        "answers/2026-01-01/amer",
    ]
    assert [one["rows"] for one in answers] == [2, 3, 1]
    assert answers[0]["tokens"]["output_tokens"] > 0
    (text,) = gristmill.read_output(summary["location"], text=True)["response"].to_pylist()
    assert "I was charged twice." in text
    assert "Do you ship to Malta?" in text

    again = run_dag("gristmill_chat_by_region", logical_date=DAY)
    assert outcome(again, "summarize") == summary
    assert [again.xcom("answer", map_index=place) for place in range(3)] == answers


def test_another_chat_model_is_chosen_when_the_run_is_started(run_dag: RunDag, base: Path) -> None:
    run = run_dag("gristmill_chat_by_region", logical_date=DAY, conf={"model": "echo:nonsense"})
    assert run.state == "failed"
    assert "'echo:nonsense'" in run.log


def test_the_consumer_runs_by_hand_and_has_seen_nothing(run_dag: RunDag, base: Path) -> None:
    assert outcome(run_dag("gristmill_on_publication"), "note") == []


def test_the_consumer_watches_what_the_pictures_job_publishes(base: Path) -> None:
    dag = load_dag("gristmill_on_publication")
    (asset,) = dag.timetable.asset_condition.objects
    (watcher,) = asset.watchers
    assert (
        watcher.trigger.location == load_dag("gristmill_classify_images").get_task("classify").output_spec["location"]
    )


def test_the_readmes_dag_is_one(airflow_db: None, tmp_path: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    (shown,) = [text for language, text in blocks(ROOT / "README.md") if language == "python" and "DAG(" in text]
    (tmp_path / "shown.py").write_text(shown)
    bag = DagBag(dag_folder=tmp_path)
    assert bag.import_errors == {}
    assert bag.dags["totals"].get_task("total").deferrable


def test_the_examples_work_in_a_bucket(run_dag: RunDag, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRISTMILL_EXAMPLES", f"{s3.root}/examples")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, s3.endpoint_url)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    run = run_dag("gristmill_nightly_scores", logical_date=DAY)
    assert outcome(run, "score")["location"] == f"{s3.root}/examples/sales/scores/2026-01-01"
    report = run_dag("gristmill_scores_report", logical_date=DAY)
    assert outcome(report, "report")["orders"] == 1000
    assert outcome(run_dag("gristmill_chat_by_region", logical_date=DAY), "summarize")["rows"] == 1
    assert outcome(run_dag("gristmill_classify_images"), "classify")["errors"] == 0
