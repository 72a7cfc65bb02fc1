"""The two consoles: results go to stdout, everything said along the way to stderr."""

import contextlib
import json
import os
import sys
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from gristmill.wording.text import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["complain", "err", "facts", "note", "out", "print_json", "results_only", "rows", "status_style"]

_PIPE_WIDTH = 200
"""Columns when nobody's terminal limits them."""

_STATUS_STYLES = {
    "DONE": "green",
    "RUNNING": "cyan",
    "STARTING": "cyan",
    "STOPPED": "yellow",
    "PENDING": "cyan",
    "CANCELLING": "yellow",
    "CANCELLED": "yellow",
    "FAILED": "red",
    "INTERNAL_ERROR": "red",
}


def _width(*, terminal: bool) -> int | None:
    return None if terminal or os.environ.get("COLUMNS") else _PIPE_WIDTH


@cache
def out() -> "Console":
    """Where results go."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=_width(terminal=sys.stdout.isatty()))


@cache
def err() -> "Console":
    """Where progress, notes and errors go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False, width=_width(terminal=sys.stderr.isatty()))


def results_only() -> "contextlib.AbstractContextManager[object]":
    """Within this, what a user's modules and models print in this process goes to stderr: stdout is for results."""
    return contextlib.redirect_stdout(sys.stderr)


def print_json(value: Any) -> None:
    """One JSON value on stdout, on one line when it goes to a program."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=indent) + "\n")


def complain(message: str) -> None:
    """An error, on stderr."""
    from rich.text import Text

    err().print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)


def note(message: str, *, style: str = "") -> None:
    """Something worth knowing that is not a result, on stderr."""
    err().print(message, style=style, soft_wrap=True)


def status_style(status: str) -> str:
    """The colour of a status."""
    return _STATUS_STYLES.get(status, "")


def facts(pairs: Iterable[tuple[str, Any]]) -> "Table":
    """Names and values in two columns; a value is text or anything rich can draw; empty ones are left out."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, ""):
            grid.add_row(name, value)
    return grid


def rows(*columns: str, right: Iterable[str] = (), fold: Iterable[str] = ()) -> "Table":
    """An empty table in the house style: no frame, one line under the heads, cut where it does not fit."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in set(right) else "left",
            overflow="fold" if name in set(fold) else "ellipsis",
            no_wrap=name not in set(fold),
        )
    return table
