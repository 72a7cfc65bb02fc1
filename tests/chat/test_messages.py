import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.chat.messages import ROLES, messages_text, parse_messages
from gristmill.errors import GristmillError, MessagesError

IMAGE = {"type": "image_url", "image_url": {"url": "@cats/tom.png", "detail": "low"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": null}'}}
CHAT = [
    {"role": "system", "content": [{"type": "text", "text": "You see cats."}]},
    {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Who?"}, IMAGE]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    {"role": "developer", "content": "be brief"},
    {"role": "user", "content": "Grüezi 🐈\n"},
]


def wrong(cell: Any) -> str:
    """Why a cell is no list of messages."""
    with pytest.raises(MessagesError) as caught:
        parse_messages(cell)
    assert isinstance(caught.value, GristmillError)
    assert isinstance(caught.value, ValueError)
    text = str(caught.value)
    assert len(text) < 600
    text.encode()
    return text


def user(content: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content, **more}]


def test_json_text_and_objects_are_the_same_messages() -> None:
    assert parse_messages(json.dumps(CHAT)) == CHAT
    assert parse_messages(json.dumps(CHAT, ensure_ascii=False)) == CHAT
    assert parse_messages(CHAT) == CHAT
    assert parse_messages(messages_text(parse_messages(CHAT))) == CHAT


@pytest.mark.parametrize("role", sorted(ROLES))
def test_every_role_may_speak(role: str) -> None:
    assert parse_messages([{"role": role, "content": "x"}]) == [{"role": role, "content": "x"}]


def test_every_part_of_the_contract_passes() -> None:
    parts = [
        {"type": "text", "text": ""},
        IMAGE,
        {"type": "video_url", "video_url": {"url": "https://x.org/v.mp4"}},
        {"type": "input_audio", "input_audio": {"data": "@s/a.wav", "format": "wav"}},
    ]
    assert parse_messages(user(parts)) == user(parts)
    short = [{"type": "image_url", "image_url": "@cats/tom.png"}]
    assert parse_messages(user(short))[0]["content"][0]["image_url"] == {"url": "@cats/tom.png"}


def test_what_is_given_is_not_changed() -> None:
    given_messages = user([{"type": "text", "text": "a", "image_url": None}], name=None, tool_calls=[])
    before = json.dumps(given_messages)
    parsed = parse_messages(given_messages)
    assert parsed == user([{"type": "text", "text": "a"}])
    parsed[0]["content"][0]["text"] = "changed"
    assert json.dumps(given_messages) == before


def test_nulls_of_structs_are_fields_that_are_not_there() -> None:
    part = pa.struct(
        {"type": pa.string(), "text": pa.string(), "image_url": pa.struct({"url": pa.string(), "detail": pa.string()})}
    )
    kind = pa.list_(pa.struct({"role": pa.string(), "content": pa.list_(part), "name": pa.string()}))
    empty = {"url": None, "detail": None}
    cell = pa.array(
        [
            user(
                [{"type": "text", "text": "a", "image_url": empty}, {"type": "image_url", "image_url": {"url": "@s/x"}}]
            )
        ],
        kind,
    )[0].as_py()
    assert parse_messages(cell) == user(
        [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "@s/x"}}]
    )


def test_maps_are_objects() -> None:
    cell = pa.array(
        [[[("role", "user"), ("content", "hi"), ("name", None)]]], pa.list_(pa.map_(pa.string(), pa.string()))
    )
    assert parse_messages(cell[0].as_py()) == user("hi")
    assert "a name twice" in wrong([[("role", "user"), ("role", "tool"), ("content", "hi")]])


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        (None, "messages: is null"),
        ("", "messages: the text is not JSON"),
        ("[", "messages: the text is not JSON"),
        ('"hi"', "messages: must be a list of messages (given: 'hi')"),
        ("{}", "messages: must be a list of messages (given: an object of 0)"),
        ("null", "messages: must be a list of messages (given: None)"),
        ("[]", "messages: the list is empty"),
        ("[1]", "messages[0]: must be an object"),
        ('[{"role": "user", "content": "a"}, []]', "messages[1]: must be an object"),
        ("[{}]", "messages[0].role: must be one of assistant, developer, system, tool, user (given: None)"),
        ([{"role": "User", "content": "a"}], "messages[0].role: must be one of"),
        ([{"role": ["user"], "content": "a"}], "messages[0].role: must be one of"),
        ([{"role": True, "content": "a"}], "messages[0].role: must be one of"),
        ([{"role": "user"}], "messages[0].content: must be text or a list of parts (given: None)"),
        (user(None), "messages[0].content: must be text"),
        (user(1), "messages[0].content: must be text"),
        (user(False), "messages[0].content: must be text"),
        (user({"type": "text"}), "messages[0].content: must be text"),
        (user([]), "messages[0].content: the list is empty"),
        (user(["a"]), "messages[0].content[0]: must be an object"),
        (user([{"text": "a"}]), "messages[0].content[0].type: must be one of text, image_url"),
        (user([{"type": "audio_url", "audio_url": {"url": "x"}}]), "messages[0].content[0].type: must be one of"),
        (user([{"type": {}, "text": "a"}]), "messages[0].content[0].type: must be one of"),
        (user([{"type": "text", "text": 1}]), "messages[0].content[0].text: must be text"),
        (user([{"type": "text"}]), "messages[0].content[0].text: must be text"),
        (user([{"type": "text", "text": "a", "uuid": "u"}]), "messages[0].content[0].'uuid': is no field of a part"),
        (user([{"type": "text", "text": "a", "image_url": "u"}]), "messages[0].content[0].'image_url': is no field"),
        (user([{"type": "image_url"}]), "messages[0].content[0].image_url: must be an object with 'url'"),
        (user([{"type": "image_url", "image_url": {}}]), "messages[0].content[0].image_url.url: must be a path"),
        (
            user([{"type": "image_url", "image_url": {"url": ""}}]),
            "messages[0].content[0].image_url.url: must be a path",
        ),
        (user([{"type": "image_url", "image_url": {"url": 5}}]), "messages[0].content[0].image_url.url: must be text"),
        (user([{"type": "image_url", "image_url": {"url": "a", "x": 1}}]), "image_url.'x': is not known"),
        (
            user([{"type": "input_audio", "input_audio": {"data": "a", "format": 1}}]),
            "input_audio.format: must be text",
        ),
        (user("a", name=1), "messages[0].name: must be text"),
        (user("a", tool_call_id={}), "messages[0].tool_call_id: must be text"),
        ([{"role": "assistant", "tool_calls": {}}], "messages[0].tool_calls: must be a list"),
        ([{"role": "assistant", "tool_calls": []}], "messages[0].content: must be text"),
        ([{"role": "assistant", "tool_calls": [1]}], "messages[0].tool_calls[0]: must be an object with 'function'"),
        ([{"role": "assistant", "tool_calls": [{"function": {"name": 1}}]}], "tool_calls[0].function.name: must be"),
        (user(None, tool_calls=[CALL]), "messages[0].content: must be text"),
        (user(math.nan), "messages[0].content: must be a finite number"),
        (user(b"bytes"), "messages[0].content: must be text, a number, a list or an object, not bytes"),
        ('[{"role": "user", "content": "a", "weight": NaN}]', "messages: NaN is not JSON"),
        ('[{"role": "user", "content": "a", "weight": 1e999}]', "messages: the number '1e999' is too large"),
        ('[{"role": "user", "content": "a", "content": "b"}]', "messages[0].content: stands twice"),
        ('[{"role": "user", "content": "a", "x": [{"y": 1, "y": 2}]}]', "messages[0].x[0].y: stands twice"),
        ('[{"role": "user", "x": {"y": 1, "y": 2}, "z": ' + "9" * 5000 + "}]", "messages[0].x.y: stands twice"),
        ('[{"role": "user", "x": {"y": 1, "y": 2}, ', "messages: a name: stands twice"),
        ('[{"role": "user", "content": "\\ud83d"}]', "messages[0].content: the text holds half a character"),
        ('[{"role": "user", "content": "a", "\\ud83d": 1}]', "the text holds half a character"),
        ('[{"role": "user", "content": "\ud83d"}]', "messages: the text holds half a character"),
        ("[" * 100_000, "messages: are nested too deeply"),
    ],
)
def test_what_is_no_message_is_named_with_its_place(cell: Any, match: str) -> None:
    assert match in wrong(cell)


def test_depth_and_length_have_no_effect_on_other_messages() -> None:
    deep: Any = "a"
    for _ in range(500):
        deep = [deep]
    assert parse_messages(json.dumps(user("x", extra=deep)))[0]["extra"] == deep
    huge = "ab" * 5_000_000
    assert parse_messages(json.dumps(user(huge))) == user(huge)
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deeply" in wrong(user("x", extra=deep))


def test_a_pair_of_escapes_is_one_character() -> None:
    assert parse_messages('[{"role": "user", "content": "\\ud83d\\ude00 \\\\ud83d"}]') == user("😀 \\ud83d")


def test_messages_for_an_engine_hold_no_references() -> None:
    inline = user([{"type": "image_url", "image_url": {"url": "DATA:image/png;base64,AAAA"}}])
    assert parse_messages(json.dumps(inline), resolved=True) == inline
    for url in ("http://169.254.169.254/", "file:///etc/passwd", "/etc/passwd", " data:image/png;base64,AAAA"):
        for kind in ("image_url", "video_url"):
            cell = json.dumps(user([{"type": kind, kind: {"url": url}}]))
            with pytest.raises(MessagesError, match="must be a data URL by now"):
                parse_messages(cell, resolved=True)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(sorted(ROLES)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "image_url", "url", "tool_calls"]), inner)
    ),
    max_leaves=12,
)
almost = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(sorted(ROLES)) | values},
        optional={
            "content": st.text(max_size=5)
            | values
            | st.lists(
                st.fixed_dictionaries(
                    {"type": st.sampled_from(["text", "image_url", "video_url", "input_audio"])},
                    optional={"text": st.text(max_size=3) | values, "image_url": values, "input_audio": values},
                ),
                max_size=2,
            ),
            "tool_calls": values,
            "name": values,
        },
    ),
    max_size=3,
)


def parsed(cell: Any) -> list[dict[str, Any]] | str:
    """The messages, or why there are none."""
    try:
        return parse_messages(cell)
    except MessagesError as error:
        return str(error)


@given(values | almost)
def test_any_json_parses_or_says_why_not(value: Any) -> None:
    for cell in (json.dumps(value), value):
        found = parsed(cell)
        if isinstance(found, str):
            assert found.startswith("messages")
        else:
            assert found
            assert all(message["role"] in ROLES for message in found)
            assert parse_messages(messages_text(found)) == found


@given(st.text())
def test_any_text_parses_or_says_why_not(text: str) -> None:
    found = parsed(text)
    assert not isinstance(found, str) or found.startswith("messages")
