"""What a try of a task leaves for the next: which job it has started, and for which request."""

from dataclasses import asdict, dataclass
from typing import Any

from gristmill.errors import ConflictError

__all__ = ["Left", "recall", "remember"]

_NAME = "gristmill_job"


@dataclass(frozen=True, slots=True)
class Left:
    """What a try leaves.

    Attributes:
        job: the job that it has started.
        wish: what names the forced rerun that it would have been; the same in retries, another after a Clear.
        request: the digest of its rendered arguments.
        home: where the job is recorded.
    """

    job: str
    wish: str
    request: str
    home: str

    def check_home(self, home: str, *, connection: str) -> None:
        """No second job for a retry that sees another home, as when its connection cannot be read just now.

        Raises:
            ConflictError: `home` is another.
        """
        if self.home != home:
            raise ConflictError(
                f"an earlier try has started job {self.job!r} in the home {self.home!r}, and now the home is {home!r}: "
                f"connection {connection!r} cannot be read, or was changed; try again, or clear the task to run it in "
                "the new home"
            )


def remember(context: Any, left: Left) -> None:
    """Leave word in the task's state store, which outlives a killed process, a retry and a Clear alike."""
    store = context.get("task_state_store")
    if store is not None:
        store.set(_NAME, asdict(left))


def recall(context: Any) -> Left | None:
    """What an earlier try has left; None where there is nothing."""
    store = context.get("task_state_store")
    found = None if store is None else store.get(_NAME)
    return None if found is None else Left(**found)
