"""The status of a service as a function of its record and the time."""

from typing import Any

import pytest

from gristmill.services.status import ServiceStatus, Verdict, judge

S = ServiceStatus


@pytest.mark.parametrize(
    ("written", "changed", "expected"),
    [
        (S.STARTING, {}, S.STARTING),
        (S.RUNNING, {}, S.RUNNING),
        (S.RUNNING, {"keeper_lives": False}, S.FAILED),
        (S.RUNNING, {"server_lives": False}, S.FAILED),
        (S.STARTING, {"keeper_lives": False, "server_lives": None}, S.FAILED),
        (S.STARTING, {"beat": None, "server_lives": None}, S.STARTING),
        # elsewhere: only time can tell
        (S.RUNNING, {"keeper_lives": None, "server_lives": None, "beat": 950.0}, S.RUNNING),
        (S.RUNNING, {"keeper_lives": None, "server_lives": None, "beat": 930.0}, S.FAILED),
        (S.STARTING, {"keeper_lives": None, "server_lives": None, "beat": None, "claimed": 890.0}, S.STARTING),
        (S.STARTING, {"keeper_lives": None, "server_lives": None, "beat": None, "claimed": 870.0}, S.FAILED),
        # here: a process that lives is believed, however long ago it wrote
        (S.RUNNING, {"beat": 0.0}, S.RUNNING),
        # what has ended stays so
        (S.STOPPED, {"keeper_lives": False, "server_lives": False}, S.STOPPED),
        (S.FAILED, {"keeper_lives": False, "server_lives": False}, S.FAILED),
    ],
)
def test_the_status_follows_record_processes_and_time(
    written: ServiceStatus, changed: dict[str, Any], expected: ServiceStatus
) -> None:
    state: dict[str, Any] = {"claimed": 900.0, "beat": 999.0, "keeper_lives": True, "server_lives": True, **changed}
    assert judge(Verdict(written, "as written"), now=1000.0, **state).status is expected


def test_what_is_gone_says_so_and_what_is_not_keeps_its_message() -> None:
    running = Verdict(S.RUNNING, "as written")
    assert judge(running, now=9, claimed=0, beat=8, keeper_lives=True, server_lives=True) == running
    gone = judge(running, now=70, claimed=0, beat=8, keeper_lives=False, server_lives=False)
    assert gone.message == "its process is gone; its last sign of life is 62 s old"
