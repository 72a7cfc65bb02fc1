"""The tree of commands."""

from importlib.metadata import version
from typing import Annotated

import typer

from gristmill.cli.demo import demo
from gristmill.cli.doctor import doctor
from gristmill.cli.files import files
from gristmill.cli.jobs import jobs
from gristmill.cli.models import models
from gristmill.cli.output import output
from gristmill.cli.run import EXAMPLES, run
from gristmill.cli.serve import serve, services
from gristmill.cli.sql import SQL_EXAMPLES, sql

__all__ = ["app"]

app = typer.Typer(
    name="gristmill",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # they print local variables, and those may be secret
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="New here? See what works: gristmill doctor. See a whole job: gristmill demo.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gristmill {version('gristmill')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run a model over a dataset as one job: Parquet out, and _SUCCESS when every row is there."""


app.command(no_args_is_help=True, epilog=EXAMPLES, short_help="Run a model over an input: Parquet and _SUCCESS out.")(
    run
)
app.command(no_args_is_help=True, short_help="The files at a location, as run --files sees them.")(files)
app.command(no_args_is_help=True, short_help="A finished output: its manifest and first rows.")(output)
app.command(no_args_is_help=True, epilog=SQL_EXAMPLES, short_help="SQL in which models are functions.")(sql)
app.add_typer(jobs, name="jobs")
app.add_typer(models, name="models")
app.command(no_args_is_help=True, short_help="A chat model under an address that speaks the OpenAI API.")(serve)
app.add_typer(services, name="services")
app.command()(doctor)
app.command(short_help="A whole job on real data in some seconds.")(demo)
