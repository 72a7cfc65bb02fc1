import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tests.cli.conftest import Cli


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_a_run_prints_what_it_came_to(cli: Cli) -> None:
    done = cli("run", "python:models:Doubler", "rows.parquet", "out")
    assert done.code == 0, done.err
    assert (cli.folder / "out" / "_SUCCESS").is_file()
    assert [row["twice"] for row in _rows(cli.folder / "out")] == [2 * x for x in range(10)]
    assert re.search(r"status +DONE", done.out)
    assert re.search(r"rows +10 rows", done.out)
    assert str(cli.folder / "out") in done.out
    assert "DONE" in done.err, "plain lines go to stderr when it is no terminal"
    assert "\x1b" not in done.out + done.err


def test_json_is_one_object_with_all_a_program_needs(cli: Cli) -> None:
    done = cli(
        "run", "python:models:Doubler", "rows.parquet", "out", "--json", "--name", "nightly", "--param", "times=3"
    )
    assert done.code == 0, done.err
    assert done.json.keys() == {"id", "name", "status", "message", "location", "rows", "errors", "metrics"}
    assert (done.json["name"], done.json["status"], done.json["rows"], done.json["errors"]) == (
        "nightly",
        "DONE",
        10,
        0,
    )
    assert done.json["location"] == str(cli.folder / "out")
    assert [row["twice"] for row in _rows(cli.folder / "out")] == [3 * x for x in range(10)]


def test_a_partition_column_is_one_of_the_request(cli: Cli) -> None:
    done = cli("run", "python:models:Doubler", "rows.parquet", "out", "--partition-column", "X")
    assert done.code == 2
    assert "partition_column='X': the function" in " ".join(done.err.split())


def test_a_failing_row_fails_the_job_and_is_shown(cli: Cli) -> None:
    done = cli("run", "python:models:Picky", "rows.parquet", "out")
    assert done.code == 1
    assert re.search(r"status +FAILED", done.out)
    assert re.search(r"3 +infer +ValueError: three is not \[bold\]liked\[/bold\] here", done.out)
    assert "gristmill jobs logs" in done.err
    assert not (cli.folder / "out" / "_SUCCESS").exists()


def test_a_failing_row_can_be_recorded(cli: Cli) -> None:
    done = cli("run", "python:models:Picky", "rows.parquet", "out", "--on-error", "record", "--json")
    assert done.code == 0, done.err
    assert (done.json["status"], done.json["rows"], done.json["errors"]) == ("DONE", 10, 1)
    assert [row["x"] for row in _rows(cli.folder / "out") if row["_error"] is not None] == [3]


def test_too_many_errors_fail_a_job_that_records(cli: Cli) -> None:
    record = ("run", "python:models:Picky", "rows.parquet", "out", "--on-error", "record")
    assert cli(*record, "--max-errors", "0").code == 1
    assert cli(*record, "--max-error-rate", "0.05", "--name", "other").code == 1


def test_a_full_output_is_refused_unless_it_may_be_replaced(cli: Cli) -> None:
    (cli.folder / "out").mkdir()
    (cli.folder / "out" / "precious.txt").write_text("mine")
    refused = cli("run", "python:models:Doubler", "rows.parquet", "out")
    assert refused.code == 2
    assert (cli.folder / "out" / "precious.txt").read_text() == "mine"
    replaced = cli("run", "python:models:Doubler", "rows.parquet", "out", "--mode", "overwrite")
    assert replaced.code == 0, replaced.err


def test_a_folder_of_files_becomes_rows(cli: Cli) -> None:
    for name in ("a.bin", "b.bin", "c.txt"):
        (cli.folder / "files").mkdir(exist_ok=True)
        (cli.folder / "files" / name).write_bytes(name.encode() * 3)
    done = cli("run", "python:models:Sizes", "files", "out", "--files", r".*\.bin", "--column", "file=raw_bytes")
    assert done.code == 0, done.err + done.out
    assert [(Path(row["file"]).name, row["size"]) for row in _rows(cli.folder / "out")] == [
        ("a.bin", 15),
        ("b.bin", 15),
    ]


def test_rows_name_files_only_under_what_is_allowed(cli: Cli, tmp_path: Path) -> None:
    import pyarrow as pa

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.bin").write_bytes(b"12345")
    pq.write_table(pa.table({"file": [str(elsewhere / "a.bin")]}), cli.folder / "paths.parquet")
    run = ("run", "python:models:Sizes", "paths.parquet", "out", "--column", "file=raw_bytes")
    refused = cli(*run)
    assert refused.code in (1, 2), "a row outside is a row's error, a request without any prefix is wrong"
    allowed = cli(*run, "--allow", str(elsewhere), "--mode", "overwrite")
    assert allowed.code == 0, allowed.err + allowed.out
    assert [row["size"] for row in _rows(cli.folder / "out")] == [5]


def test_sql_is_an_input(cli: Cli) -> None:
    done = cli("run", "python:models:Doubler", "SELECT x FROM 'rows.parquet' WHERE x > 7 ORDER BY x", "out", "--query")
    assert done.code == 0, done.err
    assert [row["twice"] for row in _rows(cli.folder / "out")] == [16, 18]


_WRONG = (
    (("--replicas", "0"), "replicas"),
    (("--memory", "much"), "memory_requests"),
    (("--param", "nonsense=1"), "nonsense"),
    (("--param", "times"), "--param"),
    (("--column", "x=png"), "raw_bytes"),
    (("--pool", "mars"), "mars"),
    (("--function", "nothing"), "nothing"),
    (("--engine", "warp"), "warp"),
    (("--engine-arg=port=1",), "--"),
    (("--query", "--files", "x"), "not both"),
    (("--detach", "--pool", "inline"), "--detach"),
    (("--files-column", "x"), "--files"),
    (("--max-error-rate", "2"), "max_error_rate"),
    (("--mode", "append"), "append"),
)


def test_a_wrong_request_is_refused_with_its_reason(cli: Cli) -> None:
    run = ("run", "python:models:Doubler", "rows.parquet", "out")
    ended = cli.each(*((*run, *arguments) for arguments, _ in _WRONG))
    for (arguments, said), done in zip(_WRONG, ended, strict=True):
        assert done.code == 2, (arguments, done)
        assert said in done.err, arguments
        assert "Traceback" not in done.err, arguments
        assert done.out == "", arguments
    assert not (cli.folder / "out").exists()
    assert not (cli.folder.parent / "home").exists()


def test_a_wrong_model_and_a_missing_input_are_refused(cli: Cli) -> None:
    assert cli("run", "python:nowhere:Model", "rows.parquet", "out").code == 2
    missing = cli("run", "python:models:Doubler", "missing.parquet", "out", "--json")
    assert missing.code == 2
    assert missing.json["error"]["type"] == "EmptyInputError"
    assert missing.json["error"]["message"] in missing.err.replace("\n", " ")


def test_a_settings_file_that_does_not_parse_is_refused(cli: Cli) -> None:
    (cli.folder / "gristmill.toml").write_text("home = [broken")
    done = cli("run", "python:models:Doubler", "rows.parquet", "out")
    assert done.code == 2
    assert "Traceback" not in done.err


def test_ctrl_c_leaves_the_job_running_and_says_how_to_reattach(cli: Cli) -> None:
    process = cli.start("run", "python:models:Gated", "rows.parquet", "out", "--name", "long")
    cli.wait_at_gate()
    stopped = cli.interrupt(process)
    assert stopped.code == 130
    wait = re.search(r"gristmill jobs wait (\S+)", stopped.err)
    assert wait is not None, stopped.err
    assert f"gristmill jobs cancel {wait[1]}" in stopped.err
    assert "Traceback" not in stopped.err
    assert cli("jobs", "show", wait[1], "--json").json["status"] == "RUNNING"
    cli.open_gate()
    done = cli("jobs", "wait", wait[1], "--json")
    assert (done.code, done.json["status"], done.json["rows"]) == (0, "DONE", 10)


def test_a_job_in_this_process_stops_with_it_and_is_resumed_by_name(cli: Cli) -> None:
    run = ("run", "python:models:Gated", "rows.parquet", "out", "--pool", "inline", "--name", "here", "--json")
    process = cli.start(*run)
    cli.wait_at_gate()
    stopped = cli.interrupt(process)
    assert stopped.code == 130
    assert "has stopped with it" in stopped.err
    assert "--name here" in stopped.err
    cli.open_gate()
    done = cli(*run)
    assert (done.code, done.json["status"], done.json["rows"]) == (0, "DONE", 10), (
        "what the model prints stays out of it"
    )
    assert "through the gate" in done.err


def test_a_terminal_gets_a_bar_and_a_clean_end(cli: Cli) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "gristmill.cli", "run", "python:models:Doubler", "rows.parquet", "out"],
        cwd=cli.folder,
        env={**cli.env, "TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    assert process.wait(timeout=60) == 0
    text = seen.decode()
    assert "\x1b[?25l" in text, "the cursor is hidden while the bar moves"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "and is back at the end"
    assert "DONE" in text


def test_a_reader_that_leaves_early_is_no_error(cli: Cli) -> None:
    (cli.folder / "many").mkdir()
    for number in range(3000):
        (cli.folder / "many" / f"{number:080d}.bin").touch()
    process = cli.start("files", "many")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0
