"""Ray started on demand: by a runner of its own, which is closed or killed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gristmill.errors import PlacementError
from gristmill.executors.ray_session import RaySession
from gristmill.settings import PoolSettings
from tests.executors import loops
from tests.processes import command, family

RUNNER = """
import sys
from gristmill.executors.ray import RayExecutor
from gristmill.replica.messages import Ready
from gristmill.settings import PoolSettings
from tests.executors import loops

if __name__ == "__main__":
    pool = PoolSettings(kind="ray", init={"num_cpus": 1})
    executor = RayExecutor(pool=pool, replicas=1, num_workers=1, cpus=None, memory=None, gpus=None, run=loops.echo)
    executor.start(loops.worker_spec(), workers=1)
    ready = False
    while not ready:
        ready = any(isinstance(event, Ready) for _, event in executor.poll(1))
    import ray
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.readline()
    executor.close()
    executor._pump.join()
"""
LIMIT = 120.0


def _runner(folder: Path) -> "subprocess.Popen[str]":
    """A runner that has started Ray; it ends Ray and itself when its input ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "RAY_ADDRESS": "192.0.2.1:6379",  # of another Ray, which is not to be used
        "PYTHONPATH": loops.ROOT,
        "HOME": str(folder),
    }
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout is not None
    assert runner.stdout.readline().strip().count(":") == 1
    return runner


def _until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=LIMIT)
    assert not alive


def _is_helper(process: psutil.Process) -> bool:
    titles = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")  # and before one has set its title:
    modules = ("dashboard/agent.py", "runtime_env/agent/main.py")
    return command(process).startswith(titles) or any(module in command(process) for module in modules)


def _folders(processes: list[psutil.Process]) -> set[Path]:
    """The folders of the Rays that these processes belong to."""
    return {
        Path(folder) for process in processes for folder in re.findall(r"/[^ =]*/gristmill-ray-\w+", command(process))
    }


def test_closing_ends_the_ray_that_was_started_and_leaves_nothing(tmp_path: Path):
    runner = _runner(tmp_path)
    _, *processes = family(runner.pid)
    folders = _folders(processes)
    assert any("/raylet " in command(process) for process in processes)
    assert len(folders) == 1
    runner.communicate("close\n", timeout=LIMIT)
    assert runner.returncode == 0
    _until_gone(processes)
    assert not any(folder.exists() for folder in folders)
    assert not (tmp_path / ".ray").exists()


def test_a_killed_runner_takes_its_ray_along_and_the_next_one_tidies_up(tmp_path: Path):
    runner = _runner(tmp_path)
    _, *processes = family(runner.pid)
    assert any("RayWorker" in command(process) for process in processes)
    (folder,) = _folders(processes)
    runner.kill()
    runner.communicate()
    # two helpers of Ray look for the rest of it for a minute before they end
    _until_gone([process for process in processes if not _is_helper(process)])
    assert folder.exists()
    following = _runner(tmp_path)
    following.communicate("close\n", timeout=LIMIT)
    assert not folder.exists()


def test_a_ray_that_does_not_start_is_an_error_that_names_the_setting():
    with pytest.raises(PlacementError, match=r"cannot start Ray on this machine.*no_such_argument.*`init`"):
        RaySession(PoolSettings(kind="ray", init={"no_such_argument": 1}))
