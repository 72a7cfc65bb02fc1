"""Policies of an asset in a `defs.yaml`: how it is backfilled, and tried again."""

from typing import Annotated, Any, Literal, TypeAlias

import dagster as dg
from pydantic import Field

from dagster_gristmill.component.checked import Checked
from gristmill.errors import SpecError

__all__ = ["BackfillPolicy", "MultiRun", "RetryFields", "SingleRun"]


class SingleRun(dg.Model):
    """A backfill in one run."""

    type: Literal["single_run"] = "single_run"


class MultiRun(dg.Model):
    """A backfill in several runs."""

    type: Literal["multi_run"] = "multi_run"
    max_partitions_per_run: int = Field(1, ge=1)


def _backfill_policy(context: dg.ResolutionContext, given: Any) -> dg.BackfillPolicy | None:  # noqa: ARG001 - Dagster's signature
    if isinstance(given, str):
        raise SpecError(f"backfill_policy: {given!r} is none; give {{type: single_run}} or {{type: multi_run}}")
    if isinstance(given, MultiRun):
        return dg.BackfillPolicy.multi_run(given.max_partitions_per_run)
    return dg.BackfillPolicy.single_run() if isinstance(given, SingleRun) else given


BackfillPolicy: TypeAlias = Annotated[
    dg.BackfillPolicy | None,
    dg.Resolver(
        _backfill_policy,
        model_field_type=Annotated[SingleRun | MultiRun, Field(discriminator="type")] | None,
        description="How many partitions of a backfill one run takes: all of them, or so many.",
        examples=[{"type": "single_run"}, {"type": "multi_run", "max_partitions_per_run": 10}],
    ),
]


class RetryFields(Checked):
    """Tries after a failed one; each attaches to the job, or resumes what it had not committed."""

    max_retries: int = 1
    delay: Annotated[float | None, dg.Resolver.default(description="Seconds before the first of them.")] = None
    backoff: Annotated[
        Literal["linear", "exponential"] | None, dg.Resolver.default(description="How later ones are spaced.")
    ] = None
    jitter: Annotated[
        Literal["full", "plus_minus"] | None, dg.Resolver.default(description="What chance does to the delay.")
    ] = None

    def check(self) -> None:
        """Refuse wrong values."""
        for name, least in (("max_retries", self.max_retries), ("delay", self.delay)):
            if least is not None and least < 0:
                raise SpecError(f"retry_policy.{name}: must be 0 or more (given: {least})")
        self.policy()

    def policy(self) -> dg.RetryPolicy:
        """Dagster's policy."""
        return dg.RetryPolicy(
            max_retries=self.max_retries,
            delay=self.delay,
            backoff=None if self.backoff is None else dg.Backoff[self.backoff.upper()],
            jitter=None if self.jitter is None else dg.Jitter[self.jitter.upper()],
        )
