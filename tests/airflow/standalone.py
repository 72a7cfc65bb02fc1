"""A real Airflow: `airflow standalone` with its scheduler, triggerer, DAG processor and API server, on SQLite."""

import os
import secrets
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import psutil
from tests.airflow.rest import Rest, RestError
from tests.cluster import free_ports
from tests.guarded import Guarded, surroundings
from tests.processes import family, lives, send

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
    "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "300",  # on a busy machine a file takes long
    "CORE__DAGBAG_IMPORT_TIMEOUT": "300",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "LOGGING__NAMESPACE_LEVELS": "airflow.dag_processing=WARNING",  # it tells of every look at the folder
    # A loop that finds nothing to do looks again after so many seconds.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    # A task that is marked failed hears it with its next heartbeat; a worker that is killed whole is missed after so
    # many seconds without one. Heartbeats that fail are forgiven for long: two cores are soon busy.
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "WORKERS__MAX_FAILED_HEARTBEATS": "30",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
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


class Standalone(Guarded):
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
        super().__init__("Airflow", prefix="gristmill-airflow-live-")
        self.dags = self.home / "dags"
        self.dags.mkdir()
        port, worker_logs, trigger_logs = free_ports(3)
        self.rest = Rest(f"http://127.0.0.1:{port}")
        settings = {
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
        self.guard(surroundings("AIRFLOW_") | settings)

    def __enter__(self) -> Self:
        try:
            self._start("standalone")
            self.until(self.is_healthy, _START_TIMEOUT, "is not healthy")
        except BaseException:
            self.stop()
            raise
        return self

    def health(self) -> dict[str, Any]:
        """`healthy` or not, for each component; empty while the API does not answer."""
        try:
            answer = self.rest.call("GET", "/monitor/health")
        except (OSError, RestError):
            return {}
        return {name: part["status"] for name, part in answer.items() if part}

    state = health

    def is_healthy(self) -> bool:
        """Whether all of its components are."""
        health = self.health()
        return all(health.get(name) == "healthy" for name in _COMPONENTS)

    def add_dags(self, *sources: Path | str, timeout: float = 240.0) -> list[str]:
        """Copy files of DAGs (or give a file's text) into its folder; return the ids once they can be triggered."""
        names = []
        since = time.time()
        for number, source in enumerate(sources):
            name = source.name if isinstance(source, Path) else f"text_{len(list(self.dags.iterdir()))}_{number}.py"
            draft = self.dags / f".{name}"  # renamed when whole, or half of it might be parsed
            draft.write_text(source.read_text() if isinstance(source, Path) else source)
            draft.rename(self.dags / name)
            names.append(name)
        return self.until(lambda: self._parsed(names, since), timeout, f"did not parse {', '.join(names)}")

    def _parsed(self, names: list[str], since: float) -> list[str] | None:
        for error in self.rest.pages("/importErrors", "import_errors"):
            if error["filename"] in names and _seconds(error["timestamp"]) >= since:
                raise RestError(error["stack_trace"])
        dags = self.rest.pages("/dags", "dags", exclude_stale=True)
        found = [one for one in dags if one["relative_fileloc"] in names and _parse_began(one) >= since]
        return [one["dag_id"] for one in found] if {one["relative_fileloc"] for one in found} == set(names) else None

    # Its processes

    def task_process(self, task_instance: dict[str, Any], *, timeout: float = 120.0) -> psutil.Process:
        """The process that runs the operator's `execute`; its parent is the supervisor that reports for it.

        Args:
            task_instance: as the API gives it. Its `id` changes with every try.
            timeout: seconds to wait for it to appear.
        """
        title = f"airflow worker -- {task_instance['id']}"
        return self.until(lambda: self._find(title), timeout, f"runs no {title!r}")

    def component(self, name: Component) -> psutil.Process | None:
        """A component's process. The triggerer's child runs the triggers; the scheduler's children run the tasks."""
        return self._find(f"airflow {name}")

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
        ended = family(old)
        send(with_signal, ended if with_signal == signal.SIGKILL else [old])
        self.until(lambda: not any(map(lives, ended)), timeout, f"does not end its {name}")
        self._start(name)
        self.until(lambda: self._reports(name, since), timeout, f"has no new {name}")

    def _reports(self, name: Component, since: float) -> bool:
        jobs = self.rest.call("GET", "/jobs", job_type=_JOBS[name], is_alive=True, limit=100)["jobs"]
        return any(_seconds(job["start_date"]) >= since for job in jobs)

    def cli(self, *arguments: str) -> str:
        """What `airflow ...` prints on its standard output, run against this server's database and settings."""
        done = subprocess.run(
            [_BIN / "airflow", *arguments],
            env=self.environment,
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"`airflow {' '.join(arguments)}`: {done.stdout}{done.stderr}"
        return done.stdout

    def _find(self, command: str) -> psutil.Process | None:
        return next(iter(self.find(lambda found: found.endswith(command))), None)

    def _start(self, *command: str) -> None:
        self.start(str(_BIN / "airflow"), *command)


def _parse_began(dag: dict[str, Any]) -> float:
    return _seconds(dag["last_parsed_time"]) - (dag["last_parse_duration"] or 0)


def _seconds(moment: str | None) -> float:
    return 0.0 if moment is None else datetime.fromisoformat(moment).timestamp()
