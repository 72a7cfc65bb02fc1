"""Commands of `dg`, as a person types them in a project's folder."""

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT

__all__ = ["dg", "new_project"]

_PROJECT = """\
[project]
name = "mill"
version = "0.1.0"
requires-python = ">=3.11"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "mill"
"""
_DEFINITIONS = """\
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


def new_project(folder: Path) -> Path:
    """An empty project, as `create-dagster project` lays it out."""
    source = folder / "src" / "mill"
    (source / "defs").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(_PROJECT)
    (source / "definitions.py").write_text(_DEFINITIONS)
    for package in (source, source / "defs"):
        (package / "__init__.py").touch()
    return folder


def dg(project: Path, *arguments: str, fails: bool = False) -> str:
    """Run a command; returns what it printed.

    The project is on the path instead of installed, and `dagster_gristmill` comes from the checkout, with its entry
    point as it is installed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "VIRTUAL_ENV")}
    environment |= {
        "COLUMNS": "200",
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(project / "src"), str(ROOT / "dagster_integration")]),
    }
    done = subprocess.run(
        ["dg", *arguments],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) is fails, done.stdout
    return done.stdout
