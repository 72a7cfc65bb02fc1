"""Counting rows and errors, and when errors end a job: promise 5 as pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gristmill.spec.enums import OnError
from gristmill.spec.row_error import RowError

__all__ = ["ErrorPolicy", "Tally", "first_errors"]

_DEFAULT_MAX_ERRORS = 100
_NAMED = 5
_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """What a job does with failed rows; see `JobSpec`."""

    on_error: OnError
    max_errors: int | None = None
    max_error_rate: float | None = None

    @property
    def records(self) -> bool:
        """Whether failed rows stand in the output."""
        return self.on_error is OnError.RECORD

    @property
    def limit(self) -> int | None:
        """The count of failed rows that stops the job; None for no such count."""
        if self.max_errors is None and self.on_error is OnError.FAIL:
            return _DEFAULT_MAX_ERRORS
        return self.max_errors


@dataclass(slots=True)
class Tally:
    """Rows and errors so far.

    Args:
        policy: what ends the job.
        rows_total: rows in all, where the plan knows.
        rows: rows done.
        errors: those of them that failed; partitions, where these are `tried`.
        noun: what fails or not: `row`, or `partition` for functions that make one result of each.
        tried_total: how many of these there are in all, where that is known and they are no rows.
        tried: how many of them are done, where they are no rows.
        samples: the first failed rows, as (shard, place within the shard, why).
    """

    policy: ErrorPolicy
    rows_total: int | None = None
    rows: int = 0
    errors: int = 0
    samples: list[tuple[int, int, RowError]] = field(default_factory=list)
    noun: str = "row"
    tried_total: int | None = None
    tried: int = 0

    def add(
        self,
        *,
        rows: int,
        errors: int,
        shard: int,
        samples: Iterable[tuple[int, RowError]] = (),
        tried: int | None = None,
    ) -> None:
        """Count what a worker has finished; `tried` where failures are counted of something else than rows."""
        self.rows += rows
        self.tried += rows if tried is None else tried
        self.errors += errors
        for place, error in samples:
            if len(self.samples) >= _KEPT:
                break
            self.samples.append((shard, place, error))

    def stop_reason(self) -> str | None:
        """Why the job must stop now; None while it may go on.

        With a rate, that is as soon as the outcome is certain: more rows failed than the rate allows of all rows.
        """
        limit, rate = self.policy.limit, self.policy.max_error_rate
        total = self.rows_total if self.noun == "row" else self.tried_total
        if limit is not None and self.errors > limit:
            return f"stopped: {self.errors:,} {self.noun}s failed, more than max_errors={limit:,}. {self._named()}"
        if rate is not None and total is not None and self.errors > rate * total:
            share = f"more than max_error_rate={rate:g} of {total:,} {self.noun}s"
            return f"stopped: {self.errors:,} {self.noun}s failed, {share}. {self._named()}"
        return None

    def final_reason(self) -> str | None:
        """Why the finished job has failed; None when its output may be published."""
        if self.errors and self.policy.on_error is OnError.FAIL:
            way_out = 'mend them and run the job again (only their shards are redone), or use on_error="record"'
            return f"{self.errors:,} of {self.tried:,} {self.noun}s failed. {self._named()}; {way_out}"
        rate = self.policy.max_error_rate
        if rate is not None and self.errors > rate * self.tried:
            told = f"{self.errors:,} of {self.tried:,} {self.noun}s failed"
            return f"{told}, more than max_error_rate={rate:g}. {self._named()}"
        return self.stop_reason()

    def _named(self) -> str:
        named = []
        for shard, place, error in self.samples[:_NAMED]:
            reference = f" ({error.reference})" if error.reference else ""
            message = error.message.splitlines()[0][:200] if error.message else ""
            named.append(f"shard {shard} row {place}{reference}: {error.step}: {error.type}: {message}")
        more = f"; and {self.errors - len(named):,} more" if self.errors > len(named) else ""
        return "First: " + "; ".join(named) + more if named else ""


def first_errors(tally: Tally) -> list[dict[str, object]]:
    """The first failed rows as plain data, for the record."""
    return [_plain(shard, place, error) for shard, place, error in tally.samples]


def _plain(shard: int, place: int, error: RowError) -> dict[str, object]:
    return {
        "shard": shard,
        "row": place,
        "type": error.type,
        "message": error.message,
        "step": error.step,
        "reference": error.reference,
    }
