"""Interrupts at random moments of what is called in a process's first thread."""

import random
import signal
from collections.abc import Callable

__all__ = ["interrupted"]


def interrupted(work: Callable[[], object], *, rounds: int, within: float) -> None:
    """Do some work again and again, each time interrupted by a KeyboardInterrupt unless it ends before.

    Args:
        work: what is done.
        rounds: how often.
        within: seconds after which the interrupt comes at the latest.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(rounds):
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-6, within))
                work()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
