r"""What the content of a message's file is, by its first bytes: a picture, or sound and films in a real container.

Engines decode sound and films with FFmpeg, which also knows formats that are *text and name other files or addresses*:
concat scripts, HLS and DASH playlists, session descriptions (SDP). It opens what they name, so a row could read the
worker's files. Hence nothing passes but what begins as one of the containers below do. Those hold their media; of the
few that may refer to another file, FFmpeg leaves QuickTime's data references (`dref`) alone unless `enable_drefs` is
set, which nobody here does, and never follows Matroska's linked segments.

FFmpeg weighs all formats against each other, and session descriptions are found by a line in the middle, so content can
be a container at the start and still be taken for one of these. That line is therefore looked for as far as FFmpeg
looks. The other text formats are nothing unless they stand at the very start, where none of these containers is text.
"""

from collections.abc import Callable
from typing import Any, Final

from gristmill.errors import MessagesError

__all__ = ["HEAD", "PROBED", "check_content", "part_types"]

HEAD: Final = 512
"""Bytes that tell what content is, but for session descriptions and what stands behind a tag."""

_LEAST = 16
"""No header is shorter."""

PROBED: Final = 1 << 20
"""Bytes at the start that FFmpeg tells a format by."""

_SESSION = b"c=IN IP"
"""What a line of a session description begins with, by which FFmpeg recognises it."""

_PICTURE = frozenset({"image_url"})
_SOUND_OR_FILM = frozenset({"input_audio", "video_url"})
_MOVING_PICTURE = frozenset({"image_url", "video_url"})
_NOTHING: frozenset[str] = frozenset()

_PICTURES = (
    b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0", b"\xff\x0a",
    b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51",
)  # fmt: skip
"""JPEG, BMP, TIFF, ICO, JPEG XL and JPEG 2000. Neither SVG nor EPS or WMF, which are programs for a drawing."""

_PICTURE_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})

_CONTAINERS = (
    b"OggS\0", b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22", b"FLV\1", b".snd\0\0", b"caff\0\1\0\0",
    b"#!AMR\n", b"#!AMR-WB\n", b"\0\0\1\xba", b"\0\0\1\xb3",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c",
)  # fmt: skip
"""Ogg, FLAC, Flash, AU, CAF, AMR, MPEG's program stream and bare video, and Windows Media."""

_WAYS_OUT = {
    "image_url": "an image such as PNG, JPEG, WebP, GIF, TIFF, AVIF or HEIC",
    "input_audio": "sound such as WAV, MP3, FLAC, Ogg, AAC or M4A",
    "video_url": "a film such as MP4, WebM, Matroska, AVI, MPEG or GIF",
}


def part_types(content: Any) -> frozenset[str]:
    r"""The types of content parts that content may stand in; none where it is not known, or no media.

    Args:
        content: bytes or another buffer; of pictures the first `HEAD` bytes are enough, of others `PROBED`.

    Example:
        >>> sorted(part_types(b"fLaC\0\0\0\x22" + bytes(34))), sorted(part_types(b"ffconcat version 1.0\nfile a.wav"))
        (['input_audio', 'video_url'], [])
    """
    view = memoryview(content)
    types = _begins_as(bytes(view[:HEAD]), view) if len(view) >= _LEAST else _NOTHING
    if "video_url" in types and _SESSION in bytes(view[: PROBED + len(_SESSION)]):
        return types & _PICTURE
    return types


def check_content(types: frozenset[str], kind: str, place: str, content: Any) -> None:
    """Refuse content that must not stand in a part of a type.

    Args:
        types: what `part_types` says of the content.
        kind: the part's type.
        place: where it stands, for errors.
        content: its beginning at least, for errors.

    Raises:
        MessagesError: it must not.
    """
    if kind not in types:
        head = bytes(memoryview(content)[:16])
        shown = f"it begins with {head!r}" if head else "there is none"
        raise MessagesError(f"{place}: the content is not of a known format ({shown}); give {_WAYS_OUT[kind]}")


def _begins_as(head: bytes, content: memoryview) -> frozenset[str]:
    if head.startswith(_PICTURES):
        return _PICTURE
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")):
        return _MOVING_PICTURE
    if head[:4] in (b"RIFF", b"RF64"):
        return _PICTURE if head[8:12] == b"WEBP" else _SOUND_OR_FILM if head[8:12] in (b"WAVE", b"AVI ") else _NOTHING
    if head[:4] == b"FORM":
        return _SOUND_OR_FILM if head[8:12] in (b"AIFF", b"AIFC") else _NOTHING
    if head[:3] == b"ID3":
        return _behind_tag(content)
    known: tuple[Callable[[bytes], bool], ...] = (_is_mpeg_audio, _is_adts, _is_matroska, _is_transport_stream)
    if head.startswith(_CONTAINERS) or any(test(head) for test in known):
        return _SOUND_OR_FILM
    return _iso_media(head)


def _behind_tag(content: memoryview) -> frozenset[str]:
    """What follows one ID3v2 tag, which FFmpeg skips as well; a tag alone is nothing."""
    if content[3] not in (2, 3, 4) or content[4] or max(content[6:10]) > 0x7F:
        return _NOTHING
    size = 10 + (content[6] << 21 | content[7] << 14 | content[8] << 7 | content[9]) + (10 if content[5] & 0x10 else 0)
    head = bytes(content[size : size + HEAD]).lstrip(b"\0")  # some writers fill up with zeros
    return _SOUND_OR_FILM if _is_mpeg_audio(head) or _is_adts(head) or head.startswith(b"fLaC\0\0\0\x22") else _NOTHING


def _is_mpeg_audio(head: bytes) -> bool:
    """Whether it begins with the header of a frame of MPEG audio, in layers I to III."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer, rate, frequency = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and rate not in (0, 15) and frequency != 3


def _is_adts(head: bytes) -> bool:
    """Whether it begins with the header of a frame of AAC."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return False
    return head[2] >> 2 & 15 < 13 and (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 >= 7


def _is_matroska(head: bytes) -> bool:
    """Whether it begins with an EBML header that says Matroska or WebM."""
    if head[:4] != b"\x1a\x45\xdf\xa3" or len(head) < 12:
        return False
    width = 9 - head[4].bit_length()
    if width > 8:
        return False
    size = int.from_bytes(head[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
    header = head[4 + width : 4 + width + size]
    return len(header) == size and (b"\x42\x82\x84webm" in header or b"\x42\x82\x88matroska" in header)


def _is_transport_stream(head: bytes) -> bool:
    """Whether it begins with three packets of an MPEG transport stream."""
    return len(head) > 376 and head[0] == head[188] == head[376] == 0x47


def _iso_media(head: bytes) -> frozenset[str]:
    """MP4, QuickTime and their kin, or the pictures in this form.

    The size of the first box begins with a zero, so that no text can.
    """
    if head[0]:
        return _NOTHING
    if head[4:8] == b"ftyp" and int.from_bytes(head[:4], "big") >= 16:
        brand = head[8:12]
        if brand in _PICTURE_BRANDS:
            return _PICTURE
        return _NOTHING if brand in (b"jp2 ", b"jpx ", b"jxl ") else _SOUND_OR_FILM
    return _SOUND_OR_FILM if head[4:8] in (b"free", b"mdat", b"moov", b"skip", b"wide") else _NOTHING
