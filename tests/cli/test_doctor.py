import http.server
import json
import threading
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from tests.cli.conftest import Cli


def _check(checks: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(check for check in checks if check["name"] == name)


@pytest.fixture
def cluster() -> Iterator[str]:
    """Something that answers as a cluster's Jobs API does when it is asked for its version."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"version": "4", "ray_version": version("ray")}).encode()
            self.send_response(200 if self.path == "/api/version" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_working_machine_passes(cli: Cli) -> None:
    done = cli("doctor", "--json")
    assert done.code == 0, done.out
    assert done.json["ok"]
    checks = done.json["checks"]
    assert {"Python", "packages", "settings", "home", "ray", "sql", "s3", "GPU"} <= {check["name"] for check in checks}
    assert all(check["detail"] for check in checks)
    assert all(check["advice"] for check in checks if check["state"] == "failed")
    assert not list((cli.folder.parent / "home").glob("doctor-*")), "it leaves nothing behind"


def test_people_read_the_same(cli: Cli) -> None:
    done = cli("doctor")
    assert done.code == 0
    assert "✓ home" in done.out
    assert "Everything that should work here does." in done.out


def test_stages_and_pools_are_looked_at(cli: Cli, cluster: str) -> None:
    (cli.folder / "there").mkdir()
    (cli.folder / "gristmill.toml").write_text(f"""
[stages]
there = "there"
later = "later"
strange = "strange://x/y"

[pools.up]
kind = "ray"
address = "{cluster}"

[pools.down]
kind = "ray"
address = "http://127.0.0.1:1"
""")
    done = cli("doctor", "--json")
    assert done.code == 1
    checks = done.json["checks"]
    states = {name: _check(checks, name)["state"] for name in ("@there", "@later", "@strange", "up", "down")}
    assert states == {"@there": "ok", "@later": "missing", "@strange": "failed", "up": "ok", "down": "failed"}
    assert "127.0.0.1:1" in _check(checks, "down")["detail"]
    assert "gristmill.toml" in _check(checks, "settings")["detail"]


@pytest.mark.parametrize("broken", ["home = [", 'hom = "x"', "[pools.x]\nkind = 'moon'", "stages = 3"])
def test_broken_settings_are_found_and_explained(cli: Cli, broken: str) -> None:
    (cli.folder / "gristmill.toml").write_text(broken)
    done = cli("doctor", "--json")
    assert done.code == 1
    settings = _check(done.json["checks"], "settings")
    assert settings["state"] == "failed"
    assert "gristmill.toml" in settings["advice"]
    assert "Traceback" not in done.err


def test_a_broken_variable_is_found_and_not_repeated(cli: Cli) -> None:
    done = cli("doctor", GRISTMILL_STORAGE_OPTIONS='{"s3": "hunter2-secret"')
    assert done.code == 1
    assert "hunter2-secret" not in done.out + done.err
    assert "Traceback" not in done.err


def test_secrets_never_show(cli: Cli) -> None:
    (cli.folder / "gristmill.toml").write_text("""
[stages]
bucket = "s3://bucket/x"
web = "https://user:hunter2-web@127.0.0.1:1/x"

[storage_options.s3]
key = "hunter2-key"
secret = "hunter2-secret"
endpoint_url = "http://127.0.0.1:1"

[pools.up]
kind = "ray"
address = "http://127.0.0.1:1"
runtime_env = { env_vars = { TOKEN = "hunter2-token" } }
""")
    done = cli("doctor", "--json")
    assert done.code == 1
    assert _check(done.json["checks"], "@bucket")["state"] == "failed"
    assert "hunter2" not in done.out + done.err
    wrong = '{"s3": {"secret": "hunter2-secret"}, "gs": "hunter2-gs"}'
    done = cli("doctor", GRISTMILL_STORAGE_OPTIONS=wrong)
    assert done.code == 1
    assert "hunter2" not in done.out + done.err


def test_a_home_that_cannot_be_written_fails(cli: Cli) -> None:
    (cli.folder / "file").touch()
    done = cli("doctor", "--json", GRISTMILL_HOME=str(cli.folder / "file" / "home"))
    assert done.code == 1
    home = _check(done.json["checks"], "home")
    assert home["state"] == "failed"
    assert "GRISTMILL_HOME" in home["advice"]
