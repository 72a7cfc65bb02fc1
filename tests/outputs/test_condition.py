"""Conditions on a sentinel: each with the reason it gives, judged from plain values."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gristmill.errors import SpecError
from gristmill.outputs.condition import Finding, SentinelCondition, judge
from gristmill.outputs.manifest import Manifest
from gristmill.outputs.sighting import Sighting

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FOREIGN = Sighting("/out", exists=True, flaw="empty", modified=NOON, version="1:0")


def seen(*, rows: int = 980, errors: int = 49) -> Sighting:
    manifest = Manifest(
        job="job-a",
        name="scores",
        fingerprint="f",
        model="echo:",
        function="echo",
        created=NOON - timedelta(hours=2),
        started=NOON - timedelta(hours=1),
        generation=3,
        finished=NOON,
        rows=rows,
        errors=errors,
        columns=(),
        files=(),
    )
    return Sighting("/out", exists=True, manifest=manifest, version="1:100")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"job_id": "job-b"}, "of job 'job-a', not of 'job-b'"),
        ({"newer_than": NOON}, "of 2026-01-01T12:00:00Z, not newer than 2026-01-01T12:00:00Z"),
        ({"newer_than": "2026-01-01 14:00:00+01:00"}, "of 2026-01-01T12:00:00Z, not newer than 2026-01-01T13:00:00Z"),
        ({"min_rows": 1000}, "980 rows, fewer than 1,000"),
        ({"max_error_rate": 0.01}, "49 of 980 rows failed, a rate of 0.05, more than 0.01"),
        ({"max_error_rate": 0}, "49 of 980 rows failed, a rate of 0.05, more than 0"),
        ({"min_rows": 1, "max_error_rate": 0.049}, "49 of 980 rows failed, a rate of 0.05, more than 0.049"),
    ],
)
def test_a_condition_that_is_not_met_says_what_is_there_and_what_is_asked(asked: dict[str, Any], reason: str) -> None:
    assert judge(seen(), SentinelCondition(**asked)) == Finding(met=False, reason=reason)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"job_id": "job-a"},
        {"newer_than": NOON - timedelta(microseconds=1)},
        {"newer_than": "2026-01-01T12:59:59+01:00"},
        {"min_rows": 980},
        {"min_rows": "980"},
        {"max_error_rate": 0.05},
        {"max_error_rate": "0.05"},
        {"job_id": "job-a", "newer_than": "2026-01-01T11:00:00Z", "min_rows": 0, "max_error_rate": 1},
    ],
)
def test_conditions_are_met_at_their_bounds(asked: dict[str, Any]) -> None:
    finding = judge(seen(), SentinelCondition(**asked))
    assert finding == Finding(met=True, reason="of 2026-01-01T12:00:00Z, by job 'job-a', 980 rows, 49 errors")


def test_an_output_of_no_rows_has_no_errors_and_too_few_rows() -> None:
    nothing = seen(rows=0, errors=0)
    assert judge(nothing, SentinelCondition(max_error_rate=0)).met
    assert judge(nothing, SentinelCondition(min_rows=0)).met
    assert judge(nothing, SentinelCondition(min_rows=1)).reason == "0 rows, fewer than 1"


@pytest.mark.parametrize("asked", [{}, {"newer_than": NOON - timedelta(days=9)}])
def test_nothing_there_meets_no_condition(asked: dict[str, Any]) -> None:
    assert judge(Sighting("/out"), SentinelCondition(**asked)) == Finding(met=False, reason="no _SUCCESS yet")


def test_a_foreign_sentinel_counts_where_nothing_is_asked_of_its_content() -> None:
    assert judge(FOREIGN, SentinelCondition()) == Finding(met=True, reason="there is a _SUCCESS, empty")
    assert judge(FOREIGN, SentinelCondition(newer_than=NOON - timedelta(seconds=1))).met


@pytest.mark.parametrize("asked", [{"job_id": "job-a"}, {"min_rows": 0}, {"max_error_rate": 1.0}])
def test_a_foreign_sentinel_meets_no_condition_on_content(asked: dict[str, Any]) -> None:
    finding = judge(FOREIGN, SentinelCondition(**asked))
    assert finding == Finding(met=False, reason=f"its _SUCCESS is empty, so nothing is known of {next(iter(asked))}")


def test_a_foreign_sentinel_is_as_old_as_its_file() -> None:
    assert judge(FOREIGN, SentinelCondition(newer_than=NOON)).reason == (
        "of 2026-01-01T12:00:00Z, not newer than 2026-01-01T12:00:00Z"
    )
    undated = Sighting("/out", exists=True, flaw="empty", version="1:0")
    assert judge(undated, SentinelCondition(newer_than=NOON)).reason == (
        "its _SUCCESS is no manifest and the storage does not tell when it was written, so newer_than is not met"
    )


def test_a_storage_that_did_not_answer_is_waited_for() -> None:
    finding = judge(Sighting("/out", trouble="TimeoutError: 5 s"), SentinelCondition())
    assert finding == Finding(met=False, reason="it cannot be looked at now: TimeoutError: 5 s")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"max_error_rate": 2}, r"max_error_rate: .*less than or equal to 1 \(given: 2\)"),
        ({"max_error_rate": "nan"}, r"max_error_rate: .*\(given: 'nan'\)"),
        ({"min_rows": -1}, r"min_rows: .*\(given: -1\)"),
        ({"min_rows": "1,000"}, r"min_rows: .*\(given: '1,000'\)"),
        ({"min_rows": ""}, r"min_rows: .*\(given: ''\)"),
        ({"job_id": ""}, r"job_id: .*\(given: ''\)"),
        ({"newer_than": ""}, r"newer_than: is not a moment with a time zone; write it as '2026-.*\(given: ''\)"),
        ({"newer_than": "yesterday"}, r"newer_than: is not a moment .*\(given: 'yesterday'\)"),
        ({"newer_than": "20260101"}, r"newer_than: is not a moment .*\(given: '20260101'\)"),
        ({"newer_than": "1767268800"}, r"newer_than: is not a moment .*\(given: '1767268800'\)"),
        ({"newer_than": 1767268800}, r"newer_than: is not a moment .*\(given: 1767268800\)"),
        ({"newer_than": "2026-01-01"}, r"newer_than: is not a moment .*\(given: '2026-01-01'\)"),
        ({"newer_than": datetime(2026, 1, 1)}, r"newer_than: is not a moment .*\(given: datetime"),  # noqa: DTZ001
        ({"older_than": NOON}, r"older_than: is not a field"),
    ],
)
def test_a_wrong_condition_names_its_field_and_value(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=f"SentinelCondition.{words}"):
        SentinelCondition(**asked)


def test_a_template_that_renders_none_asks_nothing() -> None:
    names = ("job_id", "newer_than", "min_rows", "max_error_rate")
    assert SentinelCondition(**dict.fromkeys(names, "None")) == SentinelCondition()


def test_moments_of_other_time_zones_are_compared_as_moments() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert not judge(seen(), SentinelCondition(newer_than=NOON.astimezone(tokyo))).met
    assert judge(seen(), SentinelCondition(newer_than=(NOON - timedelta(seconds=1)).astimezone(tokyo))).met


def test_conditions_are_made_without_the_libraries_that_read() -> None:
    code = (
        "import sys; from gristmill.outputs.condition import SentinelCondition; SentinelCondition(min_rows=1);"
        "print([name for name in ('fsspec', 'pyarrow', 'gristmill.storage.storage') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
