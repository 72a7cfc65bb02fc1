"""A worker's numbers at Ray's own metrics endpoint."""

import re
import time
import urllib.request
from collections.abc import Callable

import ray

from gristmill.executors.ray import RayExecutor
from gristmill.replica.messages import Event, PartDone
from gristmill.settings import PoolSettings
from tests.executors import loops

LIMIT = 90.0


def _until(found: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not found():
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT} s"
        time.sleep(0.5)


def _scraped() -> dict[str, dict[str, float]]:
    """What the endpoint says of Gristmill: values by name and worker."""
    node = ray.nodes()[0]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
    except OSError:  # Ray's agent, which serves it, starts beside the workers
        return {}
    found: dict[str, dict[str, float]] = {}
    for name, tags, value in re.findall(r"^ray_(gristmill_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
        assert 'job="job"' in tags
        worker = re.search(r'\bworker="(\d+)"', tags)
        assert worker is not None
        found.setdefault(name, {})[worker[1]] = float(value)
    return found


def test_each_worker_tells_its_rows_tokens_and_what_it_is_busy_with() -> None:
    pool = PoolSettings(kind="ray", init={"num_cpus": 2})
    executor = RayExecutor(pool=pool, replicas=1, num_workers=2, cpus=2, memory=None, gpus=None, run=loops.counting)
    events: list[tuple[int, Event]] = []
    executor.start(loops.worker_spec(), workers=2)
    try:
        deadline = time.monotonic() + LIMIT
        while sum(isinstance(event, PartDone) for _, event in events) < 2:
            assert time.monotonic() < deadline, events
            events += executor.poll(0.5)
        wanted = {
            "gristmill_rows_total": {"0": 30, "1": 30},
            "gristmill_row_errors_total": {"0": 2, "1": 2},
            "gristmill_prompt_tokens_total": {"0": 600, "1": 600},
            "gristmill_cached_tokens_total": {"0": 150, "1": 150},
            "gristmill_output_tokens_total": {"0": 90, "1": 90},
            "gristmill_rows_in_flight": {"0": 4, "1": 4},
            "gristmill_rows_waiting": {"0": 9, "1": 9},
        }
        _until(lambda: _scraped() == wanted, "all numbers at the endpoint")
    finally:
        executor.close()
        _until(lambda: not ray.is_initialized(), "the end of Ray")
