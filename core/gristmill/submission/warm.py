"""A runner that starts while its job is still being checked, and answers what the model's libraries are needed for."""

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gristmill.errors import GristmillError, ModelError
from gristmill.settings import Settings

if TYPE_CHECKING:
    from gristmill.engines.protocol import ModelInfo

__all__ = ["WarmRunner", "likely_modules", "settings_variables", "warm_runner"]

_HEAD = 64 * 1024
_MODULES = re.compile(rb"(?:sklearn|xgboost|lightgbm|catboost)(?:\.[a-z_]\w*)*")
_LAST_BREATH = 10.0
"""Seconds for a process that has closed its answers to end."""
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


_left: list["subprocess.Popen[bytes]"] = []
"""Runners that are on their own; those that have ended are collected when the next one is started."""


class WarmRunner:
    """A runner's process on this machine that has not been told its job yet.

    It is in a session of its own: neither the client's end nor its Ctrl-C reaches it, and it holds none of the client's
    files. When it is closed without a job, or its client dies first, it ends.

    Args:
        settings: the settings it gets, by its environment.
        model: the model as the user gave it; tells what the workers will import.
    """

    def __init__(self, settings: Settings, model: Any) -> None:
        environment = {
            # workers are forked from it, which native threads forbid; they then set their own numbers
            **dict.fromkeys(_THREAD_SETTINGS, "1"),
            **os.environ,
            **settings_variables(settings, secrets=True),
            "GRISTMILL_CONFIG": "",  # the variables above are all of the settings
            "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path if not path.endswith(".zip")),
        }
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-m", "gristmill.runner", "-", *likely_modules(model)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
        )
        self._pid = self._process.pid
        _left[:] = [process for process in _left if process.poll() is None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._part_with(b"")

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._pid

    def describe(self, engine: str, model: str, options: Mapping[str, Any]) -> "ModelInfo":
        """What an engine knows of a model, found out there: its libraries are imported once, and not by the client.

        Raises:
            ModelError: looking at the model ended the process; the client does not look at it itself then.
            GristmillError: as the engine's own `describe`, or the process could not start.
        """
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        is_looking = False
        try:
            pickle.dump((engine, model, dict(options)), process.stdin)
            process.stdin.flush()
            is_looking = pickle.load(process.stdout) == "looking"
            answer = pickle.load(process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            how = _ending(process)
            if is_looking:
                raise ModelError(
                    f"model {model!r}: looking at it ended the process ({how}); "
                    "importing or loading a model must not exit: put what does behind "
                    "`if __name__ == '__main__':`, or load it alone to see what fails"
                ) from None
            raise GristmillError(
                f"the runner's process could not start ({how}); "
                f"see what fails with: {sys.executable} -c 'import gristmill.runner.execute'"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        info: ModelInfo = answer
        return info

    def run(self, *, home: str, job: str, generation: int, log: str | None) -> None:
        """Give it its job; from now on it is on its own.

        Args:
            home: where the job's record lives.
            job: its id.
            generation: the run that was claimed for it.
            log: the local file for what it prints, if there can be one.
        """
        self._part_with(pickle.dumps((home, job, generation, log)))

    def _part_with(self, word: bytes) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(word)
            process.stdin.close()
        process.stdout.close()
        _left.append(process)


def _ending(process: "subprocess.Popen[bytes]") -> str:
    """How a process that says nothing more has ended."""
    try:
        code = process.wait(_LAST_BREATH)
    except subprocess.TimeoutExpired:
        return "it stopped answering"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


@contextlib.contextmanager
def warm_runner(settings: Settings, pool: str | None, model: Any) -> Iterator[WarmRunner | None]:
    """A warm runner for a pool whose runner is a process of this machine; None for other pools.

    Raises:
        SpecError: there is no such pool.
    """
    found = settings.pool(pool)
    if found.kind == "local" or (found.kind == "ray" and found.address is None):
        with WarmRunner(settings, model) as warm:
            yield warm
    else:
        yield None


def likely_modules(model: Any) -> list[str]:
    """Modules that a model's workers will import, as far as can be told at a glance; a wrong guess costs some time.

    For an object that is where its class lives; for a pickle on this machine, the libraries that its first bytes name.
    """
    if not isinstance(model, str | os.PathLike):
        owner = model if isinstance(model, type) else type(model)
        return [owner.__module__] if owner.__module__.partition(".")[0] != "__main__" else []
    path = Path(os.fspath(model).removeprefix("pickle:"))
    if path.suffix not in (".joblib", ".pkl", ".pickle") or not path.is_file():
        return []
    with path.open("rb") as file:
        return sorted({name.decode() for name in _MODULES.findall(file.read(_HEAD))})


def settings_variables(settings: Settings, *, secrets: bool) -> dict[str, str]:
    """The settings as the environment variables that give them back."""
    hidden: Any = None
    if not secrets:
        hidden = {
            "storage_options": True,
            "pools": {"__all__": {"runtime_env", "init", "token"}},
            "endpoints": {"__all__": {"api_key"}},
        }
    values = settings.model_dump(mode="json", exclude=hidden, context={"reveal": secrets})
    return {
        f"GRISTMILL_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None  # what is left open here may be said there
    }
