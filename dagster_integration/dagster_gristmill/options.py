"""`StepOptions`: how a step goes about its jobs; nothing of what they compute."""

from dataclasses import dataclass
from typing import Any

from gristmill.declared import check_seconds
from gristmill.errors import SpecError

__all__ = ["StepOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """How a step goes about its jobs.

    Attributes:
        checks: what is asked of the outputs: `OutputChecks`, or None for nothing.
        force_rerun: compute what is done again.
        partitions_at_once: jobs side by side.
        poll_interval: seconds between two looks at a job at most.
        log_interval: seconds between lines of progress.
    """

    checks: Any
    force_rerun: bool
    partitions_at_once: int
    poll_interval: float
    log_interval: float

    def check(self) -> None:
        """Refuse what a step cannot go by, before there is a job.

        Raises:
            SpecError: an option is wrong; the message names it.
        """
        from gristmill.outputs.checks import OutputChecks

        for name in ("poll_interval", "log_interval"):
            check_seconds(name, getattr(self, name))
        at_once = self.partitions_at_once
        if not isinstance(at_once, int) or isinstance(at_once, bool) or at_once < 1:
            raise SpecError(f"partitions_at_once: give 1 or more (given: {at_once!r})")
        if not isinstance(self.force_rerun, bool):
            raise SpecError(f"force_rerun: give True or False (given: {self.force_rerun!r})")
        if self.checks is not None and not isinstance(self.checks, OutputChecks):
            raise SpecError(f"checks: give OutputChecks(...), or None for none (given: {type(self.checks).__name__})")
