"""A worker with the extra `airflow` alone: neither Ray nor Torch, nor anything heavy, is ever asked for."""

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
from gristmill import Settings

_RUN = """
import json, sys
HEAVY = ("ray", "torch", "vllm", "transformers", "pandas", "numpy", "sklearn", "duckdb", "mlflow", "s3fs", "obstore")

class Missing:
    # As if the package were not installed, for this process alone.
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from tests.airflow.in_process import run
done = run(sys.argv[1], conf=json.loads(sys.argv[2]))
print(done.log)
assert done.state == "success"
assert not [name for name in HEAVY if name in sys.modules]
"""


@pytest.mark.parametrize("dag_id", ["batch_sync", "batch_deferred"])
def test_a_task_runs_its_job_where_no_heavy_package_can_be_imported(
    airflow_db: None, settings: Settings, tmp_path: Path, dag_id: str
) -> None:
    (tmp_path / "input").mkdir()
    pq.write_table(pa.table({"id": range(10)}), tmp_path / "input" / "a.parquet")
    conf: dict[str, Any] = {"input": str(tmp_path / "input"), "output": str(tmp_path / "out")}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, dag_id, json.dumps(conf)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert gristmill.read_manifest(conf["output"]).rows == 10
