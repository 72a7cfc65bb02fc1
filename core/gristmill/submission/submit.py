"""From what the user gives to a running job: check, stage, record, start."""

import contextlib
import errno
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gristmill.chat.params import check_chat_params
from gristmill.chat.signature import settled
from gristmill.errors import ConflictError, OutputError, SpecError
from gristmill.inputs.files import FilesSource, open_files
from gristmill.inputs.listing import FileListing
from gristmill.inputs.query import QuerySource
from gristmill.inputs.snapshot import content_hash, snapshot
from gristmill.inputs.source import Source, open_source
from gristmill.jobs.handle import Job
from gristmill.jobs.judgement import verdict_of
from gristmill.jobs.record import JobRecord
from gristmill.jobs.status import next_step
from gristmill.models.objects import ModelObject, pickle_object
from gristmill.models.params import check_params
from gristmill.models.signature import Signature
from gristmill.outputs.layout import staging_of
from gristmill.partitions.rule import Partitioning, kept_columns
from gristmill.plan.planner import as_one, plan_shards
from gristmill.plan.policy import ShardPolicy
from gristmill.plan.store import write_plan
from gristmill.spec.engine import EngineOptions
from gristmill.spec.input import InputSpec
from gristmill.spec.job import JobSpec
from gristmill.spec.output import OutputSpec
from gristmill.spec.request import InputSource, JobRequest, RunRequest
from gristmill.spec.schema_text import schema_to_text
from gristmill.storage.location import join
from gristmill.storage.storage import Storage
from gristmill.submission import checks
from gristmill.submission.identity import job_id, job_name, newest_of_family
from gristmill.submission.launch import launch, user
from gristmill.submission.model import OBJECT, FoundModel, find_model
from gristmill.submission.warm import WarmRunner

__all__ = ["Wish", "submit"]

_FILE_ROWS = 1_000
_TABLE_ROWS = 1024**2
_FEW_ROWS = 32
_ATTACH_TRIES = 20
_CANCEL_SECONDS = 120.0
"""Longer than cancelling takes, and than a silent runner takes to count as gone."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user gave to `run_batch`, unchecked."""

    model: Any
    rows: Any
    query: str | None
    input_location: Any
    input_format: str | None
    input_version: str | None
    pool: str | None
    output_spec: OutputSpec
    input_spec: InputSpec
    job_spec: JobSpec
    engine_options: Mapping[str, Any] | None
    key: str | None
    force_rerun: bool | str


@dataclass(frozen=True, slots=True)
class _Checked:
    """A wish that can be granted; nothing has been written for it yet."""

    found: FoundModel
    function: str
    signature: Signature
    params: dict[str, Any]
    source: Source
    schema: pa.Schema
    file_columns: dict[str, Any]
    messages: str | None
    partition_column: str | None
    allowed: tuple[str, ...]
    location: str
    name: str
    pickled: bytes | None


def submit(storage: Storage, wish: Wish, warm: WarmRunner | None) -> Job:
    """Check the wish, then start its job, or attach to the one that has its key and fingerprint.

    Args:
        storage: with the settings in force.
        wish: what the user gave.
        warm: the runner that waits for this job, where the pool's runner is a process of this machine.

    Raises:
        GristmillError: the wish cannot be granted; nothing was written.
    """
    home = storage.resolve(storage.settings.home, what="home")
    checked = _check(storage, wish, home, warm)
    how = RunRequest(
        job_spec=wish.job_spec,
        pool=wish.pool or storage.settings.default_pool,
        mode=wish.output_spec.mode,
        allowed=checked.allowed,
    )
    request = _request(wish, checked)
    base = job_id(checked.name, key=request.key, fingerprint=request.fingerprint)
    for _ in range(_ATTACH_TRIES):
        existing, free = newest_of_family(storage, home, base)
        run = None if existing is None else existing.latest()
        status = None if existing is None else verdict_of(run).status
        stands = existing is not None and Job(existing).output_stands
        step = next_step(status, force_rerun=_is_forced(wish, existing), output_stands=stands)
        if existing is not None and run is None:
            step = "resume"  # recorded, and then its client was killed
        if step in ("attach", "return") and existing is not None:
            return Job(existing)
        if step == "wait" and existing is not None:
            _await_end(Job(existing))
            continue
        if step == "resume" and existing is not None:
            if launch(storage, existing, how, after=0 if run is None else run.generation, warm=warm) is not None:
                return Job(existing)
            continue
        checks.check_output_is_free(storage, checked.location, wish.output_spec.mode)
        if _stage(storage, wish, checked, request, free) and launch(storage, free, how, after=0, warm=warm) is not None:
            return Job(free)
    raise ConflictError(f"job {base!r} is started and ended by others again and again; try later")


def _is_forced(wish: Wish, existing: JobRecord | None) -> bool:
    """Whether the caller wants it done again, and it has not been done again for that very wish."""
    if isinstance(wish.force_rerun, bool) or existing is None:
        return bool(wish.force_rerun)
    return existing.request().rerun != wish.force_rerun


def _await_end(job: Job) -> None:
    try:
        job.wait(_CANCEL_SECONDS)
    except TimeoutError:
        raise ConflictError(
            f"job {job.id!r} is being cancelled and has not ended within {_CANCEL_SECONDS:g} s; run it again later"
        ) from None


def _check(storage: Storage, wish: Wish, home: str, warm: WarmRunner | None) -> _Checked:
    pool_name = wish.pool or storage.settings.default_pool
    pool = storage.settings.pool(pool_name)
    name = job_name(wish.job_spec, wish.key)
    given = wish.output_spec
    location = storage.resolve(given.location or join(given.base_location or "", name), what="output_spec.location")
    checks.check_place(home, what="settings.home")
    checks.check_place(location, what="output_spec.location")
    options = EngineOptions.of(wish.engine_options)
    is_elsewhere = pool.kind == "ray" and pool.address is not None
    found = find_model(wish.model, storage, options, warm=warm, is_elsewhere=is_elsewhere)
    pickled = pickle_object(found.model.value) if isinstance(found.model, ModelObject) else None
    function, signature = checks.choose_function(found.info, wish.job_spec.function_name, model=str(wish.model))
    params = check_params(wish.input_spec.params, signature)
    if signature.is_chat:
        params = check_chat_params(params)
        signature = settled(signature, params, found.options)
    source = _source(storage, wish)
    schema = source.schema
    partition_column = checks.check_partitions(schema, wish.input_spec, signature, function=function)
    messages = checks.check_chat(schema, wish.input_spec, signature, function=function)
    names = checks.check_columns(schema, wish.input_spec, signature, function=function)
    handling = {names[given]: spec for given, spec in (wish.input_spec.column_handling or {}).items()}
    if handling:
        checks.check_file_columns(handling, schema)
    kept = schema
    if signature.kind == "partitioned":
        kept = kept_columns(schema, Partitioning("partitioned", partition_column))
    checks.check_output_columns(kept, signature, on_error=wish.job_spec.on_error)
    inputs = [source.location] if isinstance(source, FilesSource) else []
    checks.check_overlap(location, source=source, rows=wish.rows, home=home, model=found.model)
    checks.check_pool(pool, wish.job_spec, found.info, name=pool_name, locations=[home, location, *inputs])
    allowed = tuple(
        storage.resolve(text, what="input_spec.allowed_locations") for text in wish.input_spec.allowed_locations
    )
    allowed += _listed(wish.rows)
    return _Checked(
        found, function, signature, params, source, schema, handling, messages,
        partition_column, allowed, location, name, pickled,
    )  # fmt: skip


def _listed(rows: Any) -> tuple[str, ...]:
    """Where a file listing was made: the user named it, so its files may be opened."""
    return (rows.normal,) if isinstance(rows, FileListing) else ()


def _source(storage: Storage, wish: Wish) -> Source:
    given = {"X": wish.rows, "query": wish.query, "input_location": wish.input_location}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        which = f"{' and '.join(named)} were given" if named else "none was given"
        raise SpecError(f"give exactly one of X, query and input_location; {which}")
    if wish.rows is not None and wish.input_version is not None:
        raise SpecError("input_version: rows that are given as X are told by their content; leave it out")
    if wish.query is not None:
        return QuerySource(wish.query, storage)
    if wish.input_location is not None:
        return open_files(storage, wish.input_location, format=wish.input_format)
    if isinstance(wish.rows, str):
        raise SpecError(f"X: give rows, not text; for files use input_location={wish.rows!r}, for SQL use query=")
    return open_source(wish.rows, storage)


def _request(wish: Wish, checked: _Checked) -> JobRequest:
    outputs = checked.signature.output_schema()
    found = checked.found
    model = found.model if isinstance(found.model, str) else OBJECT
    return JobRequest(
        name=checked.name,
        key=wish.key if wish.key is not None else checked.name,
        model=model,
        engine=found.engine.name,
        engine_options=found.options,
        function=checked.function,
        params=checked.params,
        uses_gpu=found.info.uses_gpu,
        preload=found.info.preload,
        spreads=found.info.spreads,
        source=_describe_source(checked.source, wish),
        input_schema=schema_to_text(checked.schema),
        outputs_schema=None if outputs is None else schema_to_text(outputs),
        column_handling=checked.file_columns,
        function_kind=checked.signature.kind,
        partition_column=checked.partition_column,
        messages=checked.messages,
        location=checked.location,
        staging=staging_of(checked.location, f"{checked.name}-{secrets.token_hex(4)}"),
        owner=user(),
        created=time.time(),
        shards=0,
        digests=found.digests,
        registry=found.registry,
        rerun=wish.force_rerun if isinstance(wish.force_rerun, str) else "",
    )


def _describe_source(source: Source, wish: Wish) -> InputSource:
    version = wish.input_version or ""
    if isinstance(source, FilesSource):
        return InputSource(kind="location", text=source.location, format=source.format, content=version)
    if isinstance(source, QuerySource):
        return InputSource(kind="query", text=source.sql, format="parquet", content=version)
    keyed = wish.key is not None or wish.job_spec.job_name is not None
    # the rows of a frame are told apart by their content, but only where somebody may ask for the same job again
    return InputSource(kind="frame", text=source.kind, format="parquet", content=content_hash(source) if keyed else "")


def _stage(storage: Storage, wish: Wish, checked: _Checked, request: JobRequest, record: JobRecord) -> bool:
    """Write what the run needs, then the record; False when the same job was recorded meanwhile."""
    try:
        files = _snapshot(storage, checked.source, join(request.staging, "input"))
        how = wish.job_spec
        policy = ShardPolicy(
            max_rows=_FILE_ROWS if checked.file_columns or checked.found.info.by_row else _TABLE_ROWS,
            parallelism=how.replicas * how.num_workers,
            min_rows=_FEW_ROWS,
        )
        shards = plan_shards(storage, files, policy)
        if request.function_kind == "partitioned" and request.partition_column is None:
            shards = as_one(shards)
        plan = write_plan(storage, join(request.staging, "plan.parquet"), shards)
        model = request.model
        if checked.pickled is not None:
            location = join(request.staging, "model.pkl")
            storage.write_bytes(location, checked.pickled)
            model = f"pickle:{location}"
        updates = {
            "shards": plan.shards,
            "rows": plan.rows,
            "model": model,
            "source": request.source.model_copy(update={"format": files.format}),
        }
        created = record.create(request.model_copy(update=updates))
    except BaseException as error:
        with contextlib.suppress(OSError):  # the first error tells more
            storage.delete_tree(request.staging)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(
                f"output_spec.location {checked.location!r}: no room for the job's work in progress ({error}); "
                "free some, or choose another location"
            ) from error
        raise
    if not created:
        storage.delete_tree(request.staging)
    return created


def _snapshot(storage: Storage, source: Source, folder: str) -> FilesSource:
    return source if isinstance(source, FilesSource) else snapshot(source, storage, folder).source
