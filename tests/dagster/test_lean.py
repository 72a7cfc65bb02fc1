"""A code location with the extra `dagster` alone: neither Ray nor Torch, nor anything heavy, is ever asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import gristmill
from gristmill import Settings

_BLOCK = """
import sys
HEAVY = ("ray", "torch", "vllm", "transformers", "pandas", "numpy", "sklearn", "duckdb", "polars", "mlflow", "s3fs",
         "obstore", "PIL", "airflow")

class Missing:
    # As if the package were not installed, for this process alone.
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""

_RUN = (
    _BLOCK
    + """
import dagster as dg
from dagster_gristmill import GristmillResource, batch_inference_asset
scores = batch_inference_asset(
    "scores", model="echo:", input_location=sys.argv[1], output_spec={"location": sys.argv[2]}
)
done = dg.materialize([scores], instance=dg.DagsterInstance.ephemeral(), resources={"gristmill": GristmillResource()})
assert done.success
assert all(check.passed for check in done.get_asset_check_evaluations())
assert not [name for name in HEAVY if name in sys.modules]
"""
)

_LOAD = (
    _BLOCK
    + """
import dagster_gristmill
slow = ("pyarrow.dataset", "pyarrow.parquet", "fsspec", "gristmill.submission.submit", "gristmill.storage.storage")
assert not [name for name in slow if name in sys.modules], [name for name in slow if name in sys.modules]
"""
)


def python(code: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_asset_runs_its_job_where_no_heavy_package_can_be_imported(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    pq.write_table(pa.table({"id": range(10)}), tmp_path / "input" / "a.parquet")
    python(_RUN, str(tmp_path / "input"), str(tmp_path / "out"))
    assert gristmill.read_manifest(tmp_path / "out").rows == 10


def test_a_code_location_loads_without_what_only_runs_need() -> None:
    python(_LOAD)
