"""Markdown as Dagster shows it (GitHub's, without HTML), from text that is not ours."""

import re
from collections.abc import Iterable, Sequence

__all__ = ["escaped", "table"]

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}  # a table is cut at bars before escapes are read
_SPECIAL = re.compile(r"[&<>|\\`*\[\]~!]|(?<![^\W_])_|_(?![^\W_])")  # within a word `_` is only itself


def escaped(text: str) -> str:
    r"""`text` so that it is shown as it is, on one line of a paragraph or in a cell.

    Example:
        >>> escaped("a|b *c*\nd_e ![](https://x/y.png)")
        'a&#124;b \\*c\\* d_e \\!\\[\\](https://x/y.png)'
    """
    return _SPECIAL.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), " ".join(text.split()))


def table(names: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[bool]) -> str:
    """A table of cells that are Markdown already.

    Args:
        names: over the columns.
        rows: the cells.
        right: which columns are aligned to the right.

    Example:
        >>> print(table(["x", "y"], [["1", "one"]], right=[True, False]))
        | x | y |
        | ---: | --- |
        | 1 | one |
    """
    rule = ["---:" if is_right else "---" for is_right in right]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rule, *rows))
