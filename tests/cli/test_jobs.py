import re

from tests.cli.conftest import Cli


def _detach(cli: Cli, model: str, name: str) -> str:
    started = cli("run", f"python:models:{model}", "rows.parquet", f"out-{name}", "--name", name, "--detach")
    assert started.code == 0, started.err
    assert re.fullmatch(r"\S+\n", started.out), "the id and nothing else, for scripts"
    return started.out.strip()


def test_a_detached_job_is_waited_for_listed_and_deleted(cli: Cli) -> None:
    job = _detach(cli, "Doubler", "first")
    waited = cli("jobs", "wait", job, "--json")
    assert (waited.code, waited.json["status"]) == (0, "DONE")
    listed = cli("jobs", "list", "--json").json
    assert [entry["id"] for entry in listed] == [job]
    assert {"name", "status", "message", "owner", "compute_pool", "target_instances"} <= listed[0].keys()
    assert re.search(r"^first +DONE", cli("jobs", "list").out, re.MULTILINE)
    assert cli("jobs", "delete", job, "--json").json == [{"id": job, "status": "DELETED"}]
    assert cli("jobs", "list", "--json").json == []
    assert (cli.folder / "out-first" / "_SUCCESS").exists(), "the output stays"
    gone = cli("jobs", "show", job)
    assert gone.code == 2
    assert job in gone.err


def test_a_running_job_is_shown_followed_cancelled_but_not_deleted(cli: Cli) -> None:
    job = _detach(cli, "Gated", "held")
    cli.wait_at_gate()
    assert re.search(r"status +RUNNING", cli("jobs", "show", job).out)
    late = cli("jobs", "wait", job, "--timeout", "0.2")
    assert late.code == 1
    assert "it goes on" in late.err
    refused = cli("jobs", "delete", job)
    assert refused.code == 2
    assert "Traceback" not in refused.err
    follower = cli.start("jobs", "logs", job, "-f")
    cancelled = cli("jobs", "cancel", job, "--json")
    assert cancelled.code == 0
    assert cancelled.json["status"] in ("CANCELLING", "CANCELLED")
    ended = cli("jobs", "wait", job, "--json")
    assert (ended.code, ended.json["status"]) == (1, "CANCELLED")
    out, err = follower.communicate(timeout=60)
    assert "waiting at the gate" in out, err
    assert follower.returncode == 0, "following ends with the job"


def test_followed_logs_come_once_each(cli: Cli) -> None:
    job = _detach(cli, "Gated", "spoken")
    cli.wait_at_gate()
    follower = cli.start("jobs", "logs", job, "--follow")
    cli.open_gate()
    out, err = follower.communicate(timeout=60)
    assert follower.returncode == 0, err
    assert sorted(out) == sorted(cli("jobs", "logs", job).out)
    assert out.count("through the gate") == 1
    assert "through the gate" in cli("jobs", "logs", job, "--instance", "0").out
    assert len(cli("jobs", "logs", job, "--limit", "1").out.splitlines()) == 1


def test_ctrl_c_while_waiting_leaves_the_job_running(cli: Cli) -> None:
    job = _detach(cli, "Gated", "watched")
    cli.wait_at_gate()
    process = cli.start("jobs", "wait", job)
    assert process.stderr is not None
    assert "RUNNING" in process.stderr.readline()
    stopped = cli.interrupt(process)
    assert stopped.code == 130
    assert f"gristmill jobs wait {job}" in stopped.err
    assert cli("jobs", "show", job, "--json").json["status"] == "RUNNING"


def test_show_names_the_failed_rows(cli: Cli) -> None:
    job = _detach(cli, "Picky", "picky")
    assert cli("jobs", "wait", job).code == 1
    shown = cli("jobs", "show", job, "--json").json
    assert shown["status"] == "FAILED"
    assert [(row["row"], row["type"]) for row in shown["failed_rows"]] == [(3, "ValueError")]
    assert "process" not in shown["progress"]
    assert "ValueError: three" in cli("jobs", "show", job).out


def test_an_unknown_job_is_a_wrong_request(cli: Cli) -> None:
    for done in cli.each(*(("jobs", command, "nobody") for command in ("show", "wait", "logs", "cancel", "delete"))):
        assert done.code == 2, done
        assert "'nobody'" in done.err
        assert "Traceback" not in done.err


def test_no_jobs_is_no_error(cli: Cli) -> None:
    done = cli("jobs", "list")
    assert (done.code, done.out) == (0, "")
    assert cli("jobs", "list", "--json").json == []
