"""Forced reruns: each wish once, however often it is repeated."""

from pathlib import Path

import pyarrow as pa
import pytest

import gristmill
from gristmill import JobSpec, OutputSpec, Settings
from gristmill.errors import OutputError, SpecError


def run(output: Path, *, force: bool | str = False) -> gristmill.Job:
    return gristmill.run_batch(
        "echo:",
        pa.table({"id": [1, 2, 3]}),
        output_spec=OutputSpec(location=output, mode="overwrite"),
        compute_pool="inline",
        key="dag/task/2026-01-01",
        job_spec=JobSpec(block=True),
        force_rerun=force,
    )


def test_a_named_wish_forces_one_rerun_and_then_returns_it(settings: Settings, tmp_path: Path) -> None:
    first = run(tmp_path / "out")
    assert run(tmp_path / "out").id == first.id
    forced = run(tmp_path / "out", force="cleared once")
    assert forced.id == f"{first.id}.2"
    assert run(tmp_path / "out", force="cleared once").id == forced.id
    assert run(tmp_path / "out").id == forced.id
    again = run(tmp_path / "out", force="cleared twice")
    assert again.id == f"{first.id}.3"
    assert again.request.fingerprint == first.request.fingerprint


def test_the_first_run_of_a_named_wish_is_its_rerun_too(settings: Settings, tmp_path: Path) -> None:
    first = run(tmp_path / "out", force="try")
    assert run(tmp_path / "out", force="try").id == first.id


def test_a_wish_without_a_name_forces_a_rerun_each_time(settings: Settings, tmp_path: Path) -> None:
    ids = {run(tmp_path / "out", force=True).id for _ in range(3)}
    assert len(ids) == 3


def test_a_job_whose_output_was_replaced_has_none_and_does_not_pass_off_the_other(
    settings: Settings, tmp_path: Path
) -> None:
    first = run(tmp_path / "out")
    assert first.output_stands
    forced = run(tmp_path / "out", force="once")
    assert not first.output_stands
    with pytest.raises(OutputError, match=f"holds the output of job '{forced.id}', which replaced that of"):
        first.manifest()
    assert forced.manifest().job == forced.id


def test_another_version_of_the_input_is_another_request(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id\n1\n")

    def job(version: str | None) -> gristmill.Job:
        return gristmill.run_batch(
            "echo:",
            input_location=tmp_path / "in.csv",
            input_version=version,
            output_spec=OutputSpec(location=tmp_path / "out", mode="overwrite"),
            compute_pool="inline",
            key="dag/task/2026-01-01",
        )

    first = job("etag-1")
    assert job("etag-1").id == first.id
    assert len({first.id, job("etag-2").id, job(None).id}) == 3


def test_rows_have_no_version_but_their_content(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="input_version: rows that are given as X are told by their content"):
        gristmill.run_batch(
            "echo:", pa.table({"id": [1]}), input_version="1", output_spec=OutputSpec(location=tmp_path / "out")
        )
