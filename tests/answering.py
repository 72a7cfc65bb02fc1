"""Waiting for a server that a test has started."""

import subprocess
import time
import urllib.error
import urllib.request

import pytest

__all__ = ["until_it_answers"]


def until_it_answers(
    url: str, server: "subprocess.Popen[bytes]", *, what: str, seconds: int = 120, may_refuse: bool = False
) -> None:
    """Ask again and again, as long as the server runs.

    Args:
        url: what is asked for.
        server: its process.
        what: the server, for failures.
        seconds: after so many the test fails.
        may_refuse: whether an error of HTTP is an answer, too.
    """
    for _ in range(10 * seconds):
        assert server.poll() is None, f"{what} ended at its start"
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            if may_refuse:
                return
            time.sleep(0.1)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{what} did not answer within {seconds} seconds", pytrace=False)
