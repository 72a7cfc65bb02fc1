"""Examining a finished output: each of the `OutputChecks`, answered with a finding."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from gristmill.chat.response import CHOICES, RESPONSE_NAMES
from gristmill.errors import SpecError
from gristmill.outputs.checks import OutputChecks
from gristmill.outputs.condition import too_many
from gristmill.outputs.manifest import Manifest, read_manifest
from gristmill.outputs.nulls import FileFacts, facts_of_file
from gristmill.outputs.sighting import Sighting
from gristmill.outputs.whole import flaw_of_files
from gristmill.spec.row_error import ERROR_COLUMN
from gristmill.storage.failure import TransientError
from gristmill.storage.location import join
from gristmill.storage.storage import Storage
from gristmill.wording.text import count, cut, duration

__all__ = ["CheckFinding", "Origin", "examine", "freshness"]

_THREADS = 8
_AHEAD = 64
_NAMED = 10
_TOLD = 500
"""Characters of a list of columns; an output may have thousands."""


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """What a check found.

    Attributes:
        check: its name, one of `OutputChecks.names`.
        passed: whether the output is as asked.
        reason: why, in one line.
        facts: `rows`, `rows_in`, `tried` (partitions, where those fail as one), `files`, `bytes`, `errors`,
            `error_rate` (0 to 1), `nulls`, `columns` (text), `age_hours`, `finished` (text): those that the check has
            looked at and that are known.
    """

    check: str
    passed: bool
    reason: str
    facts: Mapping[str, int | float | str] = field(default_factory=dict)


def _passed(check: str, reason: str, facts: Mapping[str, int | float | str]) -> CheckFinding:
    return CheckFinding(check, passed=True, reason=reason, facts=facts)


def _failed(check: str, reason: str, facts: Mapping[str, int | float | str] | None = None) -> CheckFinding:
    return CheckFinding(check, passed=False, reason=reason, facts=facts or {})


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of an output from elsewhere than the output itself.

    Attributes:
        job: whose output it must be; None takes any job's.
        rows: the rows that went in; None where nobody knows.
        columns: the input's columns; None where nobody knows, so that they cannot be told from the model's.
    """

    job: str | None = None
    rows: int | None = None
    columns: tuple[str, ...] | None = None


def examine(
    storage: Storage,
    sighting: Sighting,
    checks: OutputChecks,
    *,
    origin: Origin,
    now: datetime,
    names: Sequence[str] | None = None,
) -> tuple[CheckFinding, ...]:
    """Examine what stands at a location.

    An output that is missing, unfinished, another's or damaged fails its checks; it is no error. Files are listed, and
    footers read, for `complete` and `no_nulls`; values where footers do not tell of nulls.

    Args:
        storage: where.
        sighting: of the location, by `sight`.
        checks: what is asked.
        origin: what is known of the job.
        now: with a time zone.
        names: only these of `checks.names`.

    Returns:
        One finding for each check, in the order of `checks.names`.

    Raises:
        SpecError: a name is none of `checks.names`.
        OSError, or an error of the storage's client: the storage refuses, or is out of reach.
    """
    unknown = [name for name in names or () if name not in checks.names]
    if unknown:
        raise SpecError(f"names: {unknown[0]!r} is not asked for; the checks are {', '.join(checks.names) or 'none'}")
    if sighting.trouble is not None:
        raise TransientError(f"the _SUCCESS at {sighting.location!r} cannot be looked at now: {sighting.trouble}")
    wanted = [name for name in checks.names if names is None or name in names]
    output = _Output(storage, sighting, checks, origin, tuple(wanted))
    ways: dict[str, Callable[[], CheckFinding]] = {
        "complete": output.complete,
        "error_rate": output.error_rate,
        "no_nulls": output.no_nulls,
        "fresh": lambda: freshness(sighting, checks.fresh_within or timedelta(0), now=now),
    }
    return tuple(ways[name]() for name in wanted)


def freshness(sighting: Sighting, within: timedelta, *, now: datetime) -> CheckFinding:
    """Whether what was seen was finished no longer ago than `within`.

    A sentinel that is no manifest is judged by when its file was written.

    Example:
        >>> from gristmill.outputs.sighting import Sighting
        >>> freshness(Sighting("/out"), timedelta(hours=1), now=datetime.now(UTC)).reason
        "there is no _SUCCESS at '/out', so no finished output"
    """
    if not sighting.exists:
        return _failed("fresh", _nothing(sighting))
    moment = sighting.modified if sighting.manifest is None else sighting.manifest.finished
    if moment is None:
        reason = f"the _SUCCESS at {sighting.location!r} is {sighting.flaw}, and the storage does not tell when it came"
        return _failed("fresh", reason)
    old = now - moment
    seconds = max(old.total_seconds(), 0.0)
    facts: dict[str, int | float | str] = {
        "age_hours": round(seconds / 3600, 3),
        "finished": moment.astimezone(UTC).isoformat(timespec="seconds"),
    }
    limit = duration(within.total_seconds())
    if old <= within:
        return _passed("fresh", f"finished {duration(seconds)} ago, within {limit}", facts)
    return _failed("fresh", f"finished {duration(seconds)} ago, more than {limit}", facts)


def _nothing(sighting: Sighting) -> str:
    return f"there is no _SUCCESS at {sighting.location!r}, so no finished output"


class _Output:
    """One output under examination: what several checks need is read once."""

    def __init__(
        self, storage: Storage, sighting: Sighting, checks: OutputChecks, origin: Origin, wanted: tuple[str, ...]
    ) -> None:
        self._storage = storage
        self._sighting = sighting
        self._checks = checks
        self._origin = origin
        self._wanted = wanted

    def complete(self) -> CheckFinding:
        manifest = self._sighting.manifest
        if manifest is None:
            return self._no_manifest("complete")
        facts: dict[str, int | float | str] = {
            "rows": manifest.rows,
            "files": self._sighting.files,
            "bytes": self._sighting.bytes,
        }
        rows_in = self._origin.rows
        if rows_in is not None:
            facts["rows_in"] = rows_in
        flaw = self._of_another(manifest) or self._miscounted(manifest) or self._damage
        if flaw is not None:
            return _failed("complete", flaw, facts)
        files = count(self._sighting.files, "file")
        if rows_in is None:
            reason = f"{count(manifest.rows, 'row')} in {files}, all there; how many rows went in is not known"
        else:
            out = (
                "as many"
                if rows_in == manifest.rows
                else f"{count(manifest.rows)} from {count(manifest.partitions, 'partition')}"
            )
            reason = f"{count(rows_in, 'row')} in, {out} out, in {files}"
        return _passed("complete", reason, facts)

    def error_rate(self) -> CheckFinding:
        manifest, limit = self._sighting.manifest, self._checks.max_error_rate
        if manifest is None or limit is None:
            return self._no_manifest("error_rate")
        partitions = {"tried": manifest.tried} if manifest.errors_of == "partition" else {}
        facts = {"rows": manifest.rows, **partitions, "errors": manifest.errors, "error_rate": manifest.error_rate}
        flaw = too_many(manifest, limit)
        if flaw is not None:
            return _failed("error_rate", flaw, facts)
        told = f"{count(manifest.errors)} of {count(manifest.tried, manifest.errors_of)} failed"
        return _passed("error_rate", f"{told}, a rate of {manifest.error_rate:.4g}, at most {limit:.4g}", facts)

    def no_nulls(self) -> CheckFinding:
        manifest = self._sighting.manifest
        if manifest is None:
            return self._no_manifest("no_nulls")
        columns = self._columns
        if isinstance(columns, str):
            return _failed("no_nulls", columns)
        if self._damage is not None:
            return _failed("no_nulls", f"not known: {self._damage}")
        nulls = {name: number for name, number in self._facts.nulls.items() if number}
        facts: dict[str, int | float | str] = {
            "rows": manifest.rows,
            "nulls": sum(nulls.values()),
            "columns": cut(", ".join(columns), _TOLD),
        }
        of = f"{count(manifest.rows - manifest.errors, 'row')} without an error"
        if not nulls:
            return _passed("no_nulls", f"no null in {cut(', '.join(columns), _TOLD)} in {of}", facts)
        told = ", ".join(f"{name!r} in {count(number)}" for name, number in list(nulls.items())[:_NAMED])
        more = f" and {len(nulls) - _NAMED} more columns" if len(nulls) > _NAMED else ""
        return _failed("no_nulls", f"null: {told}{more} of {of}", facts)

    def _no_manifest(self, check: str) -> CheckFinding:
        seen = self._sighting
        if not seen.exists:
            return _failed(check, _nothing(seen))
        reason = f"the _SUCCESS at {seen.location!r} is {seen.flaw}: another tool wrote it, or it is damaged"
        return _failed(check, reason)

    def _of_another(self, manifest: Manifest) -> str | None:
        wanted = self._origin.job
        if wanted in (None, manifest.job):
            return None
        return f"{self._sighting.location!r} holds the output of job {manifest.job!r}, not that of job {wanted!r}"

    def _miscounted(self, manifest: Manifest) -> str | None:
        rows = self._origin.rows
        taken = manifest.rows if manifest.input_rows is None else manifest.input_rows
        if rows is None or rows == taken:
            return None
        return f"{count(rows, 'row')} in, {count(taken, 'row')} {'out' if taken == manifest.rows else 'taken in'}"

    @cached_property
    def _manifest(self) -> Manifest:
        """The manifest with its files, which a sighting counts only, where they are many."""
        seen = self._sighting
        if seen.manifest is not None and len(seen.manifest.files) == seen.files:
            return seen.manifest
        return read_manifest(self._storage, seen.location)

    @cached_property
    def _columns(self) -> tuple[str, ...] | str:
        """The columns in which no null may be; or why they cannot be told."""
        known = [column.name for column in self._manifest.columns if column.name != ERROR_COLUMN]
        asked = self._checks.no_nulls
        if isinstance(asked, tuple):
            missing = [name for name in asked if name not in known]
            return f"no_nulls: there is no column {missing[0]!r}; there are {', '.join(known)}" if missing else asked
        if self._origin.columns is None:
            return (
                f"not known: the record of job {self._manifest.job!r} is not there to tell its model's columns from "
                f"the input's; name them, no_nulls=[...], among {', '.join(known)}"
            )
        made = [name for name in known if name not in self._origin.columns]
        return tuple(_but_what_envelops(made))

    @property
    def _records_errors(self) -> bool:
        columns = self._manifest.columns
        is_input = ERROR_COLUMN in (self._origin.columns or ())
        return not is_input and any(column.name == ERROR_COLUMN for column in columns)

    @property
    def _damage(self) -> str | None:
        return self._facts.flaw

    @cached_property
    def _facts(self) -> FileFacts:
        """What is in the files, all together."""
        manifest, location = self._manifest, self._sighting.location
        flaw = flaw_of_files(self._storage, location, manifest)
        if flaw is not None:
            return FileFacts(flaw=flaw)
        columns = self._columns if "no_nulls" in self._wanted else ()
        columns = () if isinstance(columns, str) else columns
        rows, nulls = 0, dict.fromkeys(columns, 0)
        with closing(self._each_file(columns)) as found:
            for file, facts in zip(manifest.files, found, strict=True):
                if facts.flaw is not None:
                    return facts
                if facts.rows != file.rows:
                    where = join(location, file.path)
                    return FileFacts(flaw=f"{where!r} holds {facts.rows:,} rows, the manifest says {file.rows:,}")
                rows += facts.rows
                for name, number in facts.nulls.items():
                    nulls[name] += number
        if rows != manifest.rows:
            return FileFacts(flaw=f"the files hold {rows:,} rows, the manifest says {manifest.rows:,}")
        return FileFacts(rows, nulls)

    def _each_file(self, columns: Sequence[str]) -> Generator[FileFacts]:
        files = self._manifest.files
        errors = self._records_errors

        def facts_of(path: str) -> FileFacts:
            where = join(self._sighting.location, path)
            return facts_of_file(self._storage, where, columns, records_errors=errors)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="gristmill-examine") as pool:
            for start in range(0, len(files), _AHEAD):  # the first damaged file ends it: little is read in vain
                yield from pool.map(facts_of, [file.path for file in files[start : start + _AHEAD]])


def _but_what_envelops(made: Sequence[str]) -> Iterator[str]:
    """Of a chat's columns those that hold answers; an id, or a count of tokens, may be unknown without harm."""
    prefixes = [name.removesuffix(CHOICES) for name in made if name.endswith(CHOICES)]
    chats = [prefix for prefix in prefixes if {prefix + name for name in RESPONSE_NAMES} <= set(made)]
    envelope = {prefix + name for prefix in chats for name in RESPONSE_NAMES if name != CHOICES}
    return (name for name in made if name not in envelope)
