"""SQL types as text, in several spellings."""

import pytest

from gristmill.errors import SpecError
from gristmill.sql.type_text import duckdb_spelling, parsed_type


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("STRUCT(name VARCHAR, age INTEGER)", 'STRUCT("name" VARCHAR, age INTEGER)'),
        ("type object(name string not null, age number)", 'STRUCT("name" VARCHAR, age BIGINT)'),
        ("OBJECT(price NUMBER(10, 2), tags ARRAY(STRING))", "STRUCT(price DECIMAL(10,2), tags VARCHAR[])"),
        ("OBJECT(deep OBJECT(free VARIANT, more OBJECT))", 'STRUCT(deep STRUCT(free JSON, more JSON))'),
        ("ARRAY(OBJECT(a NUMBER))", "STRUCT(a BIGINT)[]"),
        ('STRUCT(number INT, "array" INT, object TEXT)', 'STRUCT("number" INT, "array" INT, "object" TEXT)'),
        ("ENUM('an object', 'a, number')", "ENUM('an object', 'a, number')"),
        ("STRUCT(day TIMESTAMP WITH TIME ZONE)[]", 'STRUCT(day TIMESTAMP WITH TIME ZONE)[]'),
        ("MAP(VARCHAR, DOUBLE)", "MAP(VARCHAR, DOUBLE)"),
        ("NUMBER", "BIGINT"),
        ("INTEGER[3]", "INTEGER[3]"),
    ],
)  # fmt: skip
def test_spellings_of_warehouses_are_types_of_duckdb(text: str, wanted: str) -> None:
    assert str(parsed_type(text, field="f")) == str(parsed_type(wanted, field="f"))
    assert str(parsed_type(duckdb_spelling(text), field="f")) == str(parsed_type(wanted, field="f"))


@pytest.mark.parametrize("text", ["STRUCT(a", "INTEGER; DROP TABLE x", "nothing", "OBJECT(a)", "'", ")", "(", "ARRAY("])
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="form: .* is neither a JSON schema nor a SQL type"):
        parsed_type(text, field="form")
