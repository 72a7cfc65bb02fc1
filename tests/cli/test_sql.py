"""`gristmill sql`, as its users have it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.bench import until
from tests.cli.conftest import Cli
from tests.engines.openai.server import Service

MODEL = ("--model", "double=python:models:Doubler")
PICKY = ("-m", "picky=python:models:Picky")


def test_models_are_functions_of_a_query(cli: Cli) -> None:
    table, asked, named, empty, nothing = cli.each(
        ["sql", "SELECT x, double(x, times := 3) AS thrice FROM 'rows.parquet' WHERE x > 7", *MODEL],
        ["sql", "SELECT double(x) AS y FROM 'rows.parquet'", *MODEL, "--format", "json"],
        ["sql", "SELECT x, [x] AS l, {'a': x} AS s FROM 'rows.parquet' LIMIT 1", "--format", "csv"],
        ["sql", "SELECT x FROM 'rows.parquet' WHERE x < 0"],
        ["sql", "SELECT x FROM 'rows.parquet' WHERE x < 0", "--format", "json"],
    )
    assert table.code == 0, table.err
    assert [line.split() for line in table.out.splitlines() if line.strip()][-2:] == [["8", "24"], ["9", "27"]]
    assert [row["y"] for row in asked.json] == [2 * x for x in range(10)]
    assert named.out == '"x","l","s"\n0,"[0]","{""a"": 0}"\n'
    assert (empty.code, empty.err.strip()) == (0, "no rows")
    assert nothing.json == []


def test_columns_of_one_name_and_of_any_type_are_written(cli: Cli) -> None:
    rows, table, text, wide = cli.each(
        ["sql", "SELECT 1 AS id, 2 AS id, 3 AS id_1", "--format", "json"],
        ["sql", "SELECT 1 AS id, 2 AS id"],
        ["sql", "SELECT 'a'::ENUM('a') AS e, INTERVAL 1 DAY AS i, 'b'::BLOB AS b", "--format", "csv"],
        ["sql", "SELECT 1 AS id, 2 AS id", "-o", "twice.parquet"],
    )
    assert rows.code == 0, rows.err
    assert rows.json == [{"id": 1, "id_1": 2, "id_1_1": 3}]
    assert table.out.split()[-2:] == ["1", "2"]
    assert text.out == '"e","i","b"\n"a","[0, 1, 0]","""Yg=="""\n'
    assert wide.code == 0
    assert pq.read_table(cli.folder / "twice.parquet").to_pydict() == {"id": [1], "id_1": [2]}


def test_rows_are_written_to_a_file_that_says_its_format(cli: Cli) -> None:
    parquet, csv, unknown, text, lines = cli.each(
        ["sql", "SELECT double(x) AS y FROM 'rows.parquet'", *MODEL, "-o", "y.parquet"],
        ["sql", "SELECT x FROM 'rows.parquet'", "-o", "y.csv"],
        ["sql", "SELECT x FROM 'rows.parquet'", "-o", "y.xls"],
        ["sql", "SELECT x FROM 'rows.parquet'", "--format", "parquet"],
        ["sql", "SELECT x FROM 'rows.parquet'", "-n", "3"],
    )
    assert parquet.code == csv.code == 0
    assert pq.read_table(cli.folder / "y.parquet")["y"].to_pylist() == [2 * x for x in range(10)]
    assert (cli.folder / "y.csv").read_text().splitlines()[:2] == ['"x"', "0"]
    assert (unknown.code, text.code) == (2, 2)
    assert "its name does not tell the format" in unknown.err
    assert "give --output FILE" in text.err
    assert "and more rows than 3" in lines.err


def test_a_database_keeps_what_is_made_in_it(cli: Cli) -> None:
    made, read = cli.each(
        ["sql", "CREATE TABLE y AS SELECT double(x) AS y FROM 'rows.parquet'", *MODEL, "--database", "own.duckdb"],
        ["sql", "SELECT sum(y) AS total FROM y", "--database", "own.duckdb", "--format", "json"],
    )
    assert made.code == 0, made.err
    assert read.json == [{"total": 90}]


def test_what_is_wrong_is_told_with_its_code(cli: Cli) -> None:
    row, name, syntax, model, option = cli.each(
        ["sql", "SELECT picky(x) FROM 'rows.parquet'", *PICKY],
        ["sql", "SELECT nobody(x) FROM 'rows.parquet'"],
        ["sql", "SELEC 1"],
        ["sql", "SELECT m(1)", "-m", "m=none.joblib"],
        ["sql", "SELECT 1", "-m", "m"],
    )
    assert row.code == 1
    assert "picky: the row with x=3: ValueError: three is not [bold]liked[/bold] here" in row.err
    assert [name.code, syntax.code, model.code, option.code] == [2, 2, 2, 2]
    assert "nobody does not exist" in name.err
    assert "write it as --model churn=model.joblib" in option.err
    assert not any(ended.out for ended in (row, name, syntax, model, option))


def test_explain_shows_the_plan_and_asks_nobody(cli: Cli) -> None:
    plain, asking = cli.each(
        ["sql", "SELECT picky(x) FROM 'rows.parquet'", *PICKY, "--explain"],
        ["sql", "SELECT ai_complete('nobody', 'Say ' || (x % 3)) FROM 'rows.parquet'", "--explain"],
        GRISTMILL_ENDPOINTS=json.dumps({"nobody": {"base_url": "http://127.0.0.1:9/v1"}}),
    )
    assert plain.code == 0, plain.err
    assert "picky" in plain.out
    assert asking.code == 0, asking.err
    facts = dict(line.split(None, 1) for line in asking.out.splitlines() if line.startswith(("rows ", "requests ")))
    assert {name: value.strip() for name, value in facts.items()} == {"rows": "10", "requests": "3"}


def test_a_stage_stands_for_its_location(cli: Cli, tmp_path: Path) -> None:
    ended = cli(
        "sql",
        "SELECT count(*) AS n FROM '@db.s.here/rows.parquet'",
        "--format",
        "json",
        GRISTMILL_STAGES=json.dumps({"db.s.here": str(cli.folder)}),
    )
    assert ended.json == [{"n": 10}], ended.err


@pytest.fixture
def service() -> Iterator[Service]:
    """A service whose answers take a minute."""
    found = Service(latency=60.0)
    try:
        yield found
    finally:
        found.close()


def _interrupt(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGINT)


def _wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    """Until it says something on its standard error."""
    assert process.stderr is not None
    assert any(text in line for line in process.stderr)


def test_ctrl_c_ends_a_query_that_asks_a_service(cli: Cli, service: Service) -> None:
    lab = json.dumps({"lab": {"base_url": service.base_url}})
    query = "SELECT count(ai_complete('lab', 'p' || i)) FROM range(200000) t(i)"
    process = cli.start("sql", query, GRISTMILL_ENDPOINTS=lab)
    until(lambda: service.calls, "it asks nobody")
    ended = cli.interrupt(process)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.strip().endswith("Interrupted.")


GATED = ("sql", "SELECT sum(gated(x)) FROM 'rows.parquet'", "-m", "gated=python:models:Gated")


def test_ctrl_c_ends_a_query_with_the_model_s_call(cli: Cli) -> None:
    process = cli.start(*GATED)
    cli.wait_at_gate()
    _interrupt(process)
    _wait_for(process, "Waiting for the call that runs")
    cli.open_gate()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip().splitlines()[-1]) == (130, "", "Interrupted.")


def test_a_second_ctrl_c_waits_for_nothing(cli: Cli) -> None:
    process = cli.start(*GATED)
    cli.wait_at_gate()
    _interrupt(process)
    _wait_for(process, "Waiting for the call that runs")
    _interrupt(process)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip().splitlines()[-1]) == (130, "", "Interrupted.")
