"""A real Dagster: `dagster dev` with its webserver, its daemon and its code servers, on SQLite."""

import re
import sys
from pathlib import Path
from typing import Any, Self

import psutil
from tests.cluster import free_ports
from tests.dagster.graphql import GraphQL, GraphQLError
from tests.guarded import Guarded, surroundings
from tests.processes import command, family, kill_all, lives

_ROOT = Path(__file__).parents[2]
_START_TIMEOUT = 180.0
_SETTINGS = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_queue:  # a run is three processes, and there may be two cores
  max_concurrent_runs: 3
  dequeue_interval_seconds: 1
  dequeue_use_threads: true  # each launch waits until the run's process has imported Dagster
  dequeue_num_workers: 3
run_retries:  # of the runs that ask for it with the tag dagster/max_retries
  enabled: true
  max_retries: 0
"""


class Dev(Guarded):
    """One server, with homes of its own for Dagster and for Gristmill.

    Args:
        module: the code location, a module of definitions below the checkout.
        environment: what its processes have besides.

    Attributes:
        graphql: its API.
        data: a folder that its processes know as `GRISTMILL_LIVE`.

    Example::

        with Dev("tests.dagster.definitions.live") as dagster:
            run_id = dagster.graphql.launch("scores", partition="2026-01-01")
            dagster.graphql.wait_for_run(run_id)
    """

    def __init__(self, module: str, *, environment: dict[str, str] | None = None) -> None:
        super().__init__("Dagster", prefix="gristmill-dagster-live-")
        (port,) = free_ports(1)
        self.graphql = GraphQL(f"http://127.0.0.1:{port}", location=module)
        self.data = self.home / "data"
        self.data.mkdir()
        instance = self.home / "dagster"
        instance.mkdir()
        (instance / "dagster.yaml").write_text(_SETTINGS)
        self._command = [
            *(sys.executable, "-m", "dagster", "dev", "--module-name", module, "--working-directory", str(_ROOT)),
            *("--host", "127.0.0.1", "--port", str(port)),
        ]
        settings = {
            "DAGSTER_HOME": str(instance),
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",  # what starts the retries of failed runs
            "DAGSTER_CODE_SERVER_AUTO_RESTART_INTERVAL": "1",
            "GRISTMILL_HOME": str(self.home / "gristmill"),
            "GRISTMILL_LIVE": str(self.data),
            "PYTHONPATH": str(_ROOT),
            **(environment or {}),
        }
        self.guard(surroundings("DAGSTER_", "PYTHONPATH") | settings)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        self.start(*self._command)
        self.until(self.is_ready, _START_TIMEOUT, "is not ready")

    def state(self) -> dict[str, Any]:
        """Whether its daemons are healthy and its location is loaded; empty while the API does not answer."""
        try:
            return {"daemons": self.graphql.daemons(), "load error": self.graphql.load_error()}
        except (OSError, GraphQLError) as error:
            return {"error": str(error)}

    def is_ready(self) -> bool:
        """Whether its API answers, its location is loaded, and each daemon that it needs has reported."""
        state = self.state()
        daemons = state.get("daemons")
        return bool(daemons) and all(daemons.values()) and state["load error"] is None

    # Its processes

    def tree(self) -> list[psutil.Process]:
        """`dagster dev`, its webserver, daemon and code servers, and the runs that were not left by theirs."""
        found = self.find(lambda command: " -m dagster dev " in command)
        return [one for top in found for one in family(top)]

    def webserver(self) -> psutil.Process:
        """The process that serves the API."""
        return self._only(" -m dagster_webserver ")

    def daemon(self) -> psutil.Process:
        """The process that launches queued runs, backfills and sensors."""
        return self._only(" -m dagster._daemon run ")

    def code_server(self) -> psutil.Process:
        """The process that has loaded the definitions; runs are its children."""
        return self._only(" api grpc ")

    def run_process(self, run_id: str) -> psutil.Process:
        """The worker of a run, which starts a process for each step."""

        def look() -> psutil.Process | None:
            messages = [event["message"] for event in self.graphql.events(run_id)]
            told = [re.search(r"Started process for run \(pid: (\d+)\)", message) for message in messages]
            pids = [int(match[1]) for match in told if match]
            return next(iter(family(pids[-1])), None) if pids else None

        return self.until(look, 180, f"has no worker of run {run_id}")

    def step_process(self, run_id: str) -> psutil.Process:
        """The process of the step that a run is at."""
        worker = self.run_process(run_id)

        def look() -> psutil.Process | None:
            steps = [one for one in family(worker)[1:] if "spawn_main" in command(one)]  # its children are named first
            return next(filter(lives, steps), None)

        return self.until(look, 180, f"runs no step of {run_id}")

    def _only(self, part: str) -> psutil.Process:
        """Those of one command may be parent and child: the child is the one at work."""
        found = self.until(lambda: self.find(lambda command: part in f"{command} "), 180, f"has no process{part}")
        return max(found, key=lambda process: process.create_time())

    def restart(self, *killed: psutil.Process) -> None:
        """Kill these processes, all of `dagster dev` if none is given, and start it again with what it has recorded.

        When its webserver, its daemon or its code server is gone, `dagster dev` ends what is left of it, runs aside.
        """
        tree = self.tree()
        kill_all(killed or tree)
        head = tree[0]
        self.until(lambda: not lives(head), 90, "does not end")
        self._start()
