"""`gristmill sql`: a query in DuckDB, in which models are functions."""

import contextlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from gristmill.cli import console
from gristmill.cli.exits import INTERRUPTED, handled
from gristmill.cli.modules import find_modules_here

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SQL_EXAMPLES", "sql"]

SQL_EXAMPLES = r"""[bold]Examples[/bold]

A registered model over files:
  gristmill sql "SELECT *, churn(age, spend) AS leaves FROM 'customers/*.parquet'"

A model that is not registered, its answers in a file:
  gristmill sql "SELECT id, score(a, b) FROM 'x.csv'" --model score=model.joblib -o scores.parquet
"""

_SHOWN = 20
_PATIENCE = 1.0
"""Seconds after which somebody who has pressed Ctrl-C is told what is waited for."""


class Form(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def sql(
    query: Annotated[
        str,
        typer.Argument(
            metavar="SQL",
            help="DuckDB's SQL; files stand in quotes as paths, URLs or stages. '-' reads it from standard input.",
            show_default=False,
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", metavar="NAME=MODEL", help="Call a model by a name, besides those of the registry."
        ),
    ] = None,
    database: Annotated[str, typer.Option(metavar="FILE", help="A database of DuckDB.")] = ":memory:",
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="table, csv, json or parquet. Default: by the name of --output, else table.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the rows here.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="ROWS", min=0, help="Rows of a table.")] = _SHOWN,
    explain: Annotated[
        bool,
        typer.Option("--explain", metavar="", help="Show the plan, and what ai_complete would ask; ask no service."),
    ] = False,
) -> None:
    """Run SQL in which models are functions.

    A registered model is called by its name, or by its name and its function's: churn(a, b), churn_predict_proba(a, b);
    its params by theirs: churn(a, b, threshold := 0.3). So are ai_complete, prompt and read_file.
    """
    with handled():
        from gristmill.cli.rows import named_apart
        from gristmill.errors import SpecError
        from gristmill.settings import Settings
        from gristmill.sql.statement import opened, reported

        text = sys.stdin.read() if query == "-" else query
        if not text.strip():
            raise SpecError("SQL: there is none; write a query, or '-' to read it from standard input")
        kind = form or _form_of(output)
        if kind is Form.PARQUET and output is None:
            raise SpecError("--format parquet: it is no text; give --output FILE with it")
        find_modules_here()
        settings = Settings.load()
        stdout = sys.stdout
        with (
            console.results_only(),
            opened(text, database=database, models=_models(model or []), settings=settings) as (connection, resolved),
            reported(text),
        ):

            def answer() -> None:
                if explain:
                    _explain(connection, resolved, stdout)
                    return
                relation = connection.sql(resolved)
                if relation is None:
                    console.note("done", style="dim")
                    return
                reader = named_apart(relation.to_arrow_reader(16_384))
                if kind is Form.TABLE:
                    _table(reader, limit, stdout)
                else:
                    _write(reader, kind, output, stdout)

            _interruptible(connection, answer)


def _interruptible(connection: Any, work: Callable[[], None]) -> None:
    """Run a query so that Ctrl-C ends it: the thread that waits within DuckDB is told of none before its end.

    What a model is doing cannot be broken off: the query ends with its call, or at once by a second Ctrl-C.
    """
    failed: list[BaseException] = []
    ended = threading.Lock()  # no event: an interrupt within a condition leaves it locked
    ended.acquire()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            failed.append(error)
        finally:
            ended.release()

    thread = threading.Thread(target=run, name="query", daemon=True)
    try:
        thread.start()
        ended.acquire()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, _leave)
        connection.interrupt()
        is_told = False
        while thread.is_alive() and not ended.acquire(timeout=_PATIENCE):
            if not is_told:
                console.note("Waiting for the call that runs; Ctrl-C once more leaves at once.", style="dim")
                is_told = True
            connection.interrupt()  # again: the first may have fallen between two statements
        raise
    if failed:
        raise failed[0]


def _leave(*_: object) -> NoReturn:
    """The end of a process whose query does not end."""
    try:
        console.note("Interrupted.")
    finally:
        os._exit(INTERRUPTED)


def _models(texts: list[str]) -> dict[str, str]:
    from gristmill.errors import SpecError

    found: dict[str, str] = {}
    for text in texts:
        name, equals, reference = text.partition("=")
        if not equals or not name.strip() or not reference.strip():
            raise SpecError(f"--model {text!r} is not name=model; write it as --model churn=model.joblib")
        found[name.strip()] = reference.strip()
    return found


def _form_of(output: Path | None) -> Form:
    if output is None:
        return Form.TABLE
    from gristmill.errors import SpecError

    suffix = output.suffix.lower().lstrip(".")
    if suffix not in (Form.CSV, Form.JSON, Form.PARQUET):
        raise SpecError(
            f"--output {str(output)!r}: its name does not tell the format; give --format csv, json or parquet"
        )
    return Form(suffix)


def _explain(connection: Any, query: str, stdout: IO[str]) -> None:
    from gristmill.sql import estimate
    from gristmill.wording.text import count

    statements = connection.extract_statements(query)
    plan = connection.execute(f"EXPLAIN {statements[-1].query}").fetchall()
    stdout.write("\n".join(str(row[1]) for row in plan).rstrip() + "\n")
    if "ai_complete" not in query.lower():
        return
    found = estimate(connection, query)
    facts = [
        ("rows", count(found.rows)),
        ("requests", count(found.distinct_prompts)),
        ("prompt tokens", f"about {found.prompt_tokens:,}"),
        ("answer tokens", f"at most {found.completion_tokens:,}"),
    ]
    with contextlib.redirect_stdout(stdout):
        console.out().print(console.facts(facts))


def _table(reader: "pa.RecordBatchReader", limit: int, stdout: IO[str]) -> None:
    from gristmill.cli.grid import grid
    from gristmill.cli.rows import dicts

    rows: list[dict[str, Any]] = []
    for batch in reader:
        rows += dicts(batch.slice(0, limit + 1 - len(rows)))
        if len(rows) > limit:
            break
    with contextlib.redirect_stdout(stdout):
        console.out().print(grid(rows[:limit], width=console.out().width) if rows else ", ".join(reader.schema.names))
    if len(rows) > limit:
        console.note(f"… and more rows than {limit}; see them with --limit, or write them with --output", style="dim")
    elif not rows:
        console.note("no rows", style="dim")


def _write(reader: "pa.RecordBatchReader", form: Form, output: Path | None, stdout: IO[str]) -> None:
    from gristmill.cli.rows import chunks, write_parquet

    first = next(iter(reader), None)
    batches = itertools.chain([] if first is None else [first], reader)  # a query that fails at once leaves no file
    if form is Form.PARQUET:
        assert output is not None
        write_parquet(batches, reader.schema, output)
        return
    texts = chunks(batches, reader.schema, as_csv=form is Form.CSV)
    if output is None:
        stdout.writelines(texts)
        return
    with output.open("w", encoding="utf-8", newline="") as file:
        file.writelines(texts)
