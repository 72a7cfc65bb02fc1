"""When a request may be sent: not while the service asks for a pause, not beyond its rates, not too many at once."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Gate"]

_BURST = 1.0
"""Seconds' worth of requests or tokens that may be made up for when the sender was late."""

_GROWTH = 8
"""Answers for which one more request may be in flight, after a pause had them halved."""


class _Rate:
    """A bound on what passes in a minute, kept by spacing.

    In no 60 seconds pass more than the bound: the spacing leaves room for the burst.
    """

    def __init__(self, per_minute: float, now: float) -> None:
        self._most = per_minute
        self._interval = (60.0 + _BURST) / per_minute
        self._next = now

    def wait(self, now: float) -> float:
        """Seconds until the next may pass; 0 or less for now."""
        return self._next - now

    def take(self, amount: float, now: float) -> None:
        """One passes, of this amount."""
        self._next = max(self._next, now - _BURST) + amount * self._interval

    def correct(self, amount: float) -> None:
        """Take more, or give back, what was taken wrongly; never more than a minute's, whatever a service counts."""
        self._next += min(amount, self._most) * self._interval


class Gate:
    """Lets requests through, in the order in which they come.

    One refusal for being too many concerns all: everything waits for as long as the service asks, and then half as many
    go at once; they become more again with every few answers. To be used in one event loop.

    Args:
        most: requests in flight at most.
        requests_per_minute, tokens_per_minute: bounds on rates; None for none.
        clock: seconds; any origin.
    """

    def __init__(
        self,
        most: int,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = float(most)
        self._clock = clock
        now = clock()
        self._requests = None if requests_per_minute is None else _Rate(requests_per_minute, now)
        self._tokens = None if tokens_per_minute is None else _Rate(tokens_per_minute, now)
        self._rates = [rate for rate in (self._requests, self._tokens) if rate is not None]
        self._pacing = asyncio.Lock()
        self._corrected = asyncio.Event()
        self._allowed = float(most)
        self._paused_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_flight = 0
        self.answers = 0
        self.refusals = 0

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens matter."""
        return self._tokens is not None

    @property
    def allowed(self) -> int:
        """Requests in flight that are allowed now."""
        return int(self._allowed)

    @property
    def waiting(self) -> int:
        """Requests that wait for others to end."""
        return len(self._waiting)

    @property
    def pause(self) -> float:
        """Seconds until the pause that a service asked for is over; 0 without one."""
        return max(0.0, self._paused_until - self._clock())

    @property
    def pace(self) -> float:
        """Seconds until the rates let the next one pass; 0 for now."""
        return max((0.0, *(rate.wait(self._clock()) for rate in self._rates)))

    async def enter(self, tokens: float = 0.0) -> None:
        """Wait until one more request may be sent; `leave` must follow.

        Args:
            tokens: the tokens it will take, as far as one can tell.
        """
        if self._waiting or self.in_flight >= self._allowed:
            await self._turn()
        else:
            self.in_flight += 1
        try:
            await self._pace(tokens)
        except BaseException:
            self.leave()
            raise

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            else:
                self._waiting.remove(turn)
            raise

    async def _pace(self, tokens: float) -> None:
        if self._rates:
            async with self._pacing:  # which is fair: one waits for its time, the others behind it
                while (left := self.pace) > 0:
                    self._corrected.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(left):
                            await self._corrected.wait()
                now = self._clock()
                if self._requests is not None:
                    self._requests.take(1, now)
                if self._tokens is not None:
                    self._tokens.take(tokens, now)
        while (left := self.pause) > 0:  # noqa: ASYNC110 - the pause may become longer
            await asyncio.sleep(left)

    def leave(self) -> None:
        """A request has ended, however it did."""
        self.in_flight -= 1
        self._admit()

    def answered(self, *, tokens: float = 0.0, estimate: float = 0.0) -> None:
        """A request was answered; it took `tokens`, not its `estimate`."""
        self.answers += 1
        self._correct(tokens - estimate)
        if self._allowed < self._most:
            self._allowed = min(self._most, self._allowed + 1 / _GROWTH)
            self._admit()

    def failed(self, *, estimate: float = 0.0) -> None:
        """A request was not answered: what it was to take is given back."""
        self._correct(-estimate)

    def refused(self, seconds: float, *, concerns_all: bool = True) -> None:
        """The service says that it is too much: all wait so long, and fewer go at once then.

        Args:
            seconds: to wait.
            concerns_all: False where others get through: it is counted, and nobody waits.
        """
        self.refusals += 1
        if not concerns_all:
            return
        now = self._clock()
        if now >= self._paused_until:  # of many refusals at once, only the first halves
            self._allowed = max(1.0, min(self._allowed, float(self.in_flight)) / 2)
        self._paused_until = max(self._paused_until, now + seconds)

    def _correct(self, amount: float) -> None:
        if self._tokens is not None:
            self._tokens.correct(amount)
            self._corrected.set()

    def _admit(self) -> None:
        while self._waiting and self.in_flight < self.allowed:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
