"""Asset checks of outputs: what `OutputChecks` asks, as Dagster's checks, and what was found, as their results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from gristmill.outputs.checks import OutputChecks
from gristmill.wording.text import count, duration

if TYPE_CHECKING:
    from gristmill.outputs.examine import CheckFinding
    from gristmill.settings import Settings

__all__ = ["Examined", "check_results", "check_specs"]

_ROWS = 200
"""Partitions that a table shows at most: a page of Dagster renders all of it."""
_NAMED = 3
_SUMMED = ("rows", "rows_in", "tried", "files", "bytes", "errors", "nulls")


@dataclass(frozen=True, slots=True)
class Examined:
    """An output to examine.

    Attributes:
        partition: its key; None where the asset has no partitions.
        location: where it stands.
        job: the id of the job that made it; None takes that of any job.
    """

    partition: str | None
    location: str
    job: str | None = None


def check_specs(
    asset_key: dg.AssetKey | str | Sequence[str],
    checks: OutputChecks = OutputChecks(),  # noqa: B008 - frozen
) -> list[dg.AssetCheckSpec]:
    """Dagster's checks for what is asked, for `check_specs=` of an asset.

    They have no partitions of their own, also where the asset has: a result names those it is about.

    Example:
        >>> [spec.name for spec in check_specs("scores")]
        ['complete', 'error_rate', 'no_nulls']
    """
    told = _descriptions(checks)
    return [
        dg.AssetCheckSpec(name, asset=asset_key, description=told[name], blocking=checks.blocking)
        for name in checks.names
    ]


def _descriptions(checks: OutputChecks) -> dict[str, str]:
    rate, within, nulls = checks.max_error_rate, checks.fresh_within, checks.no_nulls
    columns = f"in {', '.join(nulls)}" if isinstance(nulls, tuple) else "in what the model made"
    return {
        "complete": "As many rows came out as went in; every file of the output is there, with its size and its rows.",
        "error_rate": "No row failed." if rate == 0 else f"At most {100 * (rate or 0):g} % of the rows failed.",
        "no_nulls": f"No null {columns}, among the rows that did not fail.",
        "fresh": f"Finished no longer than {duration(within.total_seconds() if within else 0)} ago, by the sentinel.",
    }


def check_results(
    checks: OutputChecks,
    *,
    asset_key: dg.AssetKey,
    outputs: Sequence[Examined],
    settings: "Settings",
    names: Sequence[str] | None = None,
) -> Iterator[dg.AssetCheckResult]:
    """Examine outputs: one result for each check, over all of them; it passes where each of them does.

    A failed check has the severity ERROR, the one that a blocking check needs to hold back what is downstream. The
    metadata has plain numbers, which Dagster plots (over several outputs the sums, the rate of all rows together, and
    the highest age), the `partition`, or a table of all partitions, those that fail first.

    Args:
        checks: what is asked.
        asset_key: of the asset.
        outputs: one for each partition; none fails every check.
        settings: where outputs and the records of jobs are reached.
        names: only these checks, as where a run selects some.

    Raises:
        OSError, or an error of the storage's client: the storage refuses, or is out of reach. What is wrong with an
            output itself fails its checks.
    """
    from gristmill.jobs.examination import examine_output
    from gristmill.storage.storage import Storage

    storage = Storage(settings)
    wanted = [name for name in checks.names if names is None or name in names]
    found: dict[str, list[tuple[Examined, CheckFinding]]] = {name: [] for name in wanted}
    for output in outputs:
        for finding in examine_output(storage, output.location, checks, job=output.job, names=wanted):
            found[finding.check].append((output, finding))
    for name in wanted:
        yield dg.AssetCheckResult(
            asset_key=asset_key,
            check_name=name,
            passed=bool(found[name]) and all(finding.passed for _, finding in found[name]),
            severity=dg.AssetCheckSeverity.ERROR,
            description=_description(found[name]),
            metadata=_metadata(found[name]),
        )


def _description(found: "Sequence[tuple[Examined, CheckFinding]]") -> str:
    if not found:
        return "there is no output to examine: nothing was materialized"
    if len(found) == 1:
        output, finding = found[0]
        return finding.reason if output.partition is None else f"{output.partition}: {finding.reason}"
    failed = [(output, finding) for output, finding in found if not finding.passed]
    if not failed:
        return f"{count(len(found), 'partition')} passed"
    told = "; ".join(f"{output.partition}: {finding.reason}" for output, finding in failed[:_NAMED])
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return f"{len(failed)} of {count(len(found), 'partition')} failed: {told}{more}"


def _metadata(found: "Sequence[tuple[Examined, CheckFinding]]") -> dict[str, Any]:
    if len(found) == 1:
        output, finding = found[0]
        partition = {} if output.partition is None else {"partition": output.partition}
        return {"location": output.location, **partition, **finding.facts}
    told = _together([finding.facts for _, finding in found])
    return {**told, **_by_partition(found)} if found else told


def _together(facts: Sequence[Mapping[str, int | float | str]]) -> dict[str, Any]:
    told: dict[str, Any] = {
        name: sum(one[name] for one in facts if isinstance(one[name], int))
        for name in _SUMMED
        if facts and all(name in one for one in facts)
    }
    if "errors" in told:
        tried = sum(int(one.get("tried", one["rows"])) for one in facts)
        told["error_rate"] = told["errors"] / tried if tried else 0.0
    ages = [age for one in facts if isinstance(age := one.get("age_hours"), float)]
    return {**told, "age_hours": max(ages)} if ages else told


def _by_partition(found: "Sequence[tuple[Examined, CheckFinding]]") -> dict[str, Any]:
    shown = sorted(found, key=lambda one: one[1].passed)[:_ROWS]
    numbers = [
        name for name in (*_SUMMED, "error_rate", "age_hours") if any(name in finding.facts for _, finding in shown)
    ]
    columns = [
        dg.TableColumn("partition", "string"),
        dg.TableColumn("passed", "bool"),
        *(dg.TableColumn(name, "float" if name in ("error_rate", "age_hours") else "int") for name in numbers),
        dg.TableColumn("reason", "string"),
    ]
    records = [
        dg.TableRecord(
            {
                "partition": output.partition,
                "passed": finding.passed,
                **{name: finding.facts.get(name) for name in numbers},
                "reason": finding.reason,
            }
        )
        for output, finding in shown
    ]
    table = dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))
    return {"partitions": len(found), "failed": sum(1 for _, one in found if not one.passed), "by partition": table}
