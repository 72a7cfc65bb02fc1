import tomllib
from pathlib import Path

from gristmill.settings import Settings
from tests.docs.pages import ROOT, python, write_files


def test_the_example_engine_is_found_by_its_entry_point_and_runs(settings: Settings) -> None:
    folder = Path.cwd()
    assert write_files(ROOT / "docs" / "engines.md", folder) == ["pyproject.toml", "shout/__init__.py", "try_it.py"]
    _install(folder)
    assert python("try_it.py", PYTHONPATH=str(folder)) == "DONE ['HELLO??', 'GRIST??', None]\n"


def _install(folder: Path) -> None:
    """What an installer leaves beside a package: its name and its entry points."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
