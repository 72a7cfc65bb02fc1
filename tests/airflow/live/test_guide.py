"""The page `docs/airflow.md`, followed from its top to its backfill: its files and its commands as they stand."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.airflow.live.stillness import still
from tests.airflow.rest import Rest
from tests.airflow.standalone import Standalone
from tests.docs.pages import ROOT, blocks, write_files

import gristmill
from gristmill.settings import Settings

PAGE = ROOT / "docs" / "airflow.md"
DAYS = [str(date(2026, 1, 1) + timedelta(days=number)) for number in range(20)]
TOTAL = 2 * sum(row / 4 for row in range(500)) * 1.2
DAGS = ("daily_gross", "large_orders", "gross_report", "on_totals", "gross_by_region")


def commands(tool: str, *, holding: str) -> list[list[str]]:
    """The arguments of the page's commands of a tool that hold a text, in their order."""
    shown = "".join(text for language, text in blocks(PAGE) if language == "bash")
    lines = shown.replace("\\\n", "").splitlines()
    found = [shlex.split(line) for line in lines if line.startswith(f"{tool} ") and holding in line]
    assert found, f"the page has no command of {tool} with {holding!r}"
    return [words[1:] for words in found]


@pytest.fixture(scope="module")
def rest(airflow: Standalone) -> Rest:
    """A server whose home is the folder in which the page is followed."""
    page = airflow.home / "page"
    assert write_files(PAGE, page) == ["setup.py", "dags/shop.py", *(f"dags/{name}.py" for name in DAGS)]
    shell(airflow, sys.executable, "page/setup.py")
    shutil.copy(page / "dags/shop.py", airflow.dags)
    assert set(airflow.add_dags(*(page / f"dags/{name}.py" for name in DAGS))) == set(DAGS)
    for command in commands("airflow", holding="dags unpause"):
        type_in(airflow, *command)
    return airflow.rest


@pytest.fixture
def lake(airflow: Standalone, rest: Rest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's data; jobs are looked up in the server's home."""
    monkeypatch.setenv("GRISTMILL_HOME", str(airflow.home / "gristmill"))
    return airflow.home / "lake"


def shell(airflow: Standalone, *command: str) -> str:
    environment = {**os.environ, "GRISTMILL_HOME": str(airflow.home / "gristmill")}
    done = subprocess.run(command, cwd=airflow.home, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def type_in(airflow: Standalone, *arguments: str) -> None:
    """An `airflow` command; one that makes a backfill has the database to itself."""
    with still(airflow) if arguments[0] == "backfill" else contextlib.nullcontext():
        airflow.cli(*arguments)


def until(look: Callable[[], Any], *, story: str) -> Any:
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < deadline, story
        time.sleep(0.5)
    return found


def newest(rest: Rest) -> int:
    """The id of the newest backfill of the page's DAG."""
    return max(one["id"] for one in rest.call("GET", "/backfills", dag_id="daily_gross")["backfills"])


def generations(dag_id: str) -> dict[str, int]:
    """The jobs of a DAG, each with how often a runner has worked at it."""
    records = Settings.load()
    listed = gristmill.list_jobs(limit=1_000, settings=records).to_pandas()
    jobs = [gristmill.get_job(one) for one in listed["id"]]
    return {job.id: job.record.latest().generation for job in jobs if (job.request.key or "").startswith(f"{dag_id}/")}


def test_the_first_run_computes_the_day_before(airflow: Standalone, rest: Rest, lake: Path) -> None:
    (command,) = commands("airflow", holding="daily_gross --from-date 2026-01-01 --to-date 2026-01-01")
    type_in(airflow, *command)
    (run,) = until(lambda: rest.runs("daily_gross"), story="the backfill has no run")
    rest.wait_for_run("daily_gross", run["dag_run_id"])
    summary = rest.xcom("daily_gross", run["dag_run_id"], "gross")
    assert (summary["location"], summary["rows"]) == (str(lake / "gross/2026-01-01"), 1000)
    table = gristmill.read_output(summary["location"])
    assert table["gross"].to_pylist() == pytest.approx([price * 1.2 for price in table["price"].to_pylist()])
    (shown,) = commands("gristmill", holding="output")
    assert summary["job"] in shell(airflow, sys.executable, "-m", "gristmill.cli", *shown)


def test_the_report_of_a_day_is_there_when_its_output_is(airflow: Standalone, rest: Rest, lake: Path) -> None:
    (command,) = commands("airflow", holding="--dag-id gross_report")
    type_in(airflow, *command)
    (run,) = until(lambda: rest.runs("gross_report"), story="the backfill has no run")
    rest.wait_for_run("gross_report", run["dag_run_id"])
    assert rest.xcom("gross_report", run["dag_run_id"], "total") == pytest.approx(TOTAL)


def test_a_functions_rows_are_the_input(rest: Rest, lake: Path) -> None:
    run_id = rest.trigger("large_orders")
    rest.wait_for_run("large_orders", run_id)
    assert rest.xcom("large_orders", run_id, "report") == 200


def test_each_region_has_its_job(rest: Rest, lake: Path) -> None:
    run_id = rest.trigger("gross_by_region")
    rest.wait_for_run("gross_by_region", run_id)
    for region in ("eu", "us"):
        regions = gristmill.read_output(lake / "by_region/2026-01-01" / region)["region"].to_pylist()
        assert set(regions) == {region}
    assert len(generations("gross_by_region")) == 2


def test_a_publication_from_the_shell_starts_the_dag_that_watches_for_it(
    airflow: Standalone, rest: Rest, lake: Path
) -> None:
    (command,) = commands("gristmill", holding="run echo:")
    shell(airflow, sys.executable, "-m", "gristmill.cli", *command)
    (run,) = until(lambda: rest.runs("on_totals"), story="nothing has started on_totals")
    rest.wait_for_run("on_totals", run["dag_run_id"])
    (payload,) = rest.xcom("on_totals", run["dag_run_id"], "note")
    assert (payload["location"], payload["rows"]) == (str(lake / "totals"), 1000)


def test_the_connection_and_the_pool_are_made_by_the_commands_shown(airflow: Standalone, rest: Rest) -> None:
    (command,) = commands("airflow", holding="connections add")
    type_in(airflow, *command)
    assert rest.call("GET", "/connections/gristmill_lake")["conn_type"] == "gristmill"
    shown = re.search(r"`airflow (pools set [^`]+)`", PAGE.read_text())
    assert shown is not None
    type_in(airflow, *shlex.split(shown[1]))
    assert rest.call("GET", "/pools/gpu")["include_deferred"] is True


@pytest.mark.timeout(900)  # 23 runs, each in a process that imports Airflow
def test_a_backfill_is_a_job_for_each_day_and_again_is_none(airflow: Standalone, rest: Rest, lake: Path) -> None:
    before = generations("daily_gross")
    plain, forced = commands("airflow", holding="--to-date 2026-01-20")
    waiting = rest.trigger("gross_report", logical_date="2026-01-19T08:00:00Z")  # waits for the day before
    type_in(airflow, *plain)
    rest.wait_for_backfill(newest(rest))
    assert sorted(folder.name for folder in (lake / "gross").iterdir()) == DAYS
    assert all((lake / "gross" / day / "_SUCCESS").exists() for day in DAYS)
    for day in DAYS:
        ids = gristmill.read_output(lake / "gross" / day, columns=["id"])["id"].to_pylist()
        assert sorted(ids) == sorted(f"{day}/{region}/{row}" for region in ("eu", "us") for row in range(500))
    jobs = generations("daily_gross")
    assert (len(jobs), set(jobs.values())) == (20, {1})
    assert before.items() <= jobs.items()  # January 1 was done before

    rest.wait_for_run("gross_report", waiting)
    summary = rest.xcom("gross_report", waiting, "wait")
    assert summary["location"] == str(lake / "gross/2026-01-18")
    assert rest.xcom("gross_report", waiting, "total") == pytest.approx(TOTAL)

    few = [word.replace("2026-01-20", "2026-01-02") for word in forced]
    again = [word for word in few if word not in ("--dag-run-conf", '{"force": true}')]
    for command, count in ((again, 20), (few, 22)):
        type_in(airflow, *command)
        rest.wait_for_backfill(newest(rest))
        assert len(generations("daily_gross")) == count
    assert {run["state"] for run in rest.runs("daily_gross")} == {"success"}
