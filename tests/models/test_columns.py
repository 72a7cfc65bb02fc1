import pyarrow as pa
import pytest

from gristmill.errors import SchemaError
from gristmill.models.columns import match_columns


def schema(*names: str) -> pa.Schema:
    return pa.schema([(name, pa.int64()) for name in names])


def test_columns_match_without_regard_to_case_and_order() -> None:
    assert match_columns(["age", "Income"], schema("INCOME", "id", "AGE")) == [2, 0]


def test_the_same_spelling_comes_before_another_case() -> None:
    assert match_columns(["age", "AGE"], schema("AGE", "age")) == [1, 0]


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(SchemaError, match=r"lacks 2 of the 3 columns that the model needs: b, c; it has: a, x"):
        match_columns(["a", "b", "c"], schema("a", "x"))


def test_a_name_that_could_be_two_columns_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"'age' could be any of 'AGE', 'Age'"):
        match_columns(["age"], schema("AGE", "Age"))
