"""What is asked of a location's `_SUCCESS`, and whether it is met. Pure: nothing is read here.

Imports little, since schedulers construct conditions while they parse their pipelines.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AwareDatetime, Field, NonNegativeInt, StringConstraints, field_validator

from gristmill.spec.base import Spec
from gristmill.wording.text import count

if TYPE_CHECKING:
    from gristmill.outputs.manifest import Manifest
    from gristmill.outputs.sighting import Sighting

__all__ = ["Finding", "SentinelCondition", "judge", "too_many"]


class SentinelCondition(Spec):
    """What must be true of a sentinel, besides being there.

    A condition that is None asks nothing. Values may be text, as templates render them; the text `None` is None, an
    empty one is refused. An empty, foreign or damaged sentinel meets none of `job_id`, `min_rows` and `max_error_rate`.

    Attributes:
        job_id: the job that wrote it.
        newer_than: it was finished after this moment; a sentinel that is no manifest is judged by when its file was
            written. With a time zone.
        min_rows: at least so many rows.
        max_error_rate: at most this share of the rows failed, or of the partitions for methods over those, 0 to 1. An
            output of none has the rate 0.

    Raises:
        SpecError: a value is wrong; the message names it.

    Example:
        >>> SentinelCondition(newer_than="2026-01-01T00:00:00Z", min_rows="1000").min_rows
        1000
    """

    job_id: Annotated[str, StringConstraints(min_length=1)] | None = None
    newer_than: AwareDatetime | None = None
    min_rows: NonNegativeInt | None = None
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None

    @field_validator("newer_than", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        if value is None:
            return value
        try:
            # not pydantic's own reading, which takes the text 20260101 for seconds since 1970
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except (TypeError, ValueError):
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ValueError("is not a moment with a time zone; write it as '2026-01-01T00:00:00+00:00'")
        return moment

    @field_validator("*", mode="before")  # the last one defined is the first to run
    @classmethod
    def _absent(cls, value: Any) -> Any:
        return None if value == "None" else value

    @property
    def needs_manifest(self) -> tuple[str, ...]:
        """The conditions that only a manifest can meet."""
        return tuple(name for name in ("job_id", "min_rows", "max_error_rate") if getattr(self, name) is not None)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a sentinel meets a condition.

    Attributes:
        met: whether.
        reason: why, in one line.
    """

    met: bool
    reason: str


def judge(sighting: "Sighting", condition: SentinelCondition) -> Finding:
    """Whether what was seen meets the condition, and one line why."""
    missing = _missing(sighting, condition)
    if missing is not None:
        return Finding(met=False, reason=missing)
    manifest = sighting.manifest
    if manifest is None:
        return Finding(met=True, reason=f"there is a _SUCCESS, {sighting.flaw}")
    rows, errors = f"{manifest.rows:,} rows", f"{manifest.errors:,} errors"
    return Finding(met=True, reason=f"of {_text(manifest.finished)}, by job {manifest.job!r}, {rows}, {errors}")


def _missing(sighting: "Sighting", condition: SentinelCondition) -> str | None:
    if sighting.trouble is not None:
        return f"it cannot be looked at now: {sighting.trouble}"
    if not sighting.exists:
        return "no _SUCCESS yet"
    manifest = sighting.manifest
    if manifest is None:
        if condition.needs_manifest:
            return f"its _SUCCESS is {sighting.flaw}, so nothing is known of {', '.join(condition.needs_manifest)}"
        return _too_old(sighting.modified, condition.newer_than)
    if condition.job_id is not None and manifest.job != condition.job_id:
        return f"of job {manifest.job!r}, not of {condition.job_id!r}"
    old = _too_old(manifest.finished, condition.newer_than)
    if old is not None:
        return old
    if condition.min_rows is not None and manifest.rows < condition.min_rows:
        return f"{manifest.rows:,} rows, fewer than {condition.min_rows:,}"
    if condition.max_error_rate is None:
        return None
    return too_many(manifest, condition.max_error_rate)


def too_many(manifest: "Manifest", limit: float) -> str | None:
    """What is wrong with the share that failed of an output's rows, or of its partitions; None where nothing is."""
    if manifest.error_rate <= limit:
        return None
    tried = count(manifest.tried, manifest.errors_of)
    return f"{manifest.errors:,} of {tried} failed, a rate of {manifest.error_rate:.4g}, more than {limit:.4g}"


def _too_old(moment: datetime | None, newer_than: datetime | None) -> str | None:
    if newer_than is None:
        return None
    if moment is None:
        return "its _SUCCESS is no manifest and the storage does not tell when it was written, so newer_than is not met"
    return None if moment > newer_than else f"of {_text(moment)}, not newer than {_text(newer_than)}"


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
