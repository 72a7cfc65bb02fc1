"""Where `python:module:Class` is looked for."""

import sys
from pathlib import Path

__all__ = ["find_modules_here"]


def find_modules_here() -> None:
    """Look for modules in the working folder too, as `python` itself does."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
