import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.chat.response import (
    Choice,
    ResponseForm,
    TokenLogprob,
    response_schema,
    text_of,
)  # fmt: skip
from gristmill.errors import SchemaError, SpecError


def row_of(form: ResponseForm, *texts: str | None) -> dict[str, object]:
    choices = [Choice(place, text, "stop") for place, text in enumerate(texts)]
    return form.row(id="c1", created=5, model="m", choices=choices, prompt_tokens=3, completion_tokens=2)


def test_the_columns_are_those_of_the_contract() -> None:
    schema = response_schema()
    assert schema.names == ["id", "object", "created", "model", "choices", "usage"]
    assert str(schema.field("choices").type.value_type) == (
        "struct<index: int64, message: struct<role: string, content: string>, finish_reason: string>"
    )


def test_a_row_comes_back_from_parquet_as_it_was(tmp_path) -> None:
    form = ResponseForm(logprobs=True, response_column="answer", prefix="chat_")
    tokens = [TokenLogprob("Hi", -0.5, [("Hi", -0.5), ("Ho", -1.5)])]
    row = form.row(
        id="c1", created=5, model="m", choices=[Choice(0, "Hi", "stop", tokens), Choice(1, "Ho", "length")],
        prompt_tokens=3, completion_tokens=2, cached_tokens=1,
    )  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row], form.schema), tmp_path / "x.parquet")
    (read,) = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert read["chat_choices"] == [
        {
            "index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop",
            "logprobs": {"content": [{"token": "Hi", "logprob": -0.5, "top_logprobs": [
                {"token": "Hi", "logprob": -0.5}, {"token": "Ho", "logprob": -1.5}]}]},
        },
        {"index": 1, "message": {"role": "assistant", "content": "Ho"}, "finish_reason": "length", "logprobs": None},
    ]  # fmt: skip
    assert read["chat_usage"] == {
        "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1},
    }  # fmt: skip
    assert read["answer"] == "Hi"
    assert read["chat_object"] == "chat.completion"


def test_cached_tokens_that_are_not_known_are_null() -> None:
    form = ResponseForm()
    table = pa.Table.from_pylist([row_of(form, "a")], form.schema)
    assert table.to_pylist()[0]["usage"]["prompt_tokens_details"] is None


@pytest.mark.parametrize("column", ["", 3, "ID", "usage"])
def test_a_response_column_that_cannot_be_is_refused(column: object) -> None:
    with pytest.raises(SpecError, match="response_column"):
        response_schema(response_column=column)  # type: ignore[arg-type]


def test_a_prefix_that_is_no_text_is_refused_and_one_makes_room() -> None:
    with pytest.raises(SpecError, match="output_prefix"):
        response_schema(prefix=3)  # type: ignore[arg-type]
    assert "id" in response_schema(response_column="id", prefix="c_").names


def test_tokens_that_nobody_counted_are_null() -> None:
    form = ResponseForm()
    row = form.row(id="c1", created=5, model="m", choices=[], prompt_tokens=None, completion_tokens=2)
    usage = pa.Table.from_pylist([row], form.schema).to_pylist()[0]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (None, 2, None)


def output(form: ResponseForm, *, before: str = "question", after: str = "_error") -> pa.Table:
    schema = pa.schema([(before, pa.string()), *form.schema, (after, pa.string())])
    rows = [
        {before: "a", **row_of(form, "A", "A2")},
        {before: "b", after: "failed"},
        {before: "c", **row_of(form, None)},
        {before: "d", **row_of(form)},
        {before: "e", **row_of(form, "E")},
    ]
    return pa.concat_tables([pa.Table.from_pylist(rows[:3], schema), pa.Table.from_pylist(rows[3:], schema)])


@pytest.mark.parametrize("prefix", ["", "chat_"])
def test_text_stands_where_the_response_stood_and_every_row_keeps_its_place(prefix: str) -> None:
    text = text_of(output(ResponseForm(prefix=prefix)))
    assert text.column_names == ["question", "response", "_error"]
    assert text.column("response").to_pylist() == ["A", None, None, None, "E"]
    assert text.column("_error").to_pylist() == [None, "failed", None, None, None]


def test_a_slice_of_an_output_gives_its_own_texts() -> None:
    assert text_of(output(ResponseForm()).slice(2)).column("response").to_pylist() == [None, None, "E"]
    assert text_of(output(ResponseForm()).slice(5)).column("response").to_pylist() == []


def test_a_response_column_that_the_job_wrote_is_there_once() -> None:
    text = text_of(output(ResponseForm(response_column="response")))
    assert text.column_names == ["question", "response", "_error"]
    assert text.column("response").to_pylist() == ["A", None, None, None, "E"]


def test_an_input_column_of_that_name_is_not_overwritten() -> None:
    with pytest.raises(SchemaError, match="input's own column 'response'"):
        text_of(output(ResponseForm(), before="response"))


def test_other_outputs_have_no_text() -> None:
    with pytest.raises(SchemaError, match="no column 'choices', so it is not a chat's.*text, embedding"):
        text_of(pa.table({"text": ["x"], "embedding": [[0.5]]}))
    with pytest.raises(SchemaError, match="not a chat's"):
        text_of(pa.table({"choices": ["x"]}))


def test_of_a_chat_over_a_chats_output_the_text_is_the_later_ones() -> None:
    first, second = ResponseForm(), ResponseForm(prefix="b_")
    earlier = first.row(id="1", created=0, model="m", choices=[Choice(0, "earlier", "stop")])
    later = second.row(id="2", created=0, model="m", choices=[Choice(0, "later", "stop")])
    schema = pa.schema([*first.schema, *second.schema])
    text = text_of(pa.Table.from_pylist([{**earlier, **later}], schema))
    assert text["response"].to_pylist() == ["later"]
    assert text["choices"].to_pylist()[0][0]["message"]["content"] == "earlier"
    assert "b_choices" not in text.column_names


def test_a_response_column_is_not_named_like_the_column_of_errors() -> None:
    with pytest.raises(SpecError, match="response_column"):
        response_schema(response_column="_error")
