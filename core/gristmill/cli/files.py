"""`gristmill files`: what a listing would give a job."""

import sys
from typing import Annotated

import typer

from gristmill.cli import console
from gristmill.cli.exits import handled
from gristmill.wording.text import count, printable

__all__ = ["files"]


def files(
    location: Annotated[
        str,
        typer.Argument(metavar="LOCATION", help="A folder: a path, a URL or a stage (@name/path).", show_default=False),
    ],
    pattern: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Only files whose whole path matches, such as '.*\\.png'.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print a JSON list.")] = False,
) -> None:
    """The files at a location, as the rows that run --files would make of them.

    One path a line, so that other tools can take it from there.
    """
    with handled(as_json=as_json):
        from gristmill import list_files

        paths = list_files(location, pattern).to_arrow().column(0).to_pylist()
        if as_json:
            console.print_json(paths)
            return
        clean = printable if sys.stdout.isatty() else str
        sys.stdout.writelines(f"{clean(path)}\n" for path in paths)
        if sys.stdout.isatty():
            sys.stdout.flush()
            console.note(count(len(paths), "file"), style="dim")
