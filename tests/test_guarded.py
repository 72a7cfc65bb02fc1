"""Servers of the tests end with the tests, however those end."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from tests.guarded import GUARD

# Starts a guard, has it start a process that leaves its parent and its session, tells both pids, and dies.
OWNER = """
import os, subprocess, sys, time
from pathlib import Path
guard = subprocess.Popen([sys.executable, "-P", sys.argv[1], sys.argv[2]], stdin=subprocess.PIPE, text=True)
guard.stdin.write('["sh", "-c", "setsid sleep 600 & echo $! > pid.new; mv pid.new pid"]\\n')
guard.stdin.flush()
while not Path("pid").exists():
    time.sleep(0.05)
print(guard.pid, Path("pid").read_text(), flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_server_whose_tests_are_killed_leaves_no_process_and_no_folder(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    owner = subprocess.run(
        [sys.executable, "-c", OWNER, GUARD, home], cwd=home, env=dict(os.environ), stdout=subprocess.PIPE, check=False
    )
    assert owner.returncode == -9
    guard, orphan = map(int, owner.stdout.split())
    for _ in range(1_200):
        if not psutil.pid_exists(guard) and not psutil.pid_exists(orphan) and not home.exists():
            return
        time.sleep(0.1)
    pytest.fail(f"left: guard {psutil.pid_exists(guard)}, orphan {psutil.pid_exists(orphan)}, {home.exists()}")
