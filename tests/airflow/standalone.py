"""A real Airflow: `airflow standalone` with its scheduler, triggerer, DAG processor and API server, on SQLite."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import psutil
from tests.airflow.rest import Rest, RestError
from tests.cluster import free_ports

_GUARD = Path(__file__).with_name("guard.py")
_BIN = Path(sys.executable).parent
_START_TIMEOUT = 180.0
_COMPONENTS = ("scheduler", "triggerer", "dag_processor")

Component = Literal["scheduler", "triggerer", "dag-processor"]
_JOBS = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag-processor": "DagProcessorJob"}

_QUICK = {
    # A file that is written or changed is noticed within a second. Unchanged ones are left alone for longer: parsing
    # them again and again takes the processors from the tasks.
    "DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "LOGGING__NAMESPACE_LEVELS": "airflow.dag_processing=WARNING",  # it tells of every look at the folder
    # A loop that finds nothing to do looks again after so many seconds.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    # A task that is marked failed hears it with its next heartbeat; a worker that is killed whole is missed after so
    # many seconds without one. Heartbeats that fail are forgiven for long: two cores are soon busy.
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "WORKERS__MAX_FAILED_HEARTBEATS": "30",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    # The tasks of a scheduler that was killed go to another one that finds it silent for so many seconds.
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    # The triggers of a triggerer that was killed go to another one after so many seconds without its heartbeat.
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
    # Tasks at once. Each is a process of its own that imports Airflow.
    "CORE__PARALLELISM": "4",
}


class Standalone:
    """One server, with a home, a database and a folder of DAGs of its own.

    Attributes:
        home: its folder; jobs of Gristmill live in `gristmill` within it, and `work` is where its processes start.
        dags: its folder of DAGs, empty at the start; see `add_dags`.
        rest: its API.

    Example::

        with Standalone() as airflow:
            airflow.add_dags(DAGS / "nightly.py")
            run_id = airflow.rest.trigger("nightly")
            airflow.rest.wait_for_run("nightly", run_id)
    """

    def __init__(self, *, environment: dict[str, str] | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="gristmill-airflow-live-"))
        self.dags = self.home / "dags"
        self.work = self.home / "work"
        self.dags.mkdir()
        self.work.mkdir()
        self._log = self.home / "standalone.log"
        port, worker_logs, trigger_logs = free_ports(3)
        self.rest = Rest(f"http://127.0.0.1:{port}")
        self._environment = _surroundings() | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.rest.address}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self.rest.address,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "GRISTMILL_HOME": str(self.home / "gristmill"),
            "GRISTMILL_EXAMPLES": str(self.home / "examples"),
            "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",
            **{f"AIRFLOW__{name}": value for name, value in _QUICK.items()},
            **(environment or {}),
        }
        # Its standard input is a pipe that ends with this process, however that ends; then it kills what it started.
        self._guard = subprocess.Popen(
            [sys.executable, "-P", _GUARD, self.home],
            stdin=subprocess.PIPE,
            env=self._environment,
            cwd=self.work,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        try:
            self._start("standalone")
            self._until(self.is_healthy, _START_TIMEOUT, "is not healthy")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill every process that came of this server, orphans included, and remove its folder."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        try:
            assert self._guard.wait(60) == 0, f"the guard of {self.home} failed; processes may be left"
        finally:
            self._guard.kill()

    def log(self, *, lines: int = 200) -> str:
        """The last lines that its components printed."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def health(self) -> dict[str, Any]:
        """`healthy` or not, for each component; empty while the API does not answer."""
        try:
            answer = self.rest.call("GET", "/monitor/health")
        except (OSError, RestError):
            return {}
        return {name: part["status"] for name, part in answer.items() if part}

    def is_healthy(self) -> bool:
        """Whether all of its components are."""
        health = self.health()
        return all(health.get(name) == "healthy" for name in _COMPONENTS)

    def add_dags(self, *sources: Path | str, timeout: float = 90.0) -> list[str]:
        """Copy files of DAGs (or give a file's text) into its folder; return the ids once they can be triggered."""
        names = []
        since = time.time()
        for number, source in enumerate(sources):
            name = source.name if isinstance(source, Path) else f"text_{len(list(self.dags.iterdir()))}_{number}.py"
            draft = self.dags / f".{name}"  # renamed when whole, or half of it might be parsed
            draft.write_text(source.read_text() if isinstance(source, Path) else source)
            draft.rename(self.dags / name)
            names.append(name)
        return self._until(lambda: self._parsed(names, since), timeout, f"did not parse {', '.join(names)}")

    def _parsed(self, names: list[str], since: float) -> list[str] | None:
        for error in self.rest.pages("/importErrors", "import_errors"):
            if error["filename"] in names and _seconds(error["timestamp"]) >= since:
                raise RestError(error["stack_trace"])
        dags = self.rest.pages("/dags", "dags", exclude_stale=True)
        found = [one for one in dags if one["relative_fileloc"] in names and _parse_began(one) >= since]
        return [one["dag_id"] for one in found] if {one["relative_fileloc"] for one in found} == set(names) else None

    # Its processes

    def processes(self) -> list[psutil.Process]:
        """All that came of this server, also those that moved away from their parents."""
        return psutil.Process(self._guard.pid).children(recursive=True)

    def task_process(self, task_instance: dict[str, Any], *, timeout: float = 60.0) -> psutil.Process:
        """The process that runs the operator's `execute`; its parent is the supervisor that reports for it.

        Args:
            task_instance: as the API gives it. Its `id` changes with every try.
            timeout: seconds to wait for it to appear.
        """
        title = f"airflow worker -- {task_instance['id']}"
        return self._until(lambda: self._find(lambda command: command == title), timeout, f"runs no {title!r}")

    def component(self, name: Component) -> psutil.Process | None:
        """A component's process. The triggerer's child runs the triggers; the scheduler's children run the tasks."""
        return self._find(lambda command: command.endswith(f"airflow {name}"))

    def restart(self, name: Component, *, with_signal: signal.Signals = signal.SIGKILL, timeout: float = 120.0) -> None:
        """End a component and start it again; `standalone` starts none a second time.

        Args:
            name: which one.
            with_signal: SIGKILL ends its children with it, as if the machine were lost; any other is for itself only.
            timeout: seconds, for its end and for its start.

        Returns when the new one reports that it runs. What the old one held comes to it after the health check's
        threshold, if the old one was killed.
        """
        old = self.component(name)
        assert old is not None, f"there is no {name}"
        since = time.time()
        family = [old, *old.children(recursive=True)]
        for process in family if with_signal == signal.SIGKILL else [old]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(with_signal)
        self._until(lambda: not any(map(_lives, family)), timeout, f"does not end its {name}")
        self._start(name)
        self._until(lambda: self._reports(name, since), timeout, f"has no new {name}")

    def _reports(self, name: Component, since: float) -> bool:
        jobs = self.rest.call("GET", "/jobs", job_type=_JOBS[name], is_alive=True, limit=100)["jobs"]
        return any(_seconds(job["start_date"]) >= since for job in jobs)

    def cli(self, *arguments: str) -> str:
        """What `airflow ...` prints on its standard output, run against this server's database and settings."""
        done = subprocess.run(
            [_BIN / "airflow", *arguments],
            env=self._environment,
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"`airflow {' '.join(arguments)}`: {done.stdout}{done.stderr}"
        return done.stdout

    def _find(self, matches: Callable[[str], bool]) -> psutil.Process | None:
        for process in self.processes():
            try:
                if matches(" ".join(process.cmdline()).strip()) and _lives(process):
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    def _start(self, *command: str) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.write(json.dumps([str(_BIN / "airflow"), *command]) + "\n")
        self._guard.stdin.flush()

    def _until(self, look: Callable[[], Any], timeout: float, complaint: str) -> Any:
        deadline = time.monotonic() + timeout
        while not (found := look()):
            if self._guard.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"Airflow {complaint} after {timeout:g} s: {self.health()}\n{self.log()}")
            time.sleep(0.3)
        return found


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _parse_began(dag: dict[str, Any]) -> float:
    return _seconds(dag["last_parsed_time"]) - (dag["last_parse_duration"] or 0)


def _seconds(moment: str | None) -> float:
    return 0.0 if moment is None else datetime.fromisoformat(moment).timestamp()


def _surroundings() -> dict[str, str]:
    """The environment of the tests, without what configures another Airflow or Gristmill."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "GRISTMILL_"))}
