"""What the engine does when the service is busy, broken, slow, away, or says no; through whole jobs."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web
from tests.engines.openai.conftest import Work, prompts
from tests.engines.openai.server import KEY, TRIAL, Call, Service, chat, drop, refusal

from gristmill import JobStatus
from gristmill.settings import Settings


def first_time(service: Service, call: Call) -> bool:
    return service.texts.count(call.text) == 1


def errors_of(work: Work) -> list[Any]:
    return [row["_error"] for row in work.rows()]


def sent(work: Work) -> Counter[str]:
    """How often each row was sent."""
    return Counter(text for text in work.service.texts if text != TRIAL)


def test_as_many_requests_are_in_flight_as_the_window_says(work: Work) -> None:
    service = work.service
    deadline = time.monotonic() + 60

    async def hold(call: Call) -> None:
        while call.text != TRIAL and service.most < 40 and time.monotonic() < deadline:  # noqa: ASYNC110 - each for all
            await asyncio.sleep(0.01)

    service.script = hold
    service.latency = 0.1  # in which more could come
    assert work.run(prompts(120), options={"window": 40}).status is JobStatus.DONE
    assert service.most == 40


def test_a_refused_request_is_the_rows_error_with_the_services_own_words(work: Work) -> None:
    said = "This model's maximum context length is 16 tokens."
    work.service.script = lambda call: (
        refusal(400, said, kind="invalid_request_error", code="context_length_exceeded") if call.text == "p1" else None
    )
    assert work.run(prompts(3), on_error="record").status is JobStatus.DONE
    first, second, third = errors_of(work)
    assert (first, third) == (None, None)
    assert (second["type"], second["step"]) == ("RequestError", "infer")
    assert second["message"] == f"400 invalid_request_error (context_length_exceeded): {said}"
    assert Counter(work.service.texts) == {"p0": 1, "p1": 1, "p2": 1}


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (lambda call: web.json_response({"error": {"message": "out of luck", "code": 429}}), "RequestError", "luck"),
        (lambda call: web.json_response({"object": "error", "message": "no"}), "RequestError", "200: no"),
        (lambda call: web.Response(text='{"id": "x", "choi'), "ReplyError", "is not JSON"),
        (lambda call: web.json_response({}), "ReplyError", "no choices"),
        (lambda call: web.json_response({**chat(call), "choices": []}), "ReplyError", "no choices"),
        (lambda call: web.json_response({**chat(call), "choices": [{"text": "x"}]}), "ReplyError", "message"),
        (lambda call: web.json_response({**chat(call), "choices": ["x"]}), "ReplyError", "cannot be read"),
        (
            lambda call: web.json_response({**chat(call), "choices": [{"message": {"content": [1]}}]}),
            "ReplyError",
            "not text",
        ),
        (lambda call: web.Response(status=422, text="what?"), "RequestError", "^422: what"),
        (lambda call: refusal(500, "never again", x_should_retry="false"), "RequestError", "^500 .*never again"),
    ],
)
def test_what_is_no_answer_is_never_a_success(work: Work, answer: Any, kind: str, said: str) -> None:
    import re

    work.service.script = lambda call: answer(call) if call.text == "p1" else None
    assert work.run(prompts(2), on_error="record").status is JobStatus.DONE
    good, bad = errors_of(work)
    assert good is None
    assert bad["type"] == kind
    assert re.search(said, bad["message"]), bad["message"]
    assert sent(work) == {"p0": 1, "p1": 1}


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_failures_that_pass_are_tried_again(work: Work, status: int) -> None:
    service = work.service
    service.script = lambda call: refusal(status, "not now") if first_time(service, call) else None
    assert work.run(prompts(5)).status is JobStatus.DONE
    assert set(Counter(service.texts).values()) == {2}
    assert [row["choices"][0]["message"]["content"] for row in work.rows()] == ["P0", "P1", "P2", "P3", "P4"]


def test_dropped_connections_are_tried_again(work: Work) -> None:
    service = work.service
    service.script = lambda call: drop() if first_time(service, call) else None
    assert work.run(prompts(5)).status is JobStatus.DONE
    assert set(Counter(service.texts).values()) == {2}


def test_an_answer_that_breaks_off_is_asked_for_again(work: Work) -> None:
    service = work.service

    class Broken(web.Response):
        async def write_eof(self, data: bytes = b"") -> None:
            assert self._req is not None
            assert self._req.transport is not None
            await web.StreamResponse.write(self, b'{"id": ')
            self._req.transport.abort()

    service.script = lambda call: Broken(headers={"Content-Length": "500"}) if first_time(service, call) else None
    assert work.run(prompts(3)).status is JobStatus.DONE
    assert set(Counter(service.texts).values()) == {2}


def test_attempts_end_and_the_row_tells_why(work: Work) -> None:
    work.service.script = lambda call: refusal(500, "broken for good", kind="internal") if call.text == "p1" else None
    job = work.endpoint(attempts=3).run(prompts(2), on_error="record")
    assert job.status is JobStatus.DONE
    error = errors_of(work)[1]
    assert error["type"] == "EndpointError"
    assert error["message"].endswith("answered 500 internal: broken for good, after 3 attempts")
    assert sent(work) == {"p0": 1, "p1": 3}


def test_an_answer_that_takes_too_long_is_given_up_after_a_second_try(work: Work) -> None:
    async def slowly(call: Call) -> web.Response | None:
        if call.text == "p1":
            await asyncio.sleep(30)
        return None

    work.service.script = slowly
    assert work.endpoint(timeout=2).run(prompts(2), on_error="record").status is JobStatus.DONE
    error = errors_of(work)[1]
    assert error["type"] == "EndpointTimeoutError"
    assert "timeout=2 seconds" in error["message"]
    assert sent(work) == {"p0": 1, "p1": 2}


def test_a_storm_of_refusals_is_sat_out_and_all_rows_succeed(work: Work) -> None:
    service = work.service
    opens: list[float] = []

    def busy(call: Call) -> web.Response | None:
        if not opens:
            opens.append(call.time + 1.0)
        busy = call.time < opens[0]
        return refusal(429, "slow down", code="rate_limit_exceeded", Retry_After="1") if busy else None

    service.script = busy
    job = work.endpoint(attempts=2, window=64).run(prompts(400))
    assert job.status is JobStatus.DONE, job.message
    assert len(service.calls) <= 400 + 64  # one try each for those that were on their way, and no more


def test_one_refusal_holds_all_rows_back(work: Work) -> None:
    service = work.service
    refused: list[float] = []

    def once(call: Call) -> web.Response | None:
        if call.number == 40:
            refused.append(call.time)
            return refusal(429, "slow down", Retry_After="2")
        return None

    service.script = once
    service.latency = 0.005
    job = work.endpoint(window=16).run(prompts(400))
    assert job.status is JobStatus.DONE, job.message
    assert len(service.calls) == 401
    # Some had been sent before the word arrived; the others would all have been done by then.
    assert sum(refused[0] < call.time < refused[0] + 1.9 for call in service.calls) <= 4 * 16


@pytest.mark.parametrize("form", ["seconds", "milliseconds", "date"])
def test_the_service_says_when_to_come_back(work: Work, form: str) -> None:
    came: dict[str, list[float]] = {}

    def later(call: Call) -> web.Response | None:
        came.setdefault(call.text, []).append(call.time)
        if len(came[call.text]) > 1:
            return None
        if form == "date":
            # Whole seconds, so that three are more than two
            return refusal(503, "later", Retry_After=formatdate(time.time() + 3, usegmt=True))
        return refusal(503, "later", **({"Retry_After": "2"} if form == "seconds" else {"retry_after_ms": "2000"}))

    work.service.script = later
    assert work.run(prompts(1)).status is JobStatus.DONE
    first, second = came["p0"]
    assert second - first >= 1.95


def test_a_busy_service_may_refuse_for_longer_than_the_attempts_last_while_others_get_through(work: Work) -> None:
    service = work.service

    def rarely(call: Call) -> web.Response | None:
        return None if call.number % 5 == 4 else refusal(429, "busy", Retry_After="0")

    service.script = rarely
    assert work.endpoint(attempts=12, backoff=0.001).run(prompts(60)).status is JobStatus.DONE
    assert len(service.calls) >= 300


def test_requests_stay_below_the_rate_of_the_endpoint(work: Work) -> None:
    # 1,200 a minute are 20 a second; by the service's clock no second may see many more.
    assert work.endpoint(requests_per_minute=1_200).run(prompts(60)).status is JobStatus.DONE
    times = sorted(call.time for call in work.service.calls)
    assert len(times) == 60
    assert times[-1] - times[0] >= 59 / 20 - 1.1  # what came late may be made up for within a second
    assert max(sum(start <= other < start + 1 for other in times) for start in times) <= 42


def test_workers_share_the_rate_of_the_endpoint(processes: Work) -> None:
    # together 1,200 a minute, as with one
    assert processes.endpoint(requests_per_minute=1_200).run(prompts(64), num_workers=2).status is JobStatus.DONE
    times = sorted(call.time for call in processes.service.calls)
    assert max(sum(start <= other < start + 1 for other in times) for start in times) <= 42


def test_tokens_stay_below_the_rate_of_the_endpoint(work: Work) -> None:
    # Each answer takes 15 tokens, far less than was booked for it: 3,000 a minute are 50 a second, so 3.3 answers.
    job = work.endpoint(tokens_per_minute=3_000).run(prompts(12), params={"max_completion_tokens": 100})
    assert job.status is JobStatus.DONE
    times = sorted(call.time for call in work.service.calls)
    assert times[-1] - times[0] >= 11 * 15 / 50 - 1.5


def test_a_service_that_restarts_in_mid_job_costs_no_row(work: Work) -> None:
    service = work.service
    service.latency = 0.05
    away = threading.Event()

    def watch() -> None:
        while len(service.calls) < 60:
            time.sleep(0.01)
        service.stop()
        away.set()
        time.sleep(2)
        service.start()

    watcher = threading.Thread(target=watch)
    watcher.start()
    job = work.endpoint(backoff=0.2, window=16).run(prompts(300))
    watcher.join()
    assert away.is_set()
    assert job.status is JobStatus.DONE, job.message
    assert [row["choices"][0]["message"]["content"] for row in work.rows()] == [f"P{number}" for number in range(300)]


def test_the_defaults_outlast_a_minute_without_a_service() -> None:
    from gristmill.engines.openai.backoff import backoff_delay
    from gristmill.settings import EndpointSettings

    settings = EndpointSettings()
    assert sum(backoff_delay(tries, base=settings.backoff) for tries in range(1, settings.attempts)) >= 60


def test_a_wrong_key_ends_the_job_before_any_row_is_sent(work: Work) -> None:
    work.service.key = KEY
    job = work.endpoint(api_key="sk-other").run(prompts(1_000), on_error="record")
    assert job.status is JobStatus.FAILED
    assert "401" in job.message
    assert "set api_key in [endpoints.openai] of the settings, or OPENAI_API_KEY" in job.message
    assert "sk-other" not in job.message
    assert not work.service.calls


def test_a_wrong_key_of_a_named_endpoint_is_not_that_of_the_environment(work: Work) -> None:
    work.service.key = KEY
    endpoints = Settings.load(endpoints={"lab": {"base_url": work.service.base_url}}).endpoints
    named = Work(work.service, work.root, work.settings.model_copy(update={"endpoints": endpoints}))
    job = named.run(prompts(3), options={"endpoint": "lab"})
    assert job.status is JobStatus.FAILED
    assert "set api_key in [endpoints.lab] of the settings" in job.message
    assert "OPENAI_API_KEY" not in job.message


@pytest.mark.parametrize(("status", "code"), [(401, "invalid_api_key"), (402, None), (429, "insufficient_quota")])
def test_what_no_row_survives_ends_the_job_soon(work: Work, status: int, code: str | None) -> None:
    service = work.service
    service.models = False
    service.script = lambda call: refusal(status, "not you", code=code) if call.number >= 100 else None
    service.latency = 0.01
    job = work.run(prompts(3_000), options={"window": 20}, on_error="record", max_errors=None)
    assert job.status is JobStatus.FAILED
    assert f"{status} " in job.message
    assert len(service.calls) <= 100 + 2 * 20


def test_a_model_that_is_not_there_ends_the_job_soon(work: Work) -> None:
    service = work.service
    service.script = lambda call: refusal(404, "The model 'tinny' does not exist", code="model_not_found")
    job = work.run(prompts(3_000), model="openai:tinny", on_error="record", options={"window": 50})
    assert job.status is JobStatus.FAILED
    assert "model_not_found" in job.message
    assert len(service.calls) <= 20 + 2 * 50


def test_a_model_of_a_row_that_is_not_there_is_the_rows_error(work: Work) -> None:
    import pyarrow as pa

    service = work.service
    service.script = lambda call: refusal(404, "no such model") if call.body["model"] == "none" else None
    table = pa.table({"prompt": [f"p{number}" for number in range(60)], "model": ["none"] * 50 + ["tiny"] * 10})
    options = {"param_columns": ["model"], "output_prefix": "r_"}
    assert work.run(table, on_error="record", options=options).status is JobStatus.DONE
    assert [error is None for error in errors_of(work)] == [False] * 50 + [True] * 10


def test_one_row_that_is_always_refused_slows_no_others_and_ends(work: Work) -> None:
    service = work.service
    service.latency = 0.02
    service.script = lambda call: refusal(429, "slow down", Retry_After="0") if call.text == "p3" else None
    job = work.endpoint(attempts=2, backoff=0.05, window=16).run(prompts(400), on_error="record")
    assert job.status is JobStatus.DONE, job.message
    bad = errors_of(work)[3]
    assert (bad["type"], "slow down" in bad["message"]) == ("EndpointError", True)
    assert sum(error is not None for error in errors_of(work)) == 1
    assert len(service.calls) == 399 + service.texts.count("p3") + service.trials
    assert 2 <= service.texts.count("p3") <= 12


def test_a_request_that_is_too_large_for_the_rate_is_refused_once(work: Work) -> None:
    said = "Request too large for m on tokens per min (TPM): Limit 10000, Requested 15000."
    work.service.script = lambda call: (
        refusal(429, said, kind="tokens", code="rate_limit_exceeded", x_should_retry="true")
        if call.text == "p1"
        else None
    )
    assert work.run(prompts(3), on_error="record").status is JobStatus.DONE
    assert errors_of(work)[1]["type"] == "RequestError"
    assert Counter(work.service.texts) == {"p0": 1, "p1": 1, "p2": 1}


@pytest.mark.parametrize("code", ["content_filter", None])
def test_many_rows_with_forbidden_content_at_the_beginning_do_not_end_the_job(work: Work, code: str | None) -> None:
    service = work.service
    forbidden = {f"p{number}" for number in range(50)}
    service.script = lambda call: refusal(403, "no", kind="", code=code) if call.text in forbidden else None
    job = work.run(prompts(150), options={"window": 8}, on_error="record")
    assert job.status is JobStatus.DONE, job.message
    assert [error is None for error in errors_of(work)] == [False] * 50 + [True] * 100
    assert len(service.calls) - service.trials == 150


def test_a_key_that_is_forbidden_everything_ends_the_job_soon(work: Work) -> None:
    service = work.service
    service.listing = lambda: refusal(403, "Missing scopes", kind="invalid_request_error")
    service.script = lambda call: refusal(403, "Missing scopes", kind="invalid_request_error")
    job = work.run(prompts(3_000), on_error="record", max_errors=None, options={"window": 20})
    assert job.status is JobStatus.FAILED
    assert "403 invalid_request_error: Missing scopes" in job.message
    assert len(service.calls) <= 20 + 2 * 20


@pytest.mark.parametrize("header", [{"Retry_After": "0"}, {"retry_after_ms": "0"}, {"Retry_After": formatdate(0)}])
def test_a_service_that_says_at_once_is_still_asked_ever_more_rarely(work: Work, header: dict[str, str]) -> None:
    work.service.script = lambda call: refusal(429, "busy", **header)
    job = work.endpoint(attempts=4, backoff=0.1).run(prompts(1), on_error="record")
    assert job.status is JobStatus.FAILED
    times = [call.time for call in work.service.calls if call.text != TRIAL]
    assert len(times) == 4
    assert all(later - time >= 0.09 * 2**at for at, (time, later) in enumerate(itertools.pairwise(times)))
