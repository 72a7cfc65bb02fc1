"""A server whose processes end with the tests, however those end."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.processes import command, family, lives

GUARD = Path(__file__).with_name("guard.py")


class Guarded:
    """What a real server of the tests is built on: a folder of its own, and processes that never outlive the tests.

    Args:
        name: what the server is called in complaints.
        prefix: how its folder's name begins.

    Attributes:
        home: its folder, which goes with it; jobs of Gristmill live in `gristmill` within it.
        work: where its processes start.
    """

    def __init__(self, name: str, *, prefix: str) -> None:
        self.name = name
        self.home = Path(tempfile.mkdtemp(prefix=prefix))
        self.work = self.home / "work"
        self.work.mkdir()
        self.environment: dict[str, str] = {}
        self._log = self.home / "server.log"
        self._guard: subprocess.Popen[str] | None = None

    def __exit__(self, *_: object) -> None:
        self.stop()

    def guard(self, environment: dict[str, str]) -> None:
        """Be ready to start processes, all with this environment."""
        self.environment = environment
        # Its standard input is a pipe that ends with this process, however that ends; then it kills what it started.
        self._guard = subprocess.Popen(
            [sys.executable, "-P", GUARD, self.home],
            stdin=subprocess.PIPE,
            env=environment,
            cwd=self.work,
            text=True,
            start_new_session=True,
        )

    def start(self, *command: str) -> None:
        """Start a process; what it prints goes to the log."""
        assert self._guard is not None
        assert self._guard.stdin is not None
        self._guard.stdin.write(json.dumps(command) + "\n")
        self._guard.stdin.flush()

    def stop(self) -> None:
        """Kill every process that came of this server, orphans included, and remove its folder."""
        assert self._guard is not None
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        try:
            assert self._guard.wait(180) == 0, f"the guard of {self.home} failed; processes may be left"
        finally:
            self._guard.kill()

    def log(self, *, lines: int = 200) -> str:
        """The last lines that its processes printed."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def state(self) -> Any:
        """What is known of it when something does not happen."""
        return ""

    def processes(self) -> list[psutil.Process]:
        """All that came of this server, also those that moved away from their parents."""
        assert self._guard is not None
        return family(self._guard.pid)[1:]

    def find(self, matches: Callable[[str], bool]) -> list[psutil.Process]:
        """Those whose command matches."""
        return [process for process in self.processes() if matches(command(process)) and lives(process)]

    def until(self, look: Callable[[], Any], timeout: float, complaint: str) -> Any:
        """What a look finds, once it finds something; a complaint such as "is not healthy" after `timeout` seconds."""
        assert self._guard is not None
        deadline = time.monotonic() + timeout
        while not (found := look()):
            if self._guard.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} {complaint} after {timeout:g} s: {self.state()}\n{self.log()}")
            time.sleep(0.3)
        return found


def surroundings(*without: str) -> dict[str, str]:
    """The environment of the tests, without what configures another server or Gristmill.

    Args:
        without: the beginnings of names, such as `AIRFLOW_`.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith((*without, "GRISTMILL_"))}
