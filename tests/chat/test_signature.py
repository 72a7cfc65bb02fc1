import pyarrow as pa
import pytest

from gristmill.chat.form import response_form
from gristmill.chat.signature import ChatColumn, chat_column, chat_signature, settled
from gristmill.errors import MessagesError, SchemaError
from gristmill.models.signature import Feature

MESSAGE = pa.struct({"role": pa.string(), "content": pa.string()})


@pytest.mark.parametrize("name", ["messages", "MESSAGES", "Messages"])
def test_messages_are_found_in_any_case_and_before_a_prompt(name: str) -> None:
    schema = pa.schema({"prompt": pa.string(), "id": pa.int64(), name: pa.string()})
    assert chat_column(schema) == ChatColumn(name, is_messages=True)


def test_a_prompt_serves_where_there_are_no_messages() -> None:
    assert chat_column(pa.schema({"PROMPT": pa.large_string()})) == ChatColumn("PROMPT", is_messages=False)


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.json_(),
        pa.list_(MESSAGE),
        pa.large_list(MESSAGE),
        pa.list_view(MESSAGE),
        pa.list_(MESSAGE, 2),
        pa.list_(pa.map_(pa.string(), pa.string())),
    ],
)
def test_messages_may_be_text_or_structured(kind: pa.DataType) -> None:
    assert chat_column(pa.schema({"messages": kind})).is_messages


@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.int64(), pa.null(), MESSAGE, pa.list_(pa.string()), pa.map_(pa.string(), pa.string())],
)
def test_other_types_are_refused_with_the_way_out(kind: pa.DataType) -> None:
    with pytest.raises(SchemaError) as caught:
        chat_column(pa.schema({"MESSAGES": kind}), what="the function 'chat'")
    text = str(caught.value)
    assert "the function 'chat' takes JSON text or a list of structs in the column 'MESSAGES'" in text
    assert str(kind) in text
    assert "json.dumps(messages)" in text


def test_structs_of_another_form_are_refused() -> None:
    other = pa.list_(pa.struct({"from": pa.string(), "value": pa.string()}))
    with pytest.raises(SchemaError, match="have no role and no content, but: from, value"):
        chat_column(pa.schema({"messages": other}))


def test_two_columns_of_one_name_are_refused() -> None:
    for names in (("messages", "MESSAGES"), ("messages", "messages"), ("Prompt", "prompt")):
        with pytest.raises(SchemaError, match=f"{names[0]!r}, {names[1]!r}; rename all but one"):
            chat_column(pa.schema([(name, pa.string()) for name in names]))


def test_an_input_without_either_is_refused_with_what_it_has() -> None:
    with pytest.raises(SchemaError, match=r"needs a column 'messages' .* or a column 'prompt' .* has: id, text"):
        chat_column(pa.schema({"id": pa.int64(), "text": pa.string()}))


def test_a_prompt_must_be_text() -> None:
    with pytest.raises(SchemaError, match="takes text in the column 'prompt', which holds int64"):
        chat_column(pa.schema({"prompt": pa.int64()}))


def test_a_rows_messages_are_checked() -> None:
    column = ChatColumn("M", is_messages=True)
    assert column.messages({"M": '[{"role": "user", "content": "a"}]'}) == [{"role": "user", "content": "a"}]
    url = '[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/"}}]}]'
    with pytest.raises(MessagesError, match="must be a data URL by now"):
        column.messages({"M": url})
    for cell in (None, 5):
        with pytest.raises(MessagesError, match="prompt: "):
            ChatColumn("P", is_messages=False).messages({"P": cell})


def test_logprobs_decide_the_outputs_of_the_form_and_of_no_other() -> None:
    options = {"output_prefix": "x_", "response_column": "text"}
    signature = chat_signature(outputs=response_form({}, options).schema)
    assert settled(signature, {"logprobs": None}, options) == signature
    changed = settled(signature, {"logprobs": True}, options)
    assert changed.output_schema() == response_form({"logprobs": True}, options).schema
    assert changed.is_chat
    other = chat_signature(outputs=pa.schema({"answer": pa.string()}), inputs=[Feature("n", pa.int64())])
    assert settled(other, {"logprobs": True}, options) == other
    assert [feature.name for feature in other.inputs or ()] == ["messages", "n"]
