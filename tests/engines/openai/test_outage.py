"""A service that goes away in mid-job, which is no row's failure; and a row that a service fails at, which is."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from tests.engines.openai.conftest import Work, prompts
from tests.engines.openai.server import KEY, TRIAL, Call, chat, drop, refusal

from gristmill import JobStatus

ROWS = 600
ANSWERED = 100

OUTAGES: dict[str, Callable[[], web.Response]] = {
    "drops": drop,
    "broken": lambda: refusal(500, "no"),
    "busy": lambda: refusal(503, "no"),
    "throttled": lambda: refusal(429, "slow down"),
    "for good": lambda: refusal(500, "no", x_should_retry="false"),
    "page": lambda: web.Response(text="<h1>Back soon</h1>", content_type="text/html"),
    "nothing": lambda: web.Response(status=204),
    "list": lambda: web.json_response([1]),
    "moved": lambda: web.Response(status=302, headers={"Location": "http://login.lab/"}),
}


def goes_away(work: Work, answer: Callable[[], web.Response]) -> None:
    """After some answers; its list of models stays there."""
    work.service.script = lambda call: answer() if call.number >= ANSWERED else None
    work.service.latency = 0.002


AGAIN = "sk-again"
"""The key of a second run, since requests of the first may still arrive."""


def sent_again(work: Work) -> Counter[str]:
    """How often each row was sent by the second run."""
    return Counter(call.text for call in work.service.calls if call.headers["Authorization"] == f"Bearer {AGAIN}")


def answers(work: Work) -> list[Any]:
    return [row["choices"][0]["message"]["content"] for row in work.rows()]


@pytest.mark.parametrize("on_error", ["record", "fail"])
@pytest.mark.parametrize("how", [how for how in OUTAGES if how != "for good"])
def test_a_service_that_goes_away_ends_the_job_and_fails_no_row(work: Work, how: str, on_error: str) -> None:
    service = work.service
    goes_away(work, OUTAGES[how])
    given = {"on_error": on_error, "max_errors": None, "job_name": "away"}
    job = work.endpoint(attempts=3, window=20).run(prompts(ROWS), **given)
    assert job.status is JobStatus.FAILED
    assert f"endpoint 'openai' at {service.base_url} " in job.message
    assert "the service is down and no row is at fault" in job.message
    assert "run the job again" in job.message
    assert job.errors() == []
    assert not work.output.joinpath("_SUCCESS").exists()
    assert len(service.calls) <= ANSWERED + 6 * 20

    service.script = None
    again = work.endpoint(window=20, api_key=AGAIN).run(prompts(ROWS), **given)
    assert (again.id, again.status) == (job.id, JobStatus.DONE), again.message
    assert answers(work) == [f"P{number}" for number in range(ROWS)]
    assert sorted(sent_again(work).values()) == [1] * (ROWS - ANSWERED)  # no row that was answered is sent again


def test_a_service_that_asks_for_no_further_try_may_be_down_all_the_same(work: Work) -> None:
    goes_away(work, OUTAGES["for good"])
    job = work.endpoint(window=1).run(prompts(ROWS), on_error="record", max_errors=None)
    assert job.status is JobStatus.FAILED
    assert "after 1 attempt; nobody was answered" in job.message
    assert len(work.service.calls) == ANSWERED + 2


@pytest.mark.parametrize("where", ["port", "name"])
def test_a_service_that_was_never_there_ends_the_job_at_once(work: Work, where: str) -> None:
    work.service.stop()
    away = work.endpoint(attempts=2, **({} if where == "port" else {"base_url": "http://nowhere.invalid/v1"}))
    job = away.run(prompts(300), on_error="record")
    assert job.status is JobStatus.FAILED
    assert "after 2 attempts; nobody was answered" in job.message


def test_a_service_that_hangs_ends_the_job(work: Work) -> None:
    import asyncio

    async def hangs(call: Call) -> web.Response | None:
        if call.number >= ANSWERED:
            await asyncio.sleep(60)
        return None

    work.service.script = hangs
    job = work.endpoint(timeout=0.5, window=20).run(prompts(ROWS), on_error="record")
    assert job.status is JobStatus.FAILED
    assert "no answer within timeout=0.5 seconds" in job.message
    assert "the service is down" in job.message


def test_an_address_that_has_moved_is_told_at_once(work: Work) -> None:
    work.service.script = lambda call: web.Response(status=308, headers={"Location": "https://new.lab/v1"})
    job = work.run(prompts(300), on_error="record", options={"window": 20})
    assert job.status is JobStatus.FAILED
    assert "moved to https://new.lab/v1: write that in base_url" in job.message
    assert len(work.service.calls) <= 20


@pytest.mark.parametrize("how", [how for how in OUTAGES if how != "for good"])
def test_a_short_outage_costs_no_row(work: Work, how: str) -> None:
    seen: set[str] = set()

    def once(call: Call) -> web.Response | None:
        is_new = call.text not in seen
        seen.add(call.text)
        return OUTAGES[how]() if is_new and call.text != "p0" else None

    work.service.script = once
    job = work.endpoint(window=1 if how == "moved" else 20).run(prompts(50))
    assert job.status is JobStatus.DONE, job.message
    assert answers(work) == [f"P{number}" for number in range(50)]


@pytest.mark.parametrize("how", [how for how in OUTAGES if how != "moved"])
@pytest.mark.parametrize("rows", [1, 30])
def test_a_row_that_the_service_always_fails_at_is_its_own_failure_with_nobody_beside_it(
    work: Work, how: str, rows: int
) -> None:
    last = f"p{rows - 1}"
    work.service.script = lambda call: OUTAGES[how]() if call.text == last else None
    job = work.endpoint(attempts=3, window=1).run(prompts(rows), on_error="record")
    assert job.status is JobStatus.DONE, job.message
    assert [row["number"] for row in work.rows() if row["_error"] is not None] == [rows - 1]
    counts = Counter(work.service.texts)
    assert counts[last] == (1 if how == "for good" else 3)
    assert counts[TRIAL] == 1
    trial = next(call.body for call in work.service.calls if call.text == TRIAL)
    assert (trial["model"], trial["max_completion_tokens"]) == ("tiny", 1)


def test_an_error_in_the_place_of_an_answer_to_the_trial_is_none(work: Work) -> None:
    work.service.script = lambda call: refusal(200 if call.text == TRIAL else 500, "no")
    job = work.endpoint(attempts=2).run(prompts(1), on_error="record")
    assert job.status is JobStatus.FAILED
    assert "request of a word (200 server_error: no)" in job.message


def test_a_service_that_refuses_the_trial_is_there(work: Work) -> None:
    work.service.script = lambda call: (
        refusal(500, "no") if call.text == "p2" else refusal(400, "too short") if call.text == TRIAL else None
    )
    job = work.endpoint(attempts=3, window=1).run(prompts(3), on_error="record")
    assert job.status is JobStatus.DONE, job.message
    assert [row["_error"] is None for row in work.rows()] == [True, True, False]


def test_many_rows_that_the_service_fails_at_are_asked_for_together(work: Work) -> None:
    bad = {f"p{number}" for number in range(20, 60)}
    work.service.script = lambda call: refusal(500, "no") if call.text in bad else None
    job = work.endpoint(attempts=2, window=60).run(prompts(60), on_error="record")
    assert job.status is JobStatus.DONE, job.message
    assert sum(row["_error"] is not None for row in work.rows()) == 40
    assert work.service.trials <= 5


def test_an_outage_is_told_by_embeddings_too(work: Work) -> None:
    import pyarrow as pa

    table = pa.table({"text": [f"t{number}" for number in range(30)]})
    work.service.script = lambda call: refusal(500, "no") if call.text == "t29" else None
    given = {"function_name": "embed", "on_error": "record"}
    one_bad = work.endpoint(attempts=2, window=1)
    assert one_bad.run(table, **given).status is JobStatus.DONE
    assert sum(row["_error"] is not None for row in work.rows()) == 1
    work.service.script = lambda call: refusal(500, "no")
    job = one_bad.run(table.slice(1), **given)
    assert job.status is JobStatus.FAILED
    assert "the service is down" in job.message


@pytest.mark.parametrize("status", [404, 403, 405, 200])
def test_a_service_that_refuses_every_row_from_some_moment_ends_the_job(work: Work, status: int) -> None:
    goes_away(work, lambda: refusal(status, "no such model"))
    job = work.run(prompts(3_000), on_error="record", max_errors=None, options={"window": 20})
    assert job.status is JobStatus.FAILED
    assert f"answered {status} server_error: no such model (and so did 19 requests or more before)" in job.message
    assert len(work.service.calls) <= ANSWERED + 6 * 20


def test_rows_that_name_what_is_not_there_do_not_end_the_job(work: Work) -> None:
    work.service.script = lambda call: (
        refusal(404, "no such file") if call.text.startswith("p") and call.number >= 30 else None
    )
    job = work.run(prompts(150), on_error="record", max_errors=None, options={"window": 8})
    assert job.status is JobStatus.DONE, job.message
    assert sum(row["_error"] is not None for row in work.rows()) == 120
    assert 1 <= work.service.trials <= 6


@pytest.mark.parametrize("pool", ["inline", "local"])
def test_what_was_paid_for_is_kept_when_the_key_is_refused_in_mid_job(work: Work, pool: str) -> None:
    service, rows = work.service, 4_000
    work.pool = pool
    service.models = False
    paid: set[str] = set()
    lock = threading.Lock()

    def until_then(call: Call) -> web.Response | None:
        if call.number >= 1_500:
            return refusal(401, "revoked", code="invalid_api_key")
        with lock:
            paid.add(call.text)
        return web.json_response(chat(call))

    service.script = until_then
    job = work.run(prompts(rows), options={"window": 100}, on_error="record", job_name="paid")
    assert job.status is JobStatus.FAILED
    assert "401" in job.message
    service.script = None
    again = work.endpoint(api_key=AGAIN).run(prompts(rows), options={"window": 100}, on_error="record", job_name="paid")
    assert (again.id, again.status) == (job.id, JobStatus.DONE), again.message
    assert answers(work) == [f"P{number}" for number in range(rows)]
    sent = sent_again(work)
    assert set(sent.values()) == {1}
    # Answers that were on their way when the refusal came are lost, and no others.
    assert len(paid & sent.keys()) <= 100
    assert again.manifest().rows == rows
    assert again.manifest().tokens is not None
    assert again.manifest().tokens["output_tokens"] == 5 * rows


def test_what_was_answered_around_a_row_that_hangs_is_kept(work: Work) -> None:
    import asyncio

    released = threading.Event()

    async def slow(call: Call) -> web.Response | None:
        if call.text in ("p3", "p77") and not released.is_set():
            await asyncio.sleep(60)
        if call.number >= 300 and not released.is_set():
            await asyncio.sleep(0.5)  # for those before to be answered
            return refusal(402, "no credit")
        return None

    work.service.script = slow
    given = {"options": {"window": 30, "prefix_grouping": False}, "job_name": "around"}
    assert work.run(prompts(400), **given).status is JobStatus.FAILED
    released.set()
    job = work.endpoint(api_key=AGAIN).run(prompts(400), **given)
    assert job.status is JobStatus.DONE, job.message
    assert answers(work) == [f"P{number}" for number in range(400)]
    assert sent_again(work) == dict.fromkeys({"p3", "p77", *(f"p{number}" for number in range(300, 400))}, 1)


def test_a_trial_uses_the_jobs_own_adapter(work: Work) -> None:
    work.service.script = lambda call: refusal(500, "no") if call.text == "p0" else None
    job = work.endpoint(attempts=1, max_tokens_name="max_tokens").run(
        prompts(1), params={"model": "legal"}, on_error="record"
    )
    assert job.status is JobStatus.DONE, job.message
    trial = work.service.calls[-1].body
    assert (trial["model"], trial["max_tokens"]) == ("legal", 1)


def test_the_key_stands_in_no_message_of_an_outage(work: Work) -> None:
    work.service.script = lambda call: refusal(503, f"you sent {call.headers['Authorization']}")
    job = work.endpoint(attempts=1).run(prompts(3))
    assert job.status is JobStatus.FAILED
    assert "you sent Bearer ***" in job.message
    assert KEY not in job.message
