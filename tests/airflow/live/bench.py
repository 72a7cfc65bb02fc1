"""What a live test works on: rows, the request that configures a run, the calls that came of it, and the jobs."""

from pathlib import Path
from typing import Any

from tests.airflow.standalone import Standalone
from tests.bench import Bench as AnyBench

DAYS = "%Y-%m-%d"


class Bench(AnyBench):
    """One test's folder, and the jobs whose outputs stand below it.

    Attributes:
        folder: the test's own.
        settings: those of the server's jobs.

    Example::

        run_id = rest.trigger("live_sync", conf=bench.conf(rows=100))
        rest.wait_for_run("live_sync", run_id)
        assert bench.job().status is JobStatus.DONE
        assert bench.output() == list(range(100))
    """

    def __init__(self, airflow: Standalone, folder: Path) -> None:
        super().__init__(folder, airflow.home / "gristmill")

    def echo(self, *, delay: float = 0.0, **options: Any) -> dict[str, Any]:
        """Options of the engine: each call takes `delay` seconds and is logged."""
        return {"column": "id", "delay": delay, "log": str(self.folder / "calls"), **options}

    def conf(self, name: str = "one", *, count: int = 40, delay: float = 0.0, **fields: Any) -> dict[str, Any]:
        """A run's configuration: rows in four files, a call for each ten of them, an output of its own."""
        given = self.folder / f"{name}-in"
        if not given.exists():
            self.rows(given.name, count=count)
        return {
            "input": str(given),
            "output": str(self.folder / f"{name}-out"),
            "echo": self.echo(delay=delay),
            "job": {"max_batch_rows": 10},
            **fields,
        }
