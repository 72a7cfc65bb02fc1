"""The contract suite: whatever a pool promises is tested on every kind of pool, through `run_batch`."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill.settings import PoolSettings, Settings


@dataclass
class Bench:
    """A place to run jobs in: input and output folders, a pool, and a log of the engine's calls."""

    root: Path
    settings: Settings
    pool: str
    calls_folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.calls_folder = self.root / "calls"

    @property
    def output(self) -> Path:
        return self.root / "output"

    def write(self, table: pa.Table, *, row_group: int = 100, name: str = "rows.parquet") -> Path:
        """Put a table into the input folder; returns the folder."""
        folder = self.root / "input"
        folder.mkdir(exist_ok=True)
        pq.write_table(table, folder / name, row_group_size=row_group)
        return folder

    def run(
        self, source: Any, *, model: Any = "echo:", echo: dict[str, Any] | None = None, job: Any = (), **options: Any
    ) -> gristmill.Job:
        """Run a job to its end; `source` is a folder or a frame."""
        where = {"input_location": source} if isinstance(source, Path) else {"X": source}
        options.setdefault("output_spec", gristmill.OutputSpec(location=self.output, mode="overwrite"))
        if echo is not None:
            options["inference_engine_options"] = echo
        return gristmill.run_batch(
            model,
            **where,
            job_spec=gristmill.JobSpec(**{"block": True, **dict(job)}),
            compute_pool=self.pool,
            settings=self.settings,
            **options,
        )

    def rows(self) -> list[dict[str, Any]]:
        return list(gristmill.read_output(self.output, settings=self.settings).to_pylist())

    def calls(self) -> Counter[str]:
        """How often the echo engine was called for each value (it logs them with `log=calls_folder`)."""
        return Counter(line for file in self.calls_folder.glob("*.log") for line in file.read_text().splitlines())


@pytest.fixture(params=["inline", "local", "ray"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Bench:
    """A bench on each kind of pool."""
    return _bench(request.param, tmp_path, settings)


@pytest.fixture(params=["local", "ray"])
def processes(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Bench:
    """A bench on each kind of pool whose workers are processes, so that a row can kill them."""
    return _bench(request.param, tmp_path, settings)


def _bench(pool: str, root: Path, settings: Settings) -> Bench:
    pools = {"ray": PoolSettings(kind="ray", init={"num_cpus": 4, "object_store_memory": 100 * 1024**2})}
    return Bench(root, settings.model_copy(update={"pools": pools}), pool)


def numbers(n: int) -> pa.Table:
    """n rows: an id, a text, a number."""
    return pa.table({"id": range(n), "text": [f"row {i}" for i in range(n)], "x": [i / 2 for i in range(n)]})
