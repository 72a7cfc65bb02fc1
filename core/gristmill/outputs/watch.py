"""Watching a location for a sentinel, as data. Shared by all that wait for one."""

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from gristmill.outputs.condition import Finding, SentinelCondition, judge

if TYPE_CHECKING:
    from gristmill.outputs.sighting import Sighting

__all__ = ["SentinelWatch"]


@dataclass(frozen=True, slots=True)
class SentinelWatch:
    """A wait for a sentinel. Each look makes the next watch; there is no clock in it.

    Attributes:
        condition: what is waited for.
        say_every: seconds between lines while nothing changes.
        sighting: what was seen last.
        finding: whether it meets the condition.
        said: what was said last.
        said_at: when, in seconds of any clock.
        due: the line to say now, or None.
    """

    condition: SentinelCondition
    say_every: float = 600.0
    sighting: "Sighting | None" = None
    finding: Finding | None = None
    said: str | None = None
    said_at: float = 0.0
    due: str | None = None

    def after(self, sighting: "Sighting", *, now: float) -> Self:
        """The watch after one more look."""
        finding = judge(sighting, self.condition)
        line = f"{sighting.location}: {'' if finding.met else 'waiting, '}{finding.reason}"
        seen = replace(self, sighting=sighting, finding=finding, due=None)
        if line == self.said and now - self.said_at < self.say_every:
            return seen
        return replace(seen, said=line, said_at=now, due=line)

    @property
    def is_met(self) -> bool:
        """Whether the last look saw what is waited for."""
        return self.finding is not None and self.finding.met

    def is_news(self, known: Container[str | None]) -> bool:
        """Whether the last look saw what is waited for, and its identity is none of those that are known."""
        return self.is_met and self.sighting is not None and self.sighting.identity not in known
