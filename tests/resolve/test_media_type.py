import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gristmill.resolve.media_type import UNKNOWN, media_type


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("ICO", "image/x-icon"),
        ("PDF", "application/pdf"),
    ],
)
def test_images_are_told_by_content_whatever_their_name(kind: str, expected: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, kind)
    assert media_type(file.getvalue(), "/data/wrong.mp3") == expected
    assert media_type(file.getvalue()) == expected


def test_sound_is_told_by_content() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0\0" * 10)
    assert media_type(file.getvalue(), "x.png") == "audio/wav"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\0\0\0\x18ftypmp42....", "video/mp4"),
        (b"\0\0\0\x18ftypisom....", "video/mp4"),
        (b"\0\0\0\x14ftypqt  ....", "video/quicktime"),
        (b"\0\0\0\x08wide\0\0..mdat", "video/quicktime"),
        (b"\0\0\0\x18ftypM4A ....", "audio/mp4"),
        (b"\0\0\0\x18ftypheic....", "image/heic"),
        (b"\0\0\0\x18ftypavif....", "image/avif"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska", "video/x-matroska"),
        (b"RIFF\x10\0\0\0AVI LIST", "video/x-msvideo"),
        (b"ID3\x04\0\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"fLaC\0\0", "audio/flac"),
        (b"OggS\0\x02" + b"\0" * 22 + b"\x01vorbis", "audio/ogg"),
        (b"OggS\0\x02" + b"\0" * 22 + b"\x80theora", "video/ogg"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", "image/svg+xml"),
        (b"%PDF-1.7", "application/pdf"),
    ],
)
def test_films_sound_and_drawings_are_told_by_content(content: bytes, expected: str) -> None:
    assert media_type(content) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notes.TXT", "text/plain"),
        ("s3://bucket/a.b/clip.MOV", "video/quicktime"),
        ("https://host/song.m4a?size=3.png", "audio/mp4"),
        ("/data/v1.5/noname", UNKNOWN),
        ("/data/.png", UNKNOWN),
        ("x.unheard-of", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_the_name_tells_what_content_does_not(name: str, expected: str) -> None:
    assert media_type(b"plain words", name) == expected


def test_a_document_that_is_a_zip_file_is_told_by_its_name() -> None:
    assert media_type(b"PK\3\4", "a.docx").endswith("wordprocessingml.document")
    assert media_type(b"PK\3\4", "a.bin") == "application/zip"


@given(st.binary(max_size=64), st.text(max_size=20))
def test_every_file_has_a_media_type(content: bytes, name: str) -> None:
    kind, _, rest = media_type(content, name).partition("/")
    assert kind
    assert rest
