"""The gate by itself, and the decisions about retries."""

import asyncio
import re

import pytest

from gristmill.engines.openai.backoff import LONGEST_WAIT, backoff_delay, is_passing, retry_after
from gristmill.engines.openai.gate import Gate
from gristmill.engines.openai.request import estimate_tokens


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_no_more_are_let_in_than_is_allowed_and_the_others_in_their_order() -> None:
    async def run() -> list[int]:
        gate, order = Gate(2), []

        async def request(number: int) -> None:
            await gate.enter()
            order.append(number)

        tasks = [asyncio.create_task(request(number)) for number in range(5)]
        await settle()
        assert (order, gate.in_flight, gate.waiting) == ([0, 1], 2, 3)
        gate.leave()
        await settle()
        assert order == [0, 1, 2]
        tasks[3].cancel()
        await settle()
        gate.leave()
        gate.leave()
        await settle()
        assert gate.in_flight == 1
        return order

    assert asyncio.run(run()) == [0, 1, 2, 4]


def test_one_that_is_cancelled_when_its_turn_has_come_gives_the_turn_on() -> None:
    async def run() -> None:
        gate = Gate(1)
        await gate.enter()
        second, third = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
        await settle()
        gate.leave()
        second.cancel()
        await settle()
        assert (third.done(), gate.in_flight) == (True, 1)

    asyncio.run(run())


def test_many_refusals_at_once_halve_what_is_allowed_once_and_answers_bring_it_back() -> None:
    async def run() -> None:
        clock = Clock()
        gate = Gate(64, clock=clock)
        for _ in range(64):
            await gate.enter()
        for _ in range(64):
            gate.refused(1.0)
            gate.leave()
        assert gate.allowed == 32
        clock.now += 2
        gate.refused(1.0)
        assert gate.allowed == 1  # none was in flight: no more than that is too many
        for _ in range(8 * 63):
            gate.answered()
        assert gate.allowed == 64
        gate.answered()
        assert gate.allowed == 64

    asyncio.run(run())


def test_tokens_that_were_not_used_are_given_back_to_those_that_wait() -> None:
    async def run() -> None:
        clock = Clock()
        gate = Gate(10, tokens_per_minute=61, clock=clock)
        await gate.enter(600)
        waiting = asyncio.create_task(gate.enter(1))
        await settle()
        assert not waiting.done()
        gate.answered(tokens=600, estimate=600)
        await settle()
        assert not waiting.done()
        gate.answered(tokens=0, estimate=600)
        await settle()
        assert waiting.done()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1", "retry-after-ms": "20"}, 0.02),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e9"}, LONGEST_WAIT),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:09 GMT"}, 4.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:09 GMT", "date": "Thu, 01 Jan 1970 00:00:02 GMT"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
    ],
)
def test_a_service_says_when_in_several_ways(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=5.0) == seconds


def test_delays_double_up_to_a_bound_and_differ() -> None:
    delays = [backoff_delay(tries, base=1.0) for tries in range(1, 9)]
    for delay, least in zip(delays, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert least <= delay <= 1.25 * least
    assert backoff_delay(100_000, base=1.0) <= 37.5
    assert backoff_delay(3, base=0.0) == 0.0
    assert len({backoff_delay(1, base=1.0) for _ in range(50)}) > 40


@pytest.mark.parametrize(("status", "passes"), [(400, False), (404, False), (408, True), (429, True), (502, True)])
def test_a_service_may_say_itself_whether_to_try_again(status: int, passes: bool) -> None:
    assert is_passing(status, {}) is passes
    assert is_passing(status, {"x-should-retry": "true"})
    assert not is_passing(status, {"x-should-retry": "False"})


def test_the_content_of_files_is_not_counted_as_text() -> None:
    parts = [
        {"type": "text", "text": "a" * 400},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}},
    ]
    assert 1_000 < estimate_tokens([{"role": "user", "content": parts}], {"n": 2, "max_completion_tokens": 50}) < 1_500


def test_an_endpoint_does_not_show_its_key() -> None:
    from gristmill.engines.openai.endpoint import endpoint_of
    from gristmill.settings import Settings

    settings = Settings.load(endpoints={"lab": {"base_url": "http://lab/v1/", "api_key": "sk-1\n"}})
    endpoint = endpoint_of(settings, {"endpoint": "lab"}, workers=2)
    assert not re.search("sk-1", repr(endpoint) + str(settings.endpoints))
    assert (endpoint.api_key, endpoint.base_url) == ("sk-1", "http://lab/v1")
    assert endpoint.without_key("key sk-1 is wrong") == "key *** is wrong"
