"""When to try again: decisions that need no clock and no network."""

import email.utils
import random
from collections.abc import Mapping

__all__ = ["LONGEST_WAIT", "backoff_delay", "is_passing", "retry_after"]

LONGEST_WAIT = 300.0
"""Seconds; a service that asks for more is asked again after these."""

_PASSING = frozenset({408, 409, 425, 429})
_LONGEST_BACKOFF = 30.0
_JITTER = 0.25


def is_passing(status: int, headers: Mapping[str, str], code: str | None = None) -> bool:
    """Whether a failure may be gone at the next try.

    Args:
        status: the HTTP status.
        headers: of the answer; a service's `x-should-retry` decides.
        code: the service's own word for the failure: no waiting helps where the money is spent.

    Example:
        >>> is_passing(503, {}), is_passing(400, {}), is_passing(429, {}, "insufficient_quota")
        (True, False, False)
    """
    told = headers.get("x-should-retry", "").lower()
    if told in ("true", "false"):
        return told == "true"
    return code != "insufficient_quota" and (status in _PASSING or status >= 500)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds that a service asks to wait, at most `LONGEST_WAIT`; None where it does not say, or says no sense.

    Args:
        headers: of the answer: `retry-after-ms`, or `retry-after` with seconds or a date.
        now: seconds since 1970; a service's own `date` goes before it.

    Example:
        >>> retry_after({"retry-after": "2"}, now=0), retry_after({"retry-after-ms": "150"}, now=0)
        (2.0, 0.15)
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_WAIT)
    given = headers.get("retry-after")
    seconds = _number(given)
    if seconds is None and given is not None:
        until, sent = _date(given), _date(headers.get("date"))
        seconds = None if until is None else max(0.0, until - (now if sent is None else sent))
    return None if seconds is None else min(seconds, LONGEST_WAIT)


def backoff_delay(tries: int, *, base: float) -> float:
    """Seconds to wait after so many tries: `base`, twice as many after each further one, and up to a quarter more.

    Example:
        >>> 1.0 <= backoff_delay(3, base=0.25) <= 1.25
        True
    """
    delay = min(base * 2.0 ** min(tries - 1, 32), _LONGEST_BACKOFF)
    return delay * (1 + _JITTER * random.random())  # noqa: S311 - spreads retries, keeps no secret


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _date(text: str | None) -> float | None:
    try:
        return None if text is None else email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
