"""How a run ends: its log is whole before its state says so, and its state is told whatever becomes of the log."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from gristmill import JobStatus, OutputSpec
from gristmill.jobs.record import RunRecord, State
from gristmill.runner.logs import LogWriter
from gristmill.settings import Settings


def run(settings: Settings, folder: Path) -> gristmill.Job:
    spec = OutputSpec(location=folder / "out")
    return gristmill.run_batch(
        "echo:", pa.table({"x": [1, 2]}), output_spec=spec, compute_pool="inline", settings=settings
    )


def test_whoever_sees_the_end_sees_all_of_the_log(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    write = RunRecord.write_state

    def look(record: RunRecord, state: State) -> Any:
        written = write(record, state)
        if state.status is JobStatus.DONE:
            seen.extend(path.read_text() for path in Path(settings.home).rglob("*.log"))
        return written

    monkeypatch.setattr(RunRecord, "write_state", look)
    assert run(settings, tmp_path).wait(240) is JobStatus.DONE
    assert any("DONE: 2 rows" in text for text in seen), seen


def test_the_end_is_told_though_the_log_cannot_be_written(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: LogWriter) -> None:
        raise RuntimeError("no credentials")  # as clients of storage raise

    monkeypatch.setattr(LogWriter, "flush", fail)
    assert run(settings, tmp_path).wait(240) is JobStatus.DONE
