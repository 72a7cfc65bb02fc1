"""How often a request has been tried, and whether it may be again: decisions that need no clock and no network."""

__all__ = ["SPARED", "SPARED_SECONDS", "Tries"]

SPARED = 32
"""Refusals for being too many that are no failed tries, since others got through meanwhile; no more of one request."""

SPARED_SECONDS = 600.0
"""Seconds after the first of them; what is refused for longer is refused for something else."""

_TIMEOUTS = 2


class Tries:
    """The tries of one request.

    Args:
        most: tries, until it is given up.
        answers: requests that the service answered so far.

    Attributes:
        made: tries so far.
    """

    __slots__ = (
        "_alone", "_answers", "_is_spared", "_marks", "_most", "_refusals", "_spared", "_timeouts", "_until", "made",
    )  # fmt: skip

    def __init__(self, most: int, *, answers: int) -> None:
        self.made = 0
        self._most = most
        self._timeouts = self._spared = self._alone = 0
        self._answers = answers
        self._marks = answers, answers  # at the last failure but one, and at the last
        self._refusals = 0
        self._is_spared = True
        self._until: float | None = None

    def failed(self, *, answers: int, timed_out: bool = False) -> None:
        """A try had no answer; `answers` were given so far, to all requests."""
        self._marks = self._marks[1], answers
        self.made += 1
        self._timeouts += timed_out

    def refused(self, *, answers: int, refusals: int, now: float, is_throttled: bool = True) -> bool:
        """The service asked to wait.

        Args:
            answers: requests that it answered so far, of all.
            refusals: those that it asked to wait so far, before this one.
            now: seconds of any clock.
            is_throttled: whether there were too many requests; only then may it be no failed try.

        Returns:
            Whether that concerns all requests: at the first time, and as long as more are refused than answered. A
            request that is refused while others get through waits by itself.
        """
        is_first = self._until is None
        self._until = now + SPARED_SECONDS if self._until is None else self._until
        answered, refused = answers - self._answers, refusals - self._refusals
        self._answers, self._refusals = answers, refusals + 1
        self._marks = self._marks[1], answers
        self.made += 1
        self._spared += is_throttled and answered > 0
        self._is_spared = self._is_spared and self._spared <= SPARED and now < self._until
        concerns_all = is_first or answered <= refused
        self._alone += not concerns_all
        return concerns_all

    @property
    def answers_before(self) -> int:
        """Requests that the service had answered, of all, at the last failure but one; at the first try, if it has one.

        While there are no more, nobody is answered. A request that was on its way when a service went away has seen
        others being answered since its first try; but between its last two is the longest pause.
        """
        return self._marks[0]

    @property
    def failures(self) -> int:
        """Tries on which the next wait depends: those that failed, or at which this request alone was refused."""
        return max(1, min(self.made, self.made - self._spared + self._alone))

    @property
    def is_over(self) -> bool:
        """Whether there is to be no further one."""
        counted = self.made - self._spared if self._is_spared else self.made
        return counted >= self._most or self._timeouts >= _TIMEOUTS
