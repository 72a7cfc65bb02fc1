"""A Ray cluster of one node with a Jobs API, for tests alone."""

import contextlib
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.answering import until_it_answers


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    address: str
    token: str


def free_ports(count: int) -> list[int]:
    """So many ports that nothing listens at now, of those that the system gives to nobody who asks for any port."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    for port in random.sample(range(20_000, first), 1_000):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"fewer than {count} ports are free")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Started for all tests that ask for it, and gone with the last."""
    with running_cluster() as running:
        yield running


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster for as long as the block lasts."""
    folder = tempfile.mkdtemp(prefix="gmc", dir="/tmp")
    port, dashboard, agent, client = free_ports(4)
    token = secrets.token_hex(32)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    environment["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), environment["PATH"]])
    head = subprocess.Popen(
        [
            *(Path(sys.prefix) / "bin" / "ray", "start", "--head", "--block", "--disable-usage-stats"),
            *(f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            f"--ray-client-server-port={client}",
            *(f"--dashboard-agent-listen-port={agent}", "--min-worker-port=0", "--max-worker-port=0"),
            *("--num-cpus=2", f"--object-store-memory={80 * 1024**2}", f"--temp-dir={folder}"),
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{dashboard}"
        until_it_answers(f"{address}/", head, what="the cluster", may_refuse=True)
        yield Cluster(address, token)
    finally:
        head.terminate()
        try:
            head.wait(30)
        except subprocess.TimeoutExpired:
            head.kill()
            head.wait()
        shutil.rmtree(folder, ignore_errors=True)
