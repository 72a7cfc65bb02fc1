"""Endpoints: the settings, their secrets, and the way to them."""

import json
import pickle
import socket
import threading
import traceback
from typing import Any

import pyarrow as pa
import pytest
from aiohttp import web
from tests.engines.openai.conftest import Work, prompts
from tests.engines.openai.server import KEY, chat

from gristmill import JobStatus
from gristmill.engines.openai.endpoint import endpoint_of
from gristmill.errors import SpecError
from gristmill.settings import Settings
from gristmill.submission.warm import settings_variables


def endpoints(**given: Any) -> Settings:
    return Settings.load(endpoints={"lab": {"base_url": "http://lab:8000/v1", **given}})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"base_url": "lab:8000"}, "base_url: is not an address"),
        ({"base_url": "http://me:sk-secret@lab/v1"}, "base_url: must hold neither a user nor a query"),
        ({"base_url": "http://lab/v1?key=sk-secret"}, "base_url: must hold neither"),
        ({"window": 0}, "window: Input should be greater than 0"),
        ({"attempts": 0}, "attempts: Input should be greater than 0"),
        ({"timeout": 0}, "timeout: Input should be greater than 0"),
        ({"api_key": ["sk-secret"]}, "api_key: Input should be a valid string"),
        ({"api_key": "sk-secret\nother"}, r"endpoints\.lab.*api_key: holds a line break.*copy the key again"),
        ({"api_key": "sk-secret\u20ac"}, "api_key: holds"),
        ({"api_key": "sk-secret\0"}, "api_key: holds"),
        ({"apikey": "sk-secret"}, "apikey: is not a field"),
        ({"max_tokens_name": "tokens"}, "max_tokens_name: Input should be"),
    ],
)
def test_settings_that_cannot_be_right_are_refused_and_secrets_not_repeated(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        endpoints(**given)
    assert "sk-secret" not in "".join(traceback.format_exception(caught.value))


def test_a_key_of_the_environment_that_is_none_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\nother")
    with pytest.raises(SpecError, match="OPENAI_API_KEY: holds a line break") as caught:
        endpoint_of(Settings.load(), {})
    assert "sk-secret" not in "".join(traceback.format_exception(caught.value))


def test_an_endpoint_without_an_address_is_refused(settings: Settings) -> None:
    named = Settings.load(endpoints={"lab": {"window": 3}})
    with pytest.raises(SpecError, match=r"settings\.endpoints\.lab: has no base_url"):
        endpoint_of(named, {"endpoint": "lab"})


def test_the_key_reaches_the_jobs_own_processes_and_no_cluster() -> None:
    settings = endpoints(api_key=KEY)
    told = settings_variables(settings, secrets=True)
    again = Settings.load(endpoints=json.loads(told["GRISTMILL_ENDPOINTS"]))
    assert endpoint_of(again, {"endpoint": "lab"}).api_key == KEY
    assert endpoint_of(pickle.loads(pickle.dumps(settings)), {"endpoint": "lab"}).api_key == KEY
    assert KEY not in json.dumps(settings_variables(settings, secrets=False))
    assert KEY not in settings.model_dump_json() + repr(settings) + str(settings.model_dump())


def test_workers_share_the_limits_of_an_endpoint() -> None:
    settings = endpoints(requests_per_minute=600, tokens_per_minute=9_000)
    endpoint = endpoint_of(settings, {"endpoint": "lab", "window": 7}, workers=3)
    assert (endpoint.requests_per_minute, endpoint.tokens_per_minute, endpoint.window) == (200, 3_000, 7)


def test_the_proxy_of_the_environment_is_used(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:pass@127.0.0.1:{work.service.port}")
    monkeypatch.setenv("no_proxy", "")
    job = work.endpoint(base_url="http://somewhere.invalid/v1").run(prompts(2))
    assert job.status is JobStatus.DONE, job.message
    assert {call.headers["Host"] for call in work.service.calls} == {"somewhere.invalid"}
    assert {call.headers["Proxy-Authorization"] for call in work.service.calls} == {"Basic bWU6cGFzcw=="}


def test_the_proxy_for_all_is_used_and_hosts_may_be_left_out_with_their_port(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv("all_proxy", f"127.0.0.1:{work.service.port}")
    monkeypatch.setenv("no_proxy", "somewhere.invalid:81")
    job = work.endpoint(base_url="http://somewhere.invalid/v1").run(prompts(1))
    assert job.status is JobStatus.DONE, job.message
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    for left_out in ("127.0.0.1", f"other:1,127.0.0.1:{work.service.port}"):
        monkeypatch.setenv("no_proxy", left_out)
        job = work.run(prompts(1))
        assert job.status is JobStatus.DONE, job.message
    assert work.service.calls[0].headers["Host"] == "somewhere.invalid"


def test_a_proxy_that_cannot_be_used_is_told(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://me:pass@127.0.0.1:1080")
    monkeypatch.setenv("no_proxy", "")
    job = work.run(prompts(1))
    assert job.status is JobStatus.FAILED
    assert "proxy socks5://127.0.0.1" in job.message
    assert "no_proxy" in job.message
    assert "pass" not in job.message


def test_a_proxy_of_a_tunnel_does_not_see_the_key(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        seen: list[bytes] = []

        def serve() -> None:
            while True:
                client, _ = proxy.accept()
                with client:
                    seen.append(client.recv(65_536))
                    client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                if b"stop" in seen[-1]:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://me:pass@127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        job = work.endpoint(base_url="https://somewhere.invalid/v1", attempts=2).run(prompts(1))
        with socket.create_connection(proxy.getsockname()) as last:
            last.sendall(b"stop")
        thread.join()
    assert job.status is JobStatus.FAILED
    assert "pass" not in job.message
    asked = [request for request in seen if b"stop" not in request]
    assert asked
    assert all(request.startswith(b"CONNECT somewhere.invalid:443") for request in asked)
    assert all(b"Proxy-Authorization: Basic bWU6cGFzcw==" in request for request in asked)
    assert KEY.encode() not in b"".join(seen)


def test_half_a_character_at_the_end_of_an_answer_costs_no_row(work: Work) -> None:
    def cut(call: Any) -> web.Response:
        text = json.dumps(chat(call)).replace("P1", "caf\\u00e9 \\ud83d")
        return web.Response(text=text, content_type="application/json")

    work.service.script = cut
    job = work.run(pa.table({"prompt": ["p0", "p1"]}))
    assert job.status is JobStatus.DONE, job.message
    assert [row["response"] for row in work.rows(text=True)] == ["P0", "café ?"]


def test_the_log_says_why_a_job_is_slow(processes: Work) -> None:
    from tests.engines.openai.server import refusal

    service = processes.service
    service.script = lambda call: refusal(429, "slow down", Retry_After="0") if call.number == 0 else None
    job = processes.run(prompts(2))
    assert job.status is JobStatus.DONE
    log = "\n".join(job.get_logs(as_list=True))
    assert "slow down" in log
    assert "trying again in" in log
    assert KEY not in log
