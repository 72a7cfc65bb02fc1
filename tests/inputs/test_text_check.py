"""Texts that are none are their rows' errors."""

import pyarrow as pa

from gristmill.inputs.text_check import checked_text


def test_bytes_in_a_dictionary_of_text_that_are_none_fail_the_rows_that_have_them() -> None:
    values = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 1], pa.int8()), values, ordered=True)
    piece = checked_text(pa.record_batch({"id": [1, 2, 3, 4, 5], "t": texts}), "x.parquet")
    piece.rows.validate(full=True)
    assert piece.rows.schema.field("t").type == texts.type
    assert piece.rows.column("t").to_pylist() == ["a", None, "c", None, None]
    assert piece.rows.column("id").to_pylist() == [1, 2, 3, 4, 5]
    assert {at: error.message for at, error in piece.errors.items()} == dict.fromkeys(
        (1, 4), "column 't': the text is not UTF-8"
    )


def test_texts_that_are_texts_pass_as_they_are() -> None:
    rows = pa.record_batch({"t": ["a", None], "d": pa.array(["x", None]).dictionary_encode(), "b": [b"\xff", b""]})
    piece = checked_text(rows, "x.parquet")
    assert piece.rows.equals(rows)
    assert not piece.errors


def test_rows_without_columns_stay() -> None:
    rows = pa.record_batch({"n": [1, 2, 3]}).select([])
    assert checked_text(rows, "x.parquet").rows.num_rows == rows.num_rows
