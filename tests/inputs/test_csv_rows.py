"""Delimited text from storage that is slow, where Arrow's own threads are still at work when rows are taken."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gristmill.inputs.csv_repair import RowRepair
from gristmill.inputs.csv_rows import read_csv
from gristmill.inputs.opening import InputFile
from gristmill.inputs.pieces import Bounds, Piece
from gristmill.inputs.window import Window

SCHEMA = pa.schema([("id", pa.int64()), ("t", pa.string())])


class SlowFile(io.FileIO):
    """A file each read of which takes a while."""

    def read(self, size: int = -1) -> bytes:
        time.sleep(0.1)
        return super().read(size)


def slow(path: Path) -> InputFile:
    return InputFile(str(path), lambda: pa.PythonFile(SlowFile(path), mode="r"), is_remote=True)


def write(path: Path, count: int, bad: set[int]) -> None:
    with path.open("w") as file:
        file.write("id,t\n")
        for at in range(count):
            file.write(f"{at},{'some text to fill the line ' * 4}{',' if at in bad else ''}\n")


def ids_and_errors(pieces: Iterator[Piece]) -> tuple[list[Any], set[int]]:
    ids: list[Any] = []
    errors: set[int] = set()
    for piece in pieces:
        errors |= {len(ids) + at for at in piece.errors}
        ids += piece.rows.column("id").to_pylist()
    return ids, errors


@pytest.mark.parametrize("bad", [{5}, {5, 100_000, 199_999}, {70_000, 70_001}, {199_999}])
def test_no_row_is_lost_when_a_reader_is_given_up_for_another(tmp_path: Path, bad: set[int]) -> None:
    path, count = tmp_path / "x.csv", 200_000
    write(path, count, bad)
    ids, errors = ids_and_errors(read_csv(slow(path), SCHEMA, Window(0, None), Bounds()))
    assert ids == [at if at not in bad else None for at in range(count)]
    assert errors == bad


def test_streams_of_text_take_nothing_from_each_other(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,t\n1,a\n")
    file = slow(tmp_path / "x.csv")
    first, second = file.text(), file.text()
    assert first.read(3) == b"id,"
    assert second.read() == b"id,t\n1,a\n"
    assert first.read() == b"t\n1,a\n"


def test_a_bad_row_that_is_told_while_earlier_ones_are_put_in_order_is_kept() -> None:
    class Told(RowRepair):
        """Is told of a row of the next block when it takes one of this block."""

        def __init__(self) -> None:
            super().__init__("x.csv", fit=None)  # it converts nothing here

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "_record" and value == 3:
                self.on_invalid(Invalid(number=4))
            super().__setattr__(name, value)

    class Invalid:
        text, expected_columns, actual_columns = "3,c,d", 2, 3

        def __init__(self, number: int) -> None:
            self.number = number

    repair = Told()
    text = pa.record_batch({"id": [b"1", b"2"], "t": [b"a", b"b"]})
    assert repair.rows_of(text, last=False).places == [0, 1, None]
    assert repair.rows_of(text.slice(0, 0), last=True).places == []
