"""The example project, built by a real dbt in an environment of its own."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from tests.model_registry import ModelRegistry

PROJECT = Path(__file__).parents[2] / "example_dags" / "dbt_project"
DBT = Path(sys.prefix) / "dbt" / "bin" / "dbt"


def test_the_example_project_builds_with_predictions_in_it(
    model_registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not DBT.exists():
        pytest.fail(f"there is no dbt at {DBT}; `make test` sets it up", pytrace=False)
    shutil.copytree(PROJECT, "project", ignore=shutil.ignore_patterns("target", "logs", "*.duckdb"))
    variables = {
        "GRISTMILL_REGISTRY": model_registry.address,
        "GRISTMILL_MODEL_CACHE": str(model_registry.cache),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    runpy.run_path("project/log_model.py", run_name="__main__")
    assert capsys.readouterr().out == "models:/churn/1\n"
    done = subprocess.run(
        [DBT, "build", "--profiles-dir", ".", "--no-use-colors"],
        cwd="project",
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4_000:]
    assert "PASS=7 WARN=0 ERROR=0" in done.stdout
    with duckdb.connect("project/shop.duckdb", read_only=True) as built:
        found = built.sql("SELECT count(*), count(risk), sum(will_leave) > 20 FROM scored_customers").fetchall()
        assert found == [(200, 200, True)]
        assert built.sql("SELECT count(*) FROM calls_to_make").fetchall()[0][0] > 20
        assert built.sql("SELECT count(*) FROM duckdb_functions() WHERE function_name = 'churn'").fetchall() == [(0,)]
