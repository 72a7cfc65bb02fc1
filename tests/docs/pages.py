"""The pages of the documentation, and the files whose text they hold."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"))
    if page.is_relative_to(ROOT)
)

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# ([\w./-]+\.(?:py|toml|yaml))\n")


def blocks(page: Path) -> list[tuple[str, str]]:
    """The code blocks of a page: language and text."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def write_files(page: Path, folder: Path) -> list[str]:
    """Write each block that begins with `# name.py`, `.toml` or `.yaml` to that file; returns their names."""
    names = []
    for _, text in blocks(page):
        named = _NAMED.match(text)
        if named:
            target = folder / named[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            names.append(named[1])
    return names


def commands(page: Path) -> list[str]:
    """The `gristmill` commands in a page's shell blocks, with continued lines joined."""
    found = []
    for language, text in blocks(page):
        if language == "bash":
            lines = text.replace("\\\n", " ").splitlines()
            found += [line.partition(" #")[0].strip() for line in lines if line.startswith("gristmill ")]
    return found


def python(*arguments: str, **variables: str) -> str:
    """Run Python in the working folder, which must succeed; returns what it printed."""
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, *arguments], check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
