"""Exit codes, and what an error becomes on the way out: one message, no traceback, the right code."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

import typer

from gristmill import errors
from gristmill.cli import console
from gristmill.wording.text import scrubbed

__all__ = ["DONE", "FAILED", "INTERRUPTED", "WRONG_REQUEST", "code_of", "handled", "refuse"]

DONE = 0
FAILED = 1
WRONG_REQUEST = 2
INTERRUPTED = 130

_WRONG_REQUEST = (
    errors.AccessError,
    errors.EmptyInputError,
    errors.JobNotFoundError,
    errors.JobStateError,
    errors.MissingExtraError,
    errors.OutputExistsError,
    errors.ServiceNotFoundError,
    errors.SpecError,
)


def code_of(error: BaseException) -> int:
    """The exit code for an error: 2 when the request is at fault, 1 when the world is."""
    return WRONG_REQUEST if isinstance(error, _WRONG_REQUEST) else FAILED


def refuse(error: BaseException, *, as_json: bool) -> NoReturn:
    """Say what is wrong on stderr (and, for programs, on stdout as JSON) and end with the error's code."""
    message = scrubbed(str(error) or type(error).__name__)
    if as_json:
        console.print_json({"error": {"type": type(error).__name__, "message": message}})
    console.complain(message if isinstance(error, errors.GristmillError) else f"{type(error).__name__}: {message}")
    raise typer.Exit(code_of(error)) from None


@contextlib.contextmanager
def handled(*, as_json: bool = False, interrupted: object = "Interrupted.") -> Iterator[None]:
    """Run a command's body: errors of Gristmill and of the system end it with a message instead of a traceback.

    Any other exception is a defect of Gristmill's and keeps its traceback; `GRISTMILL_TRACEBACK=1` keeps all of them.

    Args:
        as_json: say errors as JSON on stdout too.
        interrupted: what is said, as text, when the user presses Ctrl-C.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(DONE) from None
    except KeyboardInterrupt:
        console.note(str(interrupted))
        raise typer.Exit(INTERRUPTED) from None
    except (errors.GristmillError, OSError) as error:
        if os.environ.get("GRISTMILL_TRACEBACK"):
            raise
        refuse(error, as_json=as_json)
