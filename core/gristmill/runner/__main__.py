"""The runner as a process.

`python -m gristmill.runner HOME JOB GENERATION` runs a job. `python -m gristmill.runner - [MODULE ...]` imports what
the workers will need, answers questions about models, and waits to be told the same; see
`gristmill.submission.warm.WarmRunner`.
"""

import contextlib
import gc
import importlib
import os
import pickle
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from gristmill.engines.protocol import ModelInfo
    from gristmill.errors import GristmillError

__all__ = ["main"]

_OURS = ("gristmill.executors.local", "gristmill.runner.execute")


def main(arguments: list[str]) -> int:
    """Run one job; 0 when it is done, 1 when it is not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the client: the job goes on
    is_warm = arguments[0] == "-"
    _import([*_OURS, *(arguments[1:] if is_warm else [])])
    if not is_warm:
        home, job_id, number = arguments
        return _run(home, job_id, int(number))
    order = _serve()
    if order is None:
        return 0
    home, job_id, generation, log = order
    if log is not None:
        _print_to(Path(log))
    return _run(home, job_id, generation)


def _serve() -> tuple[str, str, int, str | None] | None:
    """Answer the client's questions until it says what to run; None when it goes away without."""
    answers = os.fdopen(os.dup(1), "wb")
    _print_to(Path(os.devnull))  # what a model prints while it is looked at must not stand among the answers
    with answers:
        while True:
            try:
                word = pickle.load(sys.stdin.buffer)
            except EOFError:
                return None
            if len(word) != len(("engine", "model", "options")):
                return cast("tuple[str, str, int, str | None]", word)
            _answer("looking", answers)  # if this process ends now, the model ended it
            found = _describe(*word)
            _answer(found, answers)
            # the client has work of its own now, and workers that are forked have these imports done
            _import(getattr(found, "preload", ()))


def _answer(value: Any, answers: BinaryIO) -> None:
    pickle.dump(value, answers)
    answers.flush()


def _describe(engine: str, model: str, options: dict[str, Any]) -> "ModelInfo | GristmillError":
    from gristmill.engines.registry import load_engine
    from gristmill.errors import GristmillError, ModelError
    from gristmill.settings import Settings
    from gristmill.storage.storage import Storage

    try:
        return load_engine(engine).describe(model, options, Storage(Settings.load()))
    except GristmillError as error:
        return error
    except Exception as error:  # noqa: BLE001 - looking at a model may run its code
        return ModelError(f"model {model!r}: {type(error).__name__}: {error}")
    except SystemExit as error:
        return ModelError(f"model {model!r}: looking at it ended the process (exit code {error.code})")


def _run(home: str, job_id: str, generation: int) -> int:
    from gristmill.jobs.record import JobRecord
    from gristmill.runner.execute import execute
    from gristmill.settings import Settings
    from gristmill.spec.enums import JobStatus
    from gristmill.storage.storage import Storage

    storage = Storage(Settings.load(home=home))
    record = JobRecord(storage, storage.resolve(home, what="home"), job_id)
    state = execute(storage, record, record.run(generation))
    return 0 if state.status is JobStatus.DONE else 1


def _import(modules: Iterable[str]) -> None:
    """Import what can be: a module that cannot be here fails where it is used, with its reason.

    Nothing of it is garbage, so collecting would only cost time now, and copies of pages in the forked workers later.
    """
    gc.disable()
    for name in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()
    gc.enable()


def _print_to(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # libraries' exit handlers have nothing left to do, and some take a second over it
