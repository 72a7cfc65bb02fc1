import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.chat.media import may_hold_media, media_of
from gristmill.chat.messages import parse_messages
from gristmill.errors import MessagesError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(50))
JPEG = b"\xff\xd8\xff\xe0" + bytes(29)
MP4 = b"\0\0\0\x18ftypisom" + bytes(40)
WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(30)
MP3 = b"\xff\xfb\x90\x64" + bytes(200)


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return parse_messages([{"role": "user", "content": list(parts)}])


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def video(url: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}}


def audio(data: str, **more: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, **more}}


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_references_are_found_in_order_with_their_places() -> None:
    messages = [
        *user({"type": "text", "text": "see /not/a/reference.png"}, image("@s/a.png"), image("https://x.org/b?c=d")),
        {"role": "assistant", "content": "@s/not.png"},
        *user(video("/v.mp4"), audio("s3://b/a.wav")),
    ]
    assert [(one.place, one.reference) for one in media_of(messages)] == [
        ("messages[0].content[1].image_url.url", "@s/a.png"),
        ("messages[0].content[2].image_url.url", "https://x.org/b?c=d"),
        ("messages[2].content[0].video_url.url", "/v.mp4"),
        ("messages[2].content[1].input_audio.data", "s3://b/a.wav"),
    ]


def test_content_takes_the_place_of_references_and_the_rest_stays() -> None:
    messages = user(image("@s/a.png"), audio("@s/a.wav"), audio("@s/b.wav", format="flac"))
    for one in media_of(messages):
        one.put("AAAA", media_type="image/png" if one.kind == "image_url" else "audio/wav")
    assert messages == user(
        image("data:image/png;base64,AAAA"), audio("AAAA", format="wav"), audio("AAAA", format="flac")
    )


def test_data_urls_of_images_and_ready_audio_stay() -> None:
    messages = user(
        image(f"data:image/png;base64,{b64(PNG)}"),
        video(f"data:video/jpeg;base64,{b64(JPEG)},{b64(JPEG)}"),
        video(f"data:video/mp4;base64,{b64(MP4)}"),
        audio(b64(WAV), format="wav"),
        audio(b64(MP3), format="mp3"),
    )
    assert b64(MP3).startswith("//")
    assert media_of(messages) == []


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b64(WAV), WAV),
        (b64(MP3), MP3),
        ("\n".join([b64(WAV)[:40], b64(WAV)[40:]]), WAV),
        (f"data:audio/wav;base64,{b64(WAV)}", WAV),
        (f"data:Audio/Wav;charset=x;BASE64,{b64(MP3)}", MP3),
        (f"data:audio/wav,{quote(WAV)}", WAV),
    ],
)
def test_audio_that_lacks_its_format_or_is_a_data_url_is_completed(data: str, content: bytes) -> None:
    messages = user(audio(data))
    (one,) = media_of(messages)
    assert (one.reference, one.content) == ("", content)
    one.put(b64(content), media_type="audio/wav")
    assert messages == user(audio(b64(content), format="wav"))


@pytest.mark.parametrize(
    "path",
    ["@s/a", "/data/audio/abcd", "/a/b/c/d1234567", "//host/a.wav", "file:/a.wav", "gs://b/abcd", "memory:///abc"],
)
def test_paths_that_look_like_base64_are_paths(path: str) -> None:
    assert [one.reference for one in media_of(user(audio(path, format="wav")))] == [path]


def problem(*parts: dict[str, Any]) -> str:
    with pytest.raises(MessagesError) as caught:
        media_of(user(*parts))
    return str(caught.value)


def test_what_can_be_no_reference_is_named_and_not_repeated() -> None:
    assert "content[0].input_audio.data: is neither base64 nor" in problem(audio("audio.wav"))
    assert "content[0].input_audio.data: is neither base64 nor" in problem(audio("AAA"))
    assert "content[0].input_audio.data: holds no audio" in problem(audio("data:audio/wav;base64,"))
    assert "no data URL" in problem(audio("data:audio/wav;base64"))
    assert "is not base64" in problem(audio("data:audio/wav;base64,???"))
    long = problem(image("A" * 10_000))
    assert "content[0].image_url.url: is too long for a path or URL (10,000 characters)" in long
    assert len(problem(audio("/" + "A" * 10_000))) < 300
    assert len(problem(audio("//" + "A" * 10_001))) < 300


def test_audio_of_an_unknown_kind_must_say_its_format() -> None:
    (one,) = media_of(user(audio("@s/a.bin")))
    with pytest.raises(MessagesError, match=r"input_audio\.format: cannot be told .* give it"):
        one.put("AAAA", media_type="application/octet-stream")


def test_the_quick_test_misses_nothing_and_lets_text_pass() -> None:
    for kind, field in (("image_url", "url"), ("video_url", "url"), ("input_audio", "data")):
        text = json.dumps([{"role": "user", "content": [{"type": kind, kind: {field: "@s/a"}}]}])
        assert may_hold_media(text)
        for at, letter in enumerate(kind):
            escaped = text.replace(kind, f"{kind[:at]}\\u{ord(letter):04x}{kind[at + 1 :]}")
            assert parse_messages(escaped) == parse_messages(text)
            assert may_hold_media(escaped)
        everything = text.replace(kind, "".join(f"\\u{ord(letter):04X}" for letter in kind))
        assert parse_messages(everything) == parse_messages(text)
        assert may_hold_media(everything)
    assert not may_hold_media(json.dumps([{"role": "user", "content": 'naïve 😀 "quoted" \n\t\b image url /a/b.png'}]))


def test_an_image_in_a_data_url_without_base64_is_put_into_base64() -> None:
    messages = user(image(f"data:image/png,{quote(PNG)}"))
    (one,) = media_of(messages)
    assert (one.reference, one.content) == ("", PNG)
    one.put(b64(PNG), media_type="image/png")
    assert messages == user(image(f"data:image/png;base64,{b64(PNG)}"))


ENCODED = b64(PNG)
PLAIN = f"data:image/png;base64,{ENCODED}"
LINES = "\r\n".join(ENCODED[at : at + 20] for at in range(0, len(ENCODED), 20))


@pytest.mark.parametrize(
    "url",
    [
        f"DATA:image/png;BASE64,{ENCODED}",
        f"data:Image/PNG;base64,{ENCODED}",
        f"data:image/png;charset=utf-8;base64,{ENCODED}",
        f"data:image/png;base64,{LINES}",
        f"data:image/png;base64,{LINES}\n",
        f"data:image/png;base64, {ENCODED[:7]} {ENCODED[7:]}",
        f"data:image/png;base64,{ENCODED.replace('=', '%3D')}",
        f"data:image/png;base64,{quote(ENCODED, safe='')}",
        f"data:image/png;base64,{ENCODED.rstrip('=')}",
        f"data:;base64,{ENCODED}",
        f"data:a picture;base64,{ENCODED}",
        f"Data:;Base64,{LINES}",
    ],
)
def test_data_urls_are_written_as_every_engine_reads_them(url: str) -> None:
    assert ENCODED.endswith("=")
    messages = user({"type": "text", "text": "see"}, image(url))
    for one in media_of(messages):
        encoded = one.encoded or b64(one.content or b"")
        one.put(encoded, media_type=one.media_type or "image/png")
    assert messages == user({"type": "text", "text": "see"}, image(PLAIN))


def test_films_and_their_frames_are_too() -> None:
    film, frame = b64(MP4), b64(JPEG)
    messages = user(
        video(f"DATA:Video/MP4;base64,{film[:8]}\n{film[8:]}"),
        video(f"data:VIDEO/jpeg;base64,{frame} ,{frame.rstrip('=')},\n{frame}"),
    )
    for one in media_of(messages):
        one.put(one.encoded, media_type=one.media_type)
    assert messages == user(
        video(f"data:video/mp4;base64,{film}"),
        video(f"data:video/jpeg;base64,{frame},{frame},{frame}"),
    )


@pytest.mark.parametrize(
    "broken",
    [
        "?", "A", ENCODED[:-3], f"{ENCODED}AAAA", f"{ENCODED[:40]}-_{ENCODED[42:]}", f"{ENCODED[:40]}Ä{ENCODED[41:]}",
        f"{ENCODED[:40]}={ENCODED[41:]}", f"{ENCODED}%41", f"{ENCODED}%FF", f"{ENCODED[:60]}%",
    ],
)  # fmt: skip
def test_base64_that_is_broken_anywhere_is_told_with_its_place(broken: str) -> None:
    text = {"type": "text", "text": "see"}
    for part, field in ((image, "image_url"), (video, "video_url")):
        said = problem(text, part(f"data:image/png;base64,{broken}"))
        assert said.startswith(f"messages[0].content[1].{field}.url: the data URL's content is not base64"), said


@given(st.binary(max_size=2_000), st.integers(1, 80), st.booleans(), st.booleans())
def test_base64_is_read_however_it_is_wrapped(content: bytes, width: int, escaped: bool, padded: bool) -> None:
    content = PNG + content
    text = b64(content)
    text = text if padded else text.rstrip("=")
    text = quote(text, safe="") if escaped else "\n".join(text[at : at + width] for at in range(0, len(text), width))
    messages = user(image(f"data:image/png;base64,{text}"))
    for one in media_of(messages):
        one.put(one.encoded, media_type=one.media_type)
    assert messages == user(image(f"data:image/png;base64,{b64(content)}"))


def test_a_format_is_a_name_and_cannot_become_a_data_url() -> None:
    for wrong in ("wav;base64,AAAA", "wav,", "a b", "é", "w" * 65):
        assert "content[0].input_audio.format: must be a name" in problem(audio(b64(WAV), format=wrong))
    assert media_of(user(audio(b64(WAV), format="audio/x-wav"))) == []
