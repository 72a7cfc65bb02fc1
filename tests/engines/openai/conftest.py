"""Jobs against a service of the test's own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.engines.openai.server import KEY, MODEL, Service

import gristmill
from gristmill.settings import Settings


@dataclass
class Work:
    """Runs jobs against the service."""

    service: Service
    root: Path
    settings: Settings
    pool: str = "inline"

    @property
    def output(self) -> Path:
        return self.root / "output"

    def endpoint(self, **settings: Any) -> "Work":
        """The same with other settings of the endpoint."""
        given = {"base_url": self.service.base_url, "api_key": KEY, "backoff": 0.01, **settings}
        endpoints = Settings.load(endpoints={"openai": given}).endpoints
        return Work(self.service, self.root, self.settings.model_copy(update={"endpoints": endpoints}), self.pool)

    def start(self, rows: Any, *, model: str = f"openai:{MODEL}", **given: Any) -> gristmill.Job:
        """Start a job over a frame or a folder; `params`, `options` and fields of the job spec are told apart."""
        where = {"input_location": rows} if isinstance(rows, Path) else {"X": rows}
        params, options = given.pop("params", None), given.pop("options", None)
        return gristmill.run_batch(
            model,
            **where,
            input_spec=gristmill.InputSpec(params=params, **given.pop("input_spec", {})),
            job_spec=gristmill.JobSpec(**given),
            inference_engine_options=options,
            output_spec=gristmill.OutputSpec(location=self.output, mode="overwrite"),
            compute_pool=self.pool,
            settings=self.settings,
        )

    def run(self, rows: Any, **given: Any) -> gristmill.Job:
        """Run a job to its end."""
        job = self.start(rows, **given)
        job.wait(120)
        return job

    def rows(self, **given: Any) -> list[dict[str, Any]]:
        return list(gristmill.read_output(self.output, settings=self.settings, **given).to_pylist())


def prompts(count: int) -> pa.Table:
    """Rows with a prompt each."""
    return pa.table({"number": range(count), "prompt": [f"p{number}" for number in range(count)]})


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that is gone after the test."""
    service = Service()
    try:
        yield service
    finally:
        service.close()


@pytest.fixture
def work(service: Service, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Jobs in this process, against the service."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Work(service, tmp_path, settings).endpoint()


@pytest.fixture
def processes(work: Work) -> Work:
    """Jobs in processes of their own."""
    work.pool = "local"
    return work


Until = Callable[[Callable[[], Any]], None]
