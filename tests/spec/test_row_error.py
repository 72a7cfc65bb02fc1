from gristmill.spec.row_error import RowError


def test_a_row_error_keeps_the_exceptions_type_message_and_step() -> None:
    error = RowError.of(FileNotFoundError("no such file"), step="resolve", reference="@a/x.png")
    assert error == RowError("FileNotFoundError", "no such file", "resolve", "@a/x.png")


def test_an_exception_without_a_message_is_named() -> None:
    assert RowError.of(ValueError(), step="infer").message == "ValueError()"


def test_a_long_message_is_cut() -> None:
    assert len(RowError.of(ValueError("x" * 10_000), step="infer").message) == 2_000
