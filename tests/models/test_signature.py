import pyarrow as pa

from gristmill.models.signature import Feature, Signature


def test_the_output_schema_has_the_outputs_in_their_order() -> None:
    signature = Signature(outputs=(Feature("b", pa.int64()), Feature("a", pa.string())))
    assert signature.output_schema() == pa.schema([("b", pa.int64()), ("a", pa.string())])


def test_there_is_no_output_schema_while_a_name_or_type_is_open() -> None:
    assert Signature().output_schema() is None
    assert Signature(outputs=(Feature("a", pa.int64()), Feature("b", pa.null()))).output_schema() is None
