import subprocess
import sys
from importlib.metadata import version

from tests.cli.conftest import Cli

_HEAVY = ("pyarrow", "ray", "torch", "numpy", "pandas", "duckdb", "sklearn", "s3fs", "fsspec")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, gristmill.cli.app, typer.main\n"
        "typer.main.get_command(gristmill.cli.app.app)\n"
        f"print([name for name in {_HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version(cli: Cli) -> None:
    done = cli("--version")
    assert (done.code, done.out) == (0, f"gristmill {version('gristmill')}\n")


def test_help_fits_eighty_columns(cli: Cli) -> None:
    commands = ("run", "jobs", "jobs list", "jobs logs", "jobs wait", "files", "output", "doctor", "demo")
    for done in cli.each(*((*command.split(), "--help") for command in commands), COLUMNS="80", TERMINAL_WIDTH="80"):
        assert done.code == 0
        assert max(map(len, done.out.splitlines())) <= 80


def test_an_unknown_option_is_a_wrong_request(cli: Cli) -> None:
    done = cli("run", "--nonsense")
    assert done.code == 2
    assert "--nonsense" in done.err
    assert "Traceback" not in done.err
