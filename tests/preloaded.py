"""A process that has done the slow imports, and runs functions in forks of itself.

vLLM takes ten seconds to import and two to start an engine; a test that starts its engine in a fork waits for the two
alone. Each call has a process of its own, as its engine's memory has to go, and engines do not share one well.
"""

import contextlib
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

__all__ = ["Preloaded"]

P = ParamSpec("P")
T = TypeVar("T")
ROOT = Path(__file__).parents[1]


class Preloaded:
    """Runs functions in forks of a process that has imported some modules.

    Args:
        modules: what it imports.
        environment: what it adds to the environment, its own and that of the functions.

    Example:
        >>> with Preloaded(["pyarrow.parquet"]) as preloaded:
        ...     print(preloaded.call(max, 2, 3))
        3
    """

    def __init__(self, modules: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        self._added = dict(environment or {})
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tests.preloaded", str(theirs.fileno()), *modules]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **self._added}, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._connection = Connection(ours.detach())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """What a function returns, called in a fork with this process's environment and working folder.

        The function may be a local one; what it returns and raises is pickled. What it prints stands in the error that
        it raises. All processes that it starts end with it.

        Raises:
            ChildProcessError: its process died, with what it had printed.
        """
        import cloudpickle

        self._connection.send_bytes(
            cloudpickle.dumps(({**os.environ, **self._added}, str(Path.cwd()), sys.path, function, arguments, named))
        )
        returned, value, printed = cloudpickle.loads(self._connection.recv_bytes())
        if returned:
            return value
        if printed:
            value.add_note(f"what it printed:\n{printed[-20_000:]}")
        raise value

    def close(self) -> None:
        """End the process, and the function that it runs."""
        self._connection.close()
        self._process.wait()


def _serve(connection: Connection) -> None:
    """Fork for each call, until the other side is gone."""
    with contextlib.suppress(EOFError):
        while True:
            call = connection.recv_bytes()
            with tempfile.TemporaryFile() as printed:
                answer = _forked(call, connection, printed.fileno())
                printed.seek(0)
                text = printed.read().decode(errors="replace")
                connection.send_bytes(_told(answer, text))


def _told(answer: bytes, printed: str) -> bytes:
    import cloudpickle

    if not answer:
        return bytes(cloudpickle.dumps((False, ChildProcessError("the function's process died"), printed)))
    return bytes(cloudpickle.dumps((*cloudpickle.loads(answer), printed)))


def _forked(call: bytes, connection: Connection, output: int) -> bytes:
    """What a call's process answers: nothing if it died."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.dup2(output, 1)
            os.dup2(output, 2)
            connection.close()
            os.close(reader)
            answer = _answer(call)
            sys.stdout.flush()
            with os.fdopen(writer, "wb") as file:
                file.write(answer)
        finally:
            os._exit(0)  # whatever threads it has left
    os.close(writer)
    death = os.pidfd_open(child)
    try:
        with os.fdopen(reader, "rb") as file:
            answer = _read_all(file.fileno(), death, connection)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(death)
    return answer


def _read_all(reader: int, death: int, connection: Connection) -> bytes:
    """All that is written until the writer dies or is done; its children may hold the pipe open for longer."""
    parts: list[bytes] = []
    while True:
        ready = wait([reader, death, connection])
        if reader in ready:
            part = os.read(reader, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
        elif connection in ready:
            raise EOFError  # nobody waits for the answer
        else:
            return b"".join(parts)


def _answer(call: bytes) -> bytes:
    import cloudpickle

    try:
        environment, folder, path, function, arguments, named = cloudpickle.loads(call)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.path[:] = path if str(ROOT) in path else [*path, str(ROOT)]  # for processes that import what this one has
        return bytes(cloudpickle.dumps((True, function(*arguments, **named))))
    except BaseException as error:  # noqa: BLE001 - it is raised on the other side
        error.add_note(traceback.format_exc())
        try:
            return bytes(cloudpickle.dumps((False, error)))
        except Exception:  # noqa: BLE001 - it cannot be pickled
            return bytes(cloudpickle.dumps((False, RuntimeError(traceback.format_exc()))))


if __name__ == "__main__":
    for module in sys.argv[2:]:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is imported stays: collecting garbage in a fork need not look at it, which takes vLLM a second
    _serve(Connection(int(sys.argv[1])))
    os._exit(0)  # without vLLM's farewell
