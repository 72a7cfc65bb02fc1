import pyarrow as pa
import pytest

from gristmill.inputs.frame import Frame

ROWS = Frame(pa.table({f"column_{number}": [f"value-{number}-" + "x" * 30] for number in range(9)}))


def test_shown_where_no_terminal_bounds_it_a_row_is_one_whole_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    ROWS.show()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "value-0" in line]
    assert all(value in line for value in ROWS.collect()[0].values())


def test_shown_in_a_narrow_terminal_nothing_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ROWS.show()
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert shown.count("x") == 9 * 30
    assert max(map(len, shown.splitlines())) <= 80


def test_only_the_first_rows_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Frame(pa.table({"n": [101, 102, 103]})).show(2)
    shown = capsys.readouterr().out
    assert ("101" in shown, "102" in shown, "103" in shown) == (True, True, False)
