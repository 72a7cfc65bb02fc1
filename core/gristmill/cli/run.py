"""`gristmill run`: a model over an input, with the output's location at the end."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gristmill.cli import console, request
from gristmill.cli.exits import DONE, handled
from gristmill.cli.modules import find_modules_here
from gristmill.cli.reattach import Reattach
from gristmill.spec.enums import OnError, SaveMode

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job
    from gristmill.settings import Settings

__all__ = ["EXAMPLES", "run", "settings_allowing"]

EXAMPLES = r"""[bold]Examples[/bold]

A scikit-learn model over a table:
  gristmill run model.joblib 'sales/*.parquet' scores/

A class of your own over a folder of images:
  gristmill run python:vision:Tagger photos/ tags/ \
    --files '.*\.jpe?g' --column image=raw_bytes

A query as input, four replicas on a pool of the settings, replacing
what is there; --detach prints the job's id and leaves it running:
  gristmill run model.joblib "SELECT * FROM 's3://lake/sales/*.parquet'" \
    @scores/today --query --pool gpu --replicas 4 --mode overwrite --detach
"""

_INPUT = "Input"
_MODEL = "Model"
_WHERE = "Where it runs"
_FAILURES = "Rows that fail"
_SHOW = "Waiting and output"


def settings_allowing(prefixes: list[str]) -> "Settings":
    """The settings in force, with more prefixes that rows may name files under."""
    from gristmill.settings import Settings

    settings = Settings.load()
    return settings.model_copy(update={"allowed": (*settings.allowed, *prefixes)}) if prefixes else settings


def run(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="python:package.module:Class, a .joblib or .pkl file, hf:org/name, or another engine's reference.",
            show_default=False,
        ),
    ],
    input_: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A location or glob of Parquet, CSV or JSONL; SQL with --query; a folder of files with --files.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT", help="Where the results go: a path, a URL or a stage (@name/path).", show_default=False
        ),
    ],
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            metavar="NAME=VALUE",
            help="A parameter of the model; JSON where it reads as JSON.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    function: Annotated[
        str | None, typer.Option(help="The function to run, if the model has several.", rich_help_panel=_MODEL)
    ] = None,
    engine: Annotated[str | None, typer.Option(help="The engine that runs the model.", rich_help_panel=_MODEL)] = None,
    engine_arg: Annotated[
        list[str] | None,
        typer.Option(
            "--engine-arg",
            metavar="ARG",
            help="One for the engine: --engine-arg=--max-model-len=7048.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    max_batch_rows: Annotated[
        int | None,
        typer.Option(help="Rows of one call at most. Default: found while running.", rich_help_panel=_MODEL),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="NAME=ENCODING",
            help="A column of file paths, and what the model gets of them: raw_bytes, base64 or base64_data_url.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="PREFIX",
            help="Rows may name files under this path, URL or stage.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    query: Annotated[
        bool, typer.Option("--query", metavar="", help="INPUT is SQL over files.", rich_help_panel=_INPUT)
    ] = False,
    files: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="INPUT is a folder: a row for each of its files whose path matches.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    files_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The column of their paths. Default: the one of --column, else FILE_PATH.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    partition_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The column that partitions the input, for functions that take partitions.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(help="Where it runs: inline, local, ray or one of the settings.", rich_help_panel=_WHERE),
    ] = None,
    replicas: Annotated[
        str | None, typer.Option(metavar="N", help="Copies of the model side by side.", rich_help_panel=_WHERE)
    ] = None,
    num_workers: Annotated[
        str | None, typer.Option(metavar="N", help="Processes of one replica.", rich_help_panel=_WHERE)
    ] = None,
    cpu: Annotated[str | None, typer.Option(metavar="N", help="CPUs of one replica.", rich_help_panel=_WHERE)] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory of one replica, such as 8GiB.", rich_help_panel=_WHERE)
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(metavar="N", help="GPUs of one replica; 0.5 shares one.", rich_help_panel=_WHERE)
    ] = None,
    on_error: Annotated[
        OnError,
        typer.Option(
            help="fail: publish nothing if a row fails. record: publish, with an _error column.",
            rich_help_panel=_FAILURES,
        ),
    ] = OnError.FAIL,
    max_errors: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Stop after so many. Default: 100 with fail, no limit with record.",
            rich_help_panel=_FAILURES,
        ),
    ] = None,
    max_error_rate: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Fail beyond this share of all rows, 0 to 1.", rich_help_panel=_FAILURES),
    ] = None,
    mode: Annotated[
        SaveMode,
        typer.Option(
            help="If OUTPUT holds files: refuse, or replace them once the new output is whole.", rich_help_panel=_SHOW
        ),
    ] = SaveMode.ERROR,
    name: Annotated[
        str | None,
        typer.Option(
            help="The job's name; the same name and request again reattaches or resumes.", rich_help_panel=_SHOW
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Run again even if the same job is done.", rich_help_panel=_SHOW)
    ] = False,
    detach: Annotated[
        bool,
        typer.Option("--detach", metavar="", help="Print the job's id and leave it running.", rich_help_panel=_SHOW),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print the result as one JSON object.", rich_help_panel=_SHOW)
    ] = False,
) -> None:
    """Run a model over an input and write Parquet, with _SUCCESS at the end.

    Exit codes: 0 done, 1 failed or cancelled, 2 wrong request,
    130 interrupted (the job goes on, and it says how to follow it again).
    """
    reattach = Reattach("\nInterrupted before the job had an id. If it was started, gristmill jobs list shows it.")
    with handled(as_json=as_json, interrupted=reattach):
        started = time.monotonic()
        inline = _is_inline(pool, detach=detach)
        job = _submit(
            model,
            input_,
            output,
            query=query,
            files=files,
            files_column=files_column,
            columns=column or [],
            partition_column=partition_column,
            allow=allow or [],
            mode=mode,
            pool=pool,
            params=request.params(param or []),
            engine_options=request.engine_options(engine, engine_arg or []),
            job_spec=request.job_spec(
                job_name=name,
                function_name=function,
                replicas=replicas,
                num_workers=num_workers,
                max_batch_rows=max_batch_rows,
                cpu_requests=cpu,
                memory_requests=memory,
                gpu_requests=gpu,
                on_error=on_error,
                max_errors=max_errors,
                max_error_rate=max_error_rate,
            ),
            force=force,
        )
        if inline:
            reattach.by_rerun(job.name)
        else:
            reattach.to(job.id)
        raise typer.Exit(_detach(job, as_json=as_json) if detach else _attach(job, started, as_json=as_json))


def _is_inline(pool: str | None, *, detach: bool) -> bool:
    """Whether the job will run in this process."""
    from gristmill.errors import SpecError
    from gristmill.settings import Settings

    inline = Settings.load().pool(pool).kind == "inline"
    if inline and detach:
        raise SpecError(
            "--detach: a job on an inline pool runs in this process and ends with it; choose another --pool"
        )
    return inline


def _submit(
    model: str,
    source: str,
    output: str,
    *,
    query: bool,
    files: str | None,
    files_column: str | None,
    columns: list[str],
    partition_column: str | None,
    allow: list[str],
    mode: SaveMode,
    pool: str | None,
    params: dict[str, Any] | None,
    engine_options: dict[str, Any] | None,
    job_spec: dict[str, Any],
    force: bool,
) -> "Job":
    from gristmill.errors import SpecError

    if query and files is not None:
        raise SpecError("--query and --files: INPUT is SQL or a folder of files, not both")
    if files is None and files_column is not None:
        raise SpecError(f"--files-column {files_column!r} names the column of a listing; give --files REGEX with it")
    handling = request.column_handling(columns)
    find_modules_here()

    from gristmill import InputSpec, JobSpec, OutputSpec, list_files, run_batch

    settings = settings_allowing(allow)
    where: dict[str, Any] = {"input_location": source}
    if query:
        where = {"query": source}
    elif files is not None:
        where = {"X": list_files(source, files, request.files_column(files_column, handling), settings=settings)}
    with console.results_only():
        return run_batch(
            model,
            **where,
            compute_pool=pool,
            output_spec=OutputSpec(location=output, mode=mode),
            input_spec=InputSpec(params=params, column_handling=handling, partition_column=partition_column),
            job_spec=JobSpec(**job_spec),
            inference_engine_options=engine_options,
            force_rerun=force,
            settings=settings,
        )


def _detach(job: "Job", *, as_json: bool) -> int:
    from gristmill.cli.report import facts_of

    if as_json:
        console.print_json(facts_of(job))
        return DONE
    sys.stdout.write(f"{job.id}\n")
    if console.err().is_terminal:
        console.note(f"Follow it with: gristmill jobs wait {job.id}", style="dim")
    return DONE


def _attach(job: "Job", started: float, *, as_json: bool) -> int:
    from gristmill.cli.follow import follow
    from gristmill.cli.report import print_report

    with console.results_only():
        follow(job)
    return print_report(job, as_json=as_json, took=time.monotonic() - started, resumable=True)
