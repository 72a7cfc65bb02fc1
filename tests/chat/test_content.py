import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chat import samples

from gristmill.chat.content import PROBED, check_content, part_types
from gristmill.errors import MessagesError

SOUND_OR_FILM = {"input_audio", "video_url"}


@pytest.mark.parametrize("name", samples.SCRIPTS)
def test_texts_and_what_only_looks_like_media_are_none(name: str) -> None:
    assert part_types(samples.SCRIPTS[name]) == frozenset()


@pytest.mark.parametrize("size", [0, 1, 3, 8, 11, 15])
def test_a_header_that_is_cut_is_none(size: int) -> None:
    for content in (*samples.pictures().values(), samples.wav(), samples.mp3(), samples.mp3(tag=100)):
        assert part_types(content[:size]) == frozenset()


def test_pictures_are_pictures() -> None:
    for name, content in samples.pictures().items():
        assert "image_url" in part_types(content), name
        assert "input_audio" not in part_types(content), name


def test_animations_may_be_pictures_or_films() -> None:
    for kind in ("GIF", "PNG"):
        assert part_types(samples.animation(kind)) == {"image_url", "video_url"}


def test_what_ffmpeg_writes_is_sound_or_film() -> None:
    for name, content in samples.containers().items():
        assert part_types(content) == SOUND_OR_FILM, (name, content[:20])


@pytest.mark.parametrize("tag", [0, 100, 2_000_000])
def test_sound_is_found_behind_a_tag(tag: int) -> None:
    content = samples.mp3(tag=tag)
    assert part_types(content) == part_types(memoryview(content)) == SOUND_OR_FILM
    assert part_types(samples.mp3(tag=tag).replace(b"\xff\xfb", b"ab")) == frozenset()


@pytest.mark.parametrize(
    ("content", "types"),
    [
        (b"#!AMR\n\x3c" + bytes(31), SOUND_OR_FILM),
        (b"\0\0\0\x08wide\0\0\0\x20mdat" + bytes(30), SOUND_OR_FILM),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", {"image_url"}),
        (b"<!--mdat --><MPD/>" + bytes(30), set()),
        (b"\n<?mdat ?><MPD/>" + bytes(30), set()),
        (b"\0\0\0\x04ftypisom" + bytes(30), set()),
        (b"\x1a\x45\xdf\xa3\x88B\x82\x84none" + bytes(30), set()),
        (b"\x1a\x45\xdf\xa3\x00" + bytes(30), set()),
    ],
)
def test_forms_that_nothing_here_writes(content: bytes, types: set[str]) -> None:
    assert part_types(content) == types


@pytest.mark.parametrize("name", [name for name in samples.SCRIPTS if name.startswith("session b")])
def test_ffmpeg_takes_for_a_session_what_begins_as_sound_so_the_line_counts(name: str) -> None:
    import av

    allowed = {"format_whitelist": "mp3,mov"}
    harmless = samples.SCRIPTS[name].replace(b"c=IN IP", b"c=in ip")
    with pytest.raises(av.error.ArgumentError):  # its format is not allowed
        av.open(io.BytesIO(samples.SCRIPTS[name]), options=allowed)
    with pytest.raises(av.error.InvalidDataError):  # its format is allowed or unknown
        av.open(io.BytesIO(harmless), options=allowed)
    assert part_types(harmless) == SOUND_OR_FILM


def test_a_session_behind_what_ffmpeg_looks_at_is_only_data() -> None:
    assert part_types(samples.wav() + bytes(PROBED) + samples.SCRIPTS["session"]) == SOUND_OR_FILM


def test_an_error_names_the_place_the_beginning_and_the_way_out() -> None:
    with pytest.raises(MessagesError, match=r"^messages\[0\]: the content is not of a .*b'ffconcat version'.*as MP4"):
        check_content(frozenset(), "video_url", "messages[0]", samples.SCRIPTS["concat"])
    with pytest.raises(MessagesError, match="there is none"):
        check_content(frozenset(), "input_audio", "messages[0]", b"")
    check_content(frozenset({"image_url"}), "image_url", "messages[0]", b"")


@given(st.binary(max_size=700))
def test_any_content_is_told(content: bytes) -> None:
    assert part_types(content) <= {"image_url", "input_audio", "video_url"}
