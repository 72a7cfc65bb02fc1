"""What a materialization shows: numbers that Dagster plots over time, the columns, the first rows, the throughput."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_gristmill.plot import throughput_plot
from dagster_gristmill.preview import preview
from gristmill.spec.row_error import ERROR_COLUMN
from gristmill.wording.text import cut

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job
    from gristmill.jobs.record import Progress
    from gristmill.outputs.manifest import Manifest
    from gristmill.spec.request import JobRequest

__all__ = ["all_columns", "column_schema", "data_version", "materialization_metadata", "plain_schema"]

ROLE_TAG = "gristmill/role"
"""The tag of a column: `input`, `output` or `error`."""

_LONGEST_TYPE = 300
_MOST_COLUMNS = 500
"""Of wider outputs only these are told of: Dagster stores them all with each event, some 250 bytes each."""

_HOUR = 3600.0


def materialization_metadata(job: "Job", manifest: "Manifest", *, partitioned: bool) -> dict[str, Any]:
    """The metadata of a materialization. Needs the job's record, and reads the output's first rows.

    Counts, rates (per second, since the first worker was ready), seconds and hours are numbers; what the job did not
    count is left out.

    Args:
        job: the job, which is done.
        manifest: of its output.
        partitioned: whether the rows are those of one partition, or of the whole asset.
    """
    from gristmill.jobs.cost import cost_of

    progress = job.progress()
    cost = cost_of(job.record)
    plot = None if progress is None else throughput_plot(progress)
    hours = {"worker hours": cost.worker_seconds / _HOUR, "GPU hours": cost.gpu_seconds / _HOUR}
    seconds = (manifest.finished - manifest.started).total_seconds()
    return {
        "location": job.location,
        "job": job.id,
        "model": manifest.model,
        "rows": manifest.rows,
        "errors": manifest.errors,
        **{_plain(name): _number(value) for name, value in manifest.tokens.items()},
        **({} if progress is None else _rates(progress)),
        "duration (s)": round(seconds, 3),
        **{name: _brief(spent) for name, spent in hours.items() if spent or name == "worker hours"},
        "started": dg.MetadataValue.timestamp(manifest.started),
        "finished": dg.MetadataValue.timestamp(manifest.finished),
        "preview": dg.MetadataValue.md(preview(job, manifest)),
        **({} if plot is None else {"throughput": dg.MetadataValue.md(plot)}),
        "dagster/uri": job.location,
        "dagster/partition_row_count" if partitioned else "dagster/row_count": manifest.rows,
        "dagster/column_schema": column_schema(job.request, manifest),
        **all_columns(manifest),
    }


def data_version(manifest: "Manifest") -> dg.DataVersion:
    """What tells outputs apart: the request's fingerprint, and of a forced rerun, whose rows may differ, its number."""
    from gristmill.submission.identity import rerun_number

    number = rerun_number(manifest.job)
    return dg.DataVersion(manifest.fingerprint if number == 1 else f"{manifest.fingerprint}.{number}")


def all_columns(manifest: "Manifest") -> dict[str, int]:
    """How many columns there are, where a schema does not tell of all."""
    number = len(manifest.columns)
    return {"columns": number} if number > _MOST_COLUMNS else {}


def plain_schema(manifest: "Manifest") -> dg.TableSchema:
    """The output's columns by name and type, the first 500 of them."""
    columns = manifest.columns[:_MOST_COLUMNS]
    return dg.TableSchema([dg.TableColumn(one.name, type=cut(one.type, _LONGEST_TYPE)) for one in columns])


def column_schema(request: "JobRequest", manifest: "Manifest") -> dg.TableSchema:
    """The output's columns, the first 500 of them, each with what it is as its tag `gristmill/role`."""
    from gristmill.spec.schema_text import schema_from_text

    inputs = frozenset(schema_from_text(request.input_schema).names)
    columns = []
    for column in manifest.columns[:_MOST_COLUMNS]:
        role = "input" if column.name in inputs else "error" if column.name == ERROR_COLUMN else "output"
        columns.append(
            dg.TableColumn(
                column.name,
                type=cut(column.type, _LONGEST_TYPE),
                description=_description(role, column.name, request),
                tags={ROLE_TAG: role},
            )
        )
    return dg.TableSchema(columns=columns)


def _description(role: str, name: str, request: "JobRequest") -> str:
    if role == "error":
        return "Why the row failed; null where it did not"
    if role == "output":
        return f"Output of {request.model}"
    if name == request.messages:
        return "Input: the messages of a chat"
    return "Input: names files" if name in request.column_handling else "Input"


def _rates(progress: "Progress") -> dict[str, float]:
    from gristmill.runner.pace import mean_rate

    rows = mean_rate(progress.pace, ready=progress.ready)
    means = {f"{_plain(name)}/s": _brief(value) for name, value in progress.means.items() if value}
    return means if rows is None else {"rows/s": _brief(rows), **means}


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value


def _brief(value: float) -> float:
    return float(f"{value:.4g}")
