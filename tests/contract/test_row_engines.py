"""Engines that answer row by row, on every pool: deaths, grouping, counts."""

import re
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from gristmill import JobStatus
from tests.contract.conftest import Bench, numbers


def _deaths(job: gristmill.Job) -> int:
    return len(re.findall(r"worker \d+ died: ", str(job.get_logs())))


def _check(bench: Bench, *, rows: int, killer: int) -> dict[str, Any]:
    """All rows are there, in order, and right, but for the killer; gives its error."""
    found = bench.rows()
    assert [row["id"] for row in found] == list(range(rows))
    assert [row["id"] for row in found if row["_error"] is not None] == [killer]
    assert all(row["echo"] == row["id"] for row in found if row["id"] != killer)
    assert gristmill.read_manifest(bench.output, settings=bench.settings).errors == 1
    error: dict[str, Any] = found[killer]["_error"]
    return error


def test_a_row_that_kills_an_engines_process_is_found_in_few_deaths(processes: Bench) -> None:
    job = processes.run(
        processes.write(numbers(3_000), row_group=1_000),
        model="echo:row",
        echo={"column": "id", "kill_on": 1_137, "delay": 0.001, "log": str(processes.calls_folder)},
        job={"on_error": "record"},
    )
    assert job.status is JobStatus.DONE, job.message
    error = _check(processes, rows=3_000, killer=1_137)
    assert error["type"] == "WorkerDied"
    assert _deaths(job) <= 8
    assert processes.calls()["1137"] == _deaths(job)


def test_a_row_that_kills_the_engine_is_found_in_few_deaths(bench: Bench) -> None:
    job = bench.run(
        bench.write(numbers(2_000), row_group=1_000),
        model="echo:row",
        echo={"column": "id", "dead_on": "1600", "delay": 0.001, "window": 32, "log": str(bench.calls_folder)},
        job={"on_error": "record"},
    )
    assert job.status is JobStatus.DONE, job.message
    error = _check(bench, rows=2_000, killer=1_600)
    assert error["type"] == "WorkerDied"
    assert "dead_on: 1600" in error["message"]
    assert _deaths(job) <= 6


def test_a_batch_engine_that_dies_is_no_rows_failure(bench: Bench) -> None:
    job = bench.run(
        bench.write(numbers(400)),
        echo={"column": "id", "dead_on": 137},
        job={"on_error": "record", "max_batch_rows": 20},
    )
    assert job.status is JobStatus.DONE, job.message
    assert "dead_on: 137" in _check(bench, rows=400, killer=137)["message"]


def test_rows_are_grouped_and_come_out_in_the_order_of_the_input(bench: Bench) -> None:
    prefixes = [f"{number:02d}" * 200 for number in range(40)]
    texts = [f"{prefixes[number * 7 % 40]} {number}" for number in range(3_000)]
    job = bench.run(
        bench.write(pa.table({"id": range(3_000), "text": texts}), row_group=1_000),
        model="echo:row",
        echo={"column": "text", "prefix_grouping": True, "delay": 0.01, "log": str(bench.calls_folder)},
    )
    assert job.status is JobStatus.DONE, job.message
    rows = bench.rows()
    assert [row["id"] for row in rows] == list(range(3_000))
    assert [row["echo"] for row in rows] == texts
    (log,) = bench.calls_folder.glob("*.log")
    sent = [line[:2] for line in log.read_text().splitlines()]
    assert sum(one != other for one, other in pairwise(sent)) <= 3 * 40


@pytest.mark.parametrize("grouping", [False, True])
def test_tokens_are_counted_once_for_each_row_in_the_output(bench: Bench, grouping: bool) -> None:
    job = bench.run(
        bench.write(numbers(2_000), row_group=500),
        model="echo:row",
        echo={"column": "text", "count": 3, "fail_on": ["row 7"], "prefix_grouping": grouping},
        job={"on_error": "record", "num_workers": 2},
    )
    assert job.status is JobStatus.DONE, job.message
    manifest = gristmill.read_manifest(bench.output, settings=bench.settings)
    assert manifest.tokens == {"prompt_tokens": 3 * 1_999, "output_tokens": 3 * 1_999}
    progress = job.progress()
    assert progress is not None
    assert progress.metrics == manifest.tokens
    assert (progress.rows, progress.errors) == (2_000, 1)
    assert progress.means["output_tokens"] > 0


def test_tokens_of_rows_that_are_done_again_count_once(processes: Bench) -> None:
    job = processes.run(
        processes.write(numbers(1_000), row_group=250),
        model="echo:row",
        echo={"column": "id", "count": 10, "kill_on": 613, "delay": 0.001},
        job={"on_error": "record"},
    )
    assert job.status is JobStatus.DONE, job.message
    assert gristmill.read_manifest(processes.output, settings=processes.settings).tokens["output_tokens"] == 9_990
