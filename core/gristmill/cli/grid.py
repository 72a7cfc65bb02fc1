"""Rows as a table that fits the terminal: columns are left out of the middle, values are cut, binary shows its size."""

from typing import TYPE_CHECKING, Any

from gristmill.cli import console
from gristmill.wording.text import cell, count, cut, one_line

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["chosen", "grid"]

_GAP = 2
_WIDEST = 40
_NARROWEST = 8


def chosen(widths: list[int], available: int) -> tuple[list[int], int]:
    """Which columns fit, taken from both ends in turn, and how many of them come before the gap.

    Inputs stand first and outputs last, so both ends matter more than the middle.

    Example:
        >>> chosen([10, 10, 10, 10], 30)
        ([0, 3], 1)
    """
    if sum(widths) + _GAP * (len(widths) - 1) <= available:
        return list(range(len(widths))), len(widths)
    left: list[int] = []
    right: list[int] = []
    used = 1  # the sign for the gap; the last column has no space after it, which pays for the gap's
    low, high = 0, len(widths) - 1
    while low <= high:
        take_right = len(right) < len(left)
        index = high if take_right else low
        if used + widths[index] + _GAP > available and (left or right):
            break
        used += widths[index] + _GAP
        if take_right:
            right.append(index)
            high -= 1
        else:
            left.append(index)
            low += 1
    return left + right[::-1], len(left)


def grid(rows: list[dict[str, Any]], *, width: int) -> "Table":
    """The rows as a table at most `width` columns wide; the columns left out are named under it."""
    from rich.text import Text

    names = list(rows[0]) if rows else []
    limit = max(_NARROWEST, min(_WIDEST, width // max(min(len(names), 4), 1) - _GAP)) if names else _WIDEST
    texts = [[cell(row[name], limit) for row in rows] for name in names]
    heads = [cut(one_line(name), max(limit, _NARROWEST)) for name in names]
    widths = [max(len(head), *map(len, column)) for head, column in zip(heads, texts, strict=True)]
    keep, before = chosen(widths, width)
    table = console.rows()
    hidden = [name for index, name in enumerate(names) if index not in keep]
    for place, index in enumerate(keep):
        if hidden and place == before:
            table.add_column("…", style="dim")
        numeric = all(row[names[index]] is None or isinstance(row[names[index]], int | float) for row in rows)
        table.add_column(heads[index], justify="right" if numeric else "left", no_wrap=True, overflow="ellipsis")
    for number in range(len(rows)):
        cells: list[Text] = []
        for place, index in enumerate(keep):
            if hidden and place == before:
                cells.append(Text("…"))
            missing = rows[number][names[index]] is None
            cells.append(Text("null", style="dim") if missing else Text(texts[index][number]))
        table.add_row(*cells)
    if hidden:
        table.caption = f"… {count(len(hidden), 'column')} more: {cut(', '.join(map(one_line, hidden)), 2 * width)}"
        table.caption_justify = "left"
    return table
