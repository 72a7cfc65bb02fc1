import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gristmill.cli.grid import chosen, grid


def _drawn(rows: list[dict[str, object]], width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(grid(rows, width=width))
    return file.getvalue()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(20, 200))
def test_the_columns_kept_fit_and_stay_in_order(widths: list[int], available: int) -> None:
    keep, before = chosen(widths, available)
    assert keep == sorted(set(keep))
    assert len(keep) >= 1
    assert 1 <= before <= len(keep)
    assert len(keep) == 1 or sum(widths[index] + 2 for index in keep) - 2 <= available


@pytest.mark.parametrize("width", [80, 120])
def test_a_wide_table_keeps_both_ends_and_names_what_it_leaves_out(width: int) -> None:
    rows = [{f"column_{number:02d}": number * 1000 for number in range(40)}] * 3
    drawn = _drawn(rows, width)
    assert all(len(line) <= width for line in drawn.splitlines())
    assert "column_00" in drawn.splitlines()[0]
    assert "column_39" in drawn.splitlines()[0]
    assert "columns more" in drawn


def test_long_binary_and_missing_values_are_cut() -> None:
    drawn = _drawn([{"id": 1, "image": b"\x89" * 5000, "text": "word " * 100, "label": None}], 80)
    assert "<5.0 kB>" in drawn
    assert "…" in drawn
    assert "null" in drawn
    assert all(len(line) <= 80 for line in drawn.splitlines())


def test_rows_cannot_style_or_steer_the_terminal() -> None:
    drawn = _drawn([{"text": "[red]x[/red]\x1b[2J"}], 80)
    assert "[red]x[/red]" in drawn
    assert "\x1b" not in drawn
