"""The command line: `gristmill run`, `jobs`, `files`, `output`, `doctor` and `demo`.

Importing this is quick: each command imports what it needs when it runs.
"""

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process; ends the process with the command's exit code."""
    from gristmill.cli.app import app

    app(prog_name="gristmill")
