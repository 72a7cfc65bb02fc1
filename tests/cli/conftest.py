"""The command line as its users have it: a process of its own, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

_MODELS = """
import os, time
from gristmill import inference_api

class Doubler:
    @inference_api(inputs={"x": "int64"}, outputs={"twice": "int64"})
    def predict(self, df, *, times: int = 2):
        return df["x"] * times

class Picky:
    @inference_api(inputs={"x": "int64"}, outputs={"twice": "int64"})
    def predict(self, df):
        if (df["x"] == 3).any():
            raise ValueError("three is not [bold]liked[/bold] here")
        return df["x"] * 2

class Gated:
    @inference_api(inputs={"x": "int64"}, outputs={"twice": "int64"})
    def predict(self, df, *, gate: str = "gate"):
        print("waiting at the gate", flush=True)
        open("arrived", "w").close()
        while not os.path.exists(gate):
            time.sleep(0.02)
        print("through the gate", flush=True)
        return df["x"] * 2

class Sizes:
    @inference_api(inputs={"file": "bytes"}, outputs={"size": "int64"})
    def predict(self, df):
        return df["file"].str.len()
"""

_EACH = """
import contextlib, io, json, sys
from gristmill.cli.app import app
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app(arguments, prog_name="gristmill")
        except SystemExit as stop:
            code = stop.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Cli:
    """Runs the command line in `folder`, where the module `models` lies."""

    folder: Path
    env: dict[str, str]

    def start(self, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        """Start a command, in a process group of its own, as a shell does."""
        # -P: what finds modules in the working folder must be Gristmill, as with the installed script.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "gristmill.cli", *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: str, **env: str) -> Ended:
        process = self.start(*arguments, **env)
        out, err = process.communicate(timeout=200)
        return Ended(process.returncode, out, err)

    def each(self, *commands: Sequence[str], **env: str) -> list[Ended]:
        """Run commands one after the other in one process, which saves a start for each."""
        done = subprocess.run(
            [sys.executable, "-P", "-c", _EACH],
            cwd=self.folder,
            env={**self.env, **env},
            input=json.dumps(commands),
            capture_output=True,
            text=True,
            check=True,
            timeout=200,
        )
        return [Ended(*json.loads(line)) for line in done.stdout.splitlines()]

    def wait_at_gate(self) -> None:
        """Until a job that runs `Gated` has come to its gate."""
        for _ in range(2400):
            if (self.folder / "arrived").exists():
                return
            time.sleep(0.05)
        pytest.fail("the job did not come to its gate within two minutes")

    def interrupt(self, process: "subprocess.Popen[str]") -> Ended:
        """Ctrl-C: the signal goes to the whole group, as from a terminal."""
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    def open_gate(self) -> None:
        """Let the model `Gated` go on."""
        (self.folder / "gate").touch()


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The command line, with a home of its own and a table `rows.parquet` of x = 0 to 9."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "models.py").write_text(_MODELS)
    pq.write_table(pa.table({"x": pa.array(range(10), pa.int64())}), folder / "rows.parquet")
    env = {name: value for name, value in os.environ.items() if not name.startswith("GRISTMILL_")}
    env["GRISTMILL_HOME"] = str(tmp_path / "home")
    env.pop("COLUMNS", None)
    runner = Cli(folder, env)
    yield runner
    runner.open_gate()
