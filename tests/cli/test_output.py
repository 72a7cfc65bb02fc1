from pathlib import Path

import pytest
from tests.cli.conftest import Cli


@pytest.fixture
def finished(cli: Cli) -> Path:
    done = cli("run", "python:models:Doubler", "rows.parquet", "out")
    assert done.code == 0, done.err
    return cli.folder / "out"


def test_an_output_shows_its_manifest_and_its_first_rows(cli: Cli, finished: Path) -> None:
    done = cli("output", "out", "--limit", "3")
    assert done.code == 0, done.err
    assert "python:models:Doubler" in done.out
    assert "x: int64, twice: int64" in done.out
    assert "… 7 rows more" in done.out or "… 7 rows more" in done.out.replace("  ", " ")


def test_json_has_manifest_and_rows(cli: Cli, finished: Path) -> None:
    done = cli("output", str(finished), "--limit", "2", "--json")
    assert done.json["rows"] == [{"x": 0, "twice": 0}, {"x": 1, "twice": 2}]
    assert done.json["manifest"]["rows"] == 10
    assert [entry["name"] for entry in done.json["manifest"]["schema"]] == ["x", "twice"]


def test_no_rows_are_asked_and_none_are_shown(cli: Cli, finished: Path) -> None:
    assert cli("output", "out", "--limit", "0", "--json").json["rows"] == []


def test_an_output_without_sentinel_is_refused(cli: Cli, finished: Path) -> None:
    (finished / "_SUCCESS").unlink()
    done = cli("output", "out")
    assert done.code == 1
    assert "_SUCCESS" in done.err
    assert "Traceback" not in done.err
