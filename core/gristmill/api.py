"""The functions a user calls. Each takes locations as paths, URLs or stages, and settings from the surroundings.

What they need is imported when they are called: a runner that starts early need not wait for its client's imports.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gristmill.errors import JobStateError, SpecError
from gristmill.settings import Settings
from gristmill.spec.input import InputSpec
from gristmill.spec.job import InferenceSpec, JobSpec, ResourcesSpec
from gristmill.spec.output import OutputSpec
from gristmill.submission.warm import warm_runner

if TYPE_CHECKING:
    import pyarrow as pa

    from gristmill.inputs.frame import Frame
    from gristmill.inputs.listing import FileListing
    from gristmill.inputs.query import QuerySource
    from gristmill.jobs.handle import Job
    from gristmill.jobs.record import JobRecord
    from gristmill.outputs.manifest import Manifest
    from gristmill.storage.storage import Storage

__all__ = [
    "delete_job",
    "get_job",
    "list_files",
    "list_jobs",
    "list_stage_files",
    "open_output",
    "query",
    "read_manifest",
    "read_output",
    "run_batch",
]

Location = str | os.PathLike[str]


def _storage(settings: Settings | None) -> "Storage":
    from gristmill.storage.storage import Storage

    return Storage(Settings.load() if settings is None else settings)


def _home(storage: "Storage") -> str:
    return storage.resolve(storage.settings.home, what="settings.home")


def run_batch(
    model: Any,
    X: Any = None,  # noqa: N803 - the name users know
    *,
    output_spec: OutputSpec,
    compute_pool: str | None = None,
    input_spec: InputSpec | None = None,
    job_spec: JobSpec | None = None,
    inference_engine_options: Mapping[str, Any] | None = None,
    query: str | None = None,
    input_location: Location | None = None,
    input_stage_location: Location | None = None,
    input_format: str | None = None,
    input_version: str | None = None,
    resources_spec: ResourcesSpec | None = None,
    inference_spec: InferenceSpec | None = None,
    key: str | None = None,
    force_rerun: bool | str = False,
    settings: Settings | None = None,
) -> "Job":
    """Run a model over a dataset: Parquet and `_SUCCESS` at the output location, when all of it is there.

    Everything is checked first; a request that is refused has touched nothing. The job then runs on its own: it
    outlives this process. Calling again with the same `key` (or `job_spec.job_name`) and the same request attaches to
    the live job, returns the finished one, or resumes what a failed one has not committed; one that is being cancelled
    is waited for first.

    Args:
        model: a reference (`python:package.module:Class`, `pickle:<location>`, a `.joblib` or `.pkl` path,
            `hf:<org/name or folder>`, `models:/<name>/<version>`, `mlflow:<folder>`), or an object: an estimator, a
            custom model, a transformers pipeline, a function over frames.
        X: the rows: a pyarrow table or dataset, a pandas or Polars frame, `list_files(...)`, `query(...)`.
        output_spec: where the results go.
        compute_pool: the pool's name in the settings; `inline`, `local` and `ray` are always there.
        input_spec: params, file columns, and the column that partitions the input.
        job_spec: name, replicas, resources, what to do with failing rows.
        inference_engine_options: `{"engine": ..., "engine_args_override": [...]}` and the engine's own options;
            `registry`, where a `models:` reference is looked up if not in the settings' registry.
        query: SQL over files, instead of X.
        input_location: files or a glob of Parquet, CSV, JSONL or Arrow, instead of X.
        input_stage_location: the same as `input_location`.
        input_format: the format of those files, where their names do not tell.
        input_version: tells what those files, or the query's, hold from what they held before: another version is
            another request. Without one the location's text alone counts.
        resources_spec: replicas and resources, instead of the same fields of `job_spec`.
        inference_spec: function, workers and batch size, instead of the same fields of `job_spec`.
        key: who asks, without the attempt: for example a DAG's task and logical date.
        force_rerun: run again even if the same job is done. A text names the wish, so that a retry of it attaches to
            the job that it has started instead of starting another.
        settings: instead of those in force.

    Returns:
        The job's handle; `wait()` for it.

    Raises:
        SpecError: the request cannot be right; the message names the field, the value and the way out.
        EmptyInputError: the input location holds no files.
        OutputExistsError: the output location is not empty, in `SaveMode.ERROR`.

    Example:
        >>> job = run_batch(
        ...     "echo:",
        ...     pa.table({"x": [1, 2]}),
        ...     compute_pool="inline",
        ...     output_spec=OutputSpec(location="memory://scores/2026-01-01", mode="overwrite"),
        ...     job_spec=JobSpec(job_name="scores-2026-01-01", block=True),
        ...     settings=Settings(home="memory://home"),
        ... )
        >>> job.status.value, job.message
        ('DONE', '2 rows')
    """
    if input_location is not None and input_stage_location is not None:
        raise SpecError("give input_location or input_stage_location, not both: they are the same")
    how = _merged(job_spec or JobSpec(), resources_spec, inference_spec)
    settings = Settings.load() if settings is None else settings
    if isinstance(inference_engine_options, Mapping) and "endpoint" in inference_engine_options:
        from gristmill.services.endpoint import with_service

        settings = with_service(settings, inference_engine_options, pool=compute_pool)
    with warm_runner(settings, compute_pool, model) as warm:
        from gristmill.storage.storage import Storage
        from gristmill.submission.submit import Wish, submit

        wish = Wish(
            model=model,
            rows=X,
            query=query,
            input_location=input_stage_location if input_location is None else input_location,
            input_format=input_format,
            input_version=input_version,
            pool=compute_pool,
            output_spec=_typed(output_spec, OutputSpec, "output_spec"),
            input_spec=_typed(input_spec or InputSpec(), InputSpec, "input_spec"),
            job_spec=how,
            engine_options=inference_engine_options,
            key=key,
            force_rerun=force_rerun,
        )
        job = submit(Storage(settings), wish, warm)
    if how.block:
        job.wait()
    return job


def _typed(value: Any, kind: type[Any], name: str) -> Any:
    if isinstance(value, Mapping):
        return kind(**value)
    if not isinstance(value, kind):
        raise SpecError(f"{name}: give {kind.__name__}(...) or a dict of its fields (given: {type(value).__name__})")
    return value


def _merged(job: Any, resources: ResourcesSpec | None, inference: InferenceSpec | None) -> JobSpec:
    """The job spec with the fields of the other two, which must not contradict it."""
    spec: JobSpec = _typed(job, JobSpec, "job_spec")
    added: dict[str, Any] = {}
    for name, part, kind in (
        ("resources_spec", resources, ResourcesSpec),
        ("inference_spec", inference, InferenceSpec),
    ):
        if part is None:
            continue
        part = _typed(part, kind, name)  # noqa: PLW2901 - the same thing, typed
        twice = sorted(part.model_fields_set & spec.model_fields_set)
        if twice:
            raise SpecError(f"{name}.{twice[0]} and job_spec.{twice[0]} are the same field; give one")
        added |= part.model_dump(exclude_unset=True)
    return JobSpec(**spec.model_dump(exclude_unset=True), **added) if added else spec


def get_job(id_or_name: str, *, settings: Settings | None = None) -> "Job":
    """The handle of a job, by its id, or by its name (then the newest of that name).

    Raises:
        JobNotFoundError: there is none.
    """
    from gristmill.jobs.handle import Job

    return Job(_record(_storage(settings), id_or_name))


def _record(storage: "Storage", id_or_name: str) -> "JobRecord":
    from gristmill.jobs.record import JobRecord

    return JobRecord.find(storage, _home(storage), id_or_name)


def list_jobs(limit: int = 10, *, settings: Settings | None = None) -> "Frame":
    """The newest jobs: name, status, message, owner, compute_pool, target_instances, created_time, completed_time,
    id and location.

    Args:
        limit: how many at most; negative for all.
        settings: instead of those in force.

    Example:
        >>> list_jobs(3, settings=Settings(home="memory://home-without-jobs")).collect()
        []
    """  # noqa: D205 - the columns do not fit one line
    from gristmill.inputs.frame import Frame
    from gristmill.jobs.listing import jobs_table

    storage = _storage(settings)
    return Frame(jobs_table(storage, _home(storage), limit=limit))


def delete_job(job: "Job | str", *, settings: Settings | None = None) -> None:
    """Remove a job's record and what it left in progress. A published output stays.

    Raises:
        JobNotFoundError: there is no such job.
        JobStateError: it still runs; cancel it first.
    """
    from gristmill.jobs.handle import Job
    from gristmill.submission.deletion import delete

    storage = _storage(settings)
    handle = job if isinstance(job, Job) else Job(_record(storage, job))
    record = handle.record
    if not handle.status.is_terminal and record.latest() is not None:
        raise JobStateError(f"job {record.id!r} is {handle.status.value}; cancel() it and wait() before deleting it")
    delete(storage, record)


def list_files(
    location: Location,
    pattern: str | None = None,
    column_name: str = "FILE_PATH",
    *,
    settings: Settings | None = None,
) -> "FileListing":
    """The files at a location as rows of one column, ready to be `X`.

    Args:
        location: a folder or stage, listed at any depth.
        pattern: a regular expression that the whole path matches, such as `.*\\.jpg`.
        column_name: the column.
        settings: instead of those in force.

    Raises:
        EmptyInputError: no file matches.
    """  # noqa: D301 - the backslash is doubled
    from gristmill.inputs.listing import list_files as listing_of

    return listing_of(_storage(settings), os.fspath(location), pattern=pattern, column_name=column_name)


def list_stage_files(
    location: Location,
    pattern: str | None = None,
    column_name: str = "FILE_PATH",
    *,
    settings: Settings | None = None,
) -> "FileListing":
    """The same as `list_files`, under the name that some know."""
    return list_files(location, pattern, column_name, settings=settings)


def query(sql: str, *, settings: Settings | None = None) -> "QuerySource":
    """Rows from SQL over files, run by DuckDB when they are asked for; ready to be `X`.

    Paths in quotes may be stages: `SELECT * FROM '@lake/orders/*.parquet' WHERE price > 10`.

    Raises:
        SpecError: DuckDB does not understand it.
        MissingExtraError: DuckDB is not installed.
    """
    from gristmill.inputs.query import QuerySource

    return QuerySource(sql, _storage(settings))


def read_output(
    location: Location, *, columns: list[str] | None = None, text: bool = False, settings: Settings | None = None
) -> "pa.Table":
    """The rows of a finished output, in input order.

    Args:
        location: where the output stands.
        columns: only these.
        text: of a chat's output: the plain text. A column `response` stands instead of `id, object, created, model,
            choices, usage`, with the text of the first choice of each row, null where the row failed.
        settings: instead of those in force.

    Raises:
        OutputError: the location has no manifest, or a file that it names is missing or damaged.
        SchemaError: there is no such column, or the output is not a chat's.
    """
    from gristmill.outputs import read as outputs

    storage = _storage(settings)
    return outputs.read_output(storage, storage.resolve(location), columns=columns, text=text)


def open_output(location: Location, *, settings: Settings | None = None) -> Any:
    """A finished output as a `pyarrow.dataset.Dataset`, to be read in pieces.

    Raises:
        OutputError: as `read_output`.
    """
    from gristmill.outputs import read as outputs

    storage = _storage(settings)
    return outputs.open_output(storage, storage.resolve(location))


def read_manifest(location: Location, *, settings: Settings | None = None) -> "Manifest":
    """The content of an output's `_SUCCESS`: files, rows, errors, schema, times.

    Raises:
        OutputError: there is none, or it is another tool's.
    """
    from gristmill.outputs.manifest import read_manifest as manifest_of

    storage = _storage(settings)
    return manifest_of(storage, storage.resolve(location))
