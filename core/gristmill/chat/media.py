"""The files of chat messages: which they are, and putting their content in their place."""

import binascii
import re
from dataclasses import dataclass, field
from string import ascii_letters, digits
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from gristmill.chat.content import HEAD, PROBED, check_content, part_types
from gristmill.chat.messages import MEDIA_FIELDS
from gristmill.errors import MessagesError

__all__ = ["Media", "may_hold_media", "media_of"]

_LONGEST = 4_096
"""Characters of a reference; what is longer is content in the wrong place, and would flood error reports."""

_ESCAPED = re.compile(r"\\u00[2-7]")
"""A character of ASCII, written as an escape though nothing asks for it."""

_FORMAT = re.compile(r"[A-Za-z0-9.+/_-]{0,64}")
"""A format of audio, as messages may say it."""

_JPEG = b"\xff\xd8\xff"

_ALPHABET = f"{ascii_letters}{digits}+/".encode()

_FRAMES = "video/jpeg"
"""A film as frames with commas between them, as vLLM takes them."""

_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")
"""A media type that every engine and service reads."""

_FORMATS = {
    "audio/aac": "aac", "audio/aiff": "aiff", "audio/amr": "amr", "audio/basic": "au", "audio/flac": "flac",
    "audio/mp4": "m4a", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/wav": "wav", "audio/x-caf": "caf",
    "audio/x-wav": "wav", "video/mp4": "mp4", "video/webm": "webm",
}  # fmt: skip


@dataclass(slots=True)
class Media:
    """A file of a message that is still to be put in its place.

    Attributes:
        place: where it belongs, such as `messages[0].content[1].image_url.url`.
        reference: the stage path, absolute path or URL that names it; empty where the content is there already.
        content: the content, where there is no reference.
        encoded: the same as base64, where it came so; then `content` is None.
        kind: the type of the content part.
        media_type: as a data URL declares it; empty elsewhere.
    """

    place: str
    kind: str
    reference: str
    content: bytes | None = None
    media_type: str = ""
    encoded: str = ""
    _target: dict[str, Any] = field(default_factory=dict, repr=False)

    def put(self, encoded: str, *, media_type: str) -> None:
        """Replace the reference by content: a data URL, and for audio bare base64 and its format.

        Args:
            encoded: the content as base64.
            media_type: the content's, such as `image/png`.

        Raises:
            MessagesError: it is audio of an unknown format, and the message does not say which.
        """
        if self.kind != "input_audio":
            self._target["url"] = f"data:{media_type};base64,{encoded}"
            return
        if "format" not in self._target:
            if media_type not in _FORMATS:
                place = self.place.removesuffix("data") + "format"
                raise MessagesError(f"{place}: cannot be told from the content ({media_type}); give it, such as 'wav'")
            self._target["format"] = _FORMATS[media_type]
        self._target["data"] = encoded


def may_hold_media(text: str) -> bool:
    r"""Whether JSON text may hold content parts with files; a quick test that never misses one.

    Names may be written with escapes, such as `image\u005furl`; those of ASCII count as suspects.

    Example:
        >>> may_hold_media('[{"role": "user", "content": "Hi"}]')
        False
    """
    return "_url" in text or "input_audio" in text or ("\\u00" in text and _ESCAPED.search(text) is not None)


def media_of(messages: list[dict[str, Any]]) -> list[Media]:
    """The files of checked messages that are to be put in their places, in order.

    Content that stands in the messages already is looked at here: it must be what its part says, in a known format
    (see `gristmill.chat.content`). That of files is for whoever reads them. `Media.put` changes these messages.

    Raises:
        MessagesError: what should name a file cannot, or content is none that an engine may have.

    Example:
        >>> part = {"type": "image_url", "image_url": {"url": "@cats/tom.png"}}
        >>> messages = [{"role": "user", "content": [part]}]
        >>> (image,) = media_of(messages)
        >>> image.reference
        '@cats/tom.png'
        >>> image.put("AAAA", media_type="image/png")
        >>> messages[0]["content"][0]["image_url"]["url"]
        'data:image/png;base64,AAAA'
    """
    found = []
    for number, message in enumerate(messages):
        content = message["content"]
        if content.__class__ is not list:
            continue
        for at, part in enumerate(content):
            kind = part["type"]
            if kind == "text":
                continue
            name = MEDIA_FIELDS[kind][0]
            target = part[kind]
            place = f"messages[{number}].content[{at}].{kind}.{name}"
            text = target[name]
            if kind == "input_audio":
                _check_format(target.get("format"), place)
                audio = _audio_content(text, place)
                if audio is not None:
                    if not audio:
                        raise MessagesError(f"{place}: holds no audio")
                    check_content(part_types(audio), kind, place, audio)
                    is_url = text[:5].lower() == "data:"
                    if is_url or "format" not in target:
                        declared = text[5:100].partition(",")[0].partition(";")[0].lower() if is_url else ""
                        found.append(Media(place, kind, "", audio, declared, _target=target))
                    continue
            elif text[:5].lower() == "data:":
                content, encoded, declared = _checked_url(text, kind, place)
                if content is not None or encoded:
                    found.append(Media(place, kind, "", content, declared, encoded, target))
                continue
            if len(text) > _LONGEST:
                way = "write content as a data URL" if name == "url" else "content must be valid base64"
                raise MessagesError(f"{place}: is too long for a path or URL ({len(text):,} characters); {way}")
            found.append(Media(place, kind, text, _target=target))
    return found


def _check_format(name: str | None, place: str) -> None:
    """Refuse a format that is none: engines make a data URL with it, of which it must not become more than a part."""
    if name is not None and _FORMAT.fullmatch(name) is None:
        raise MessagesError(f"{place.removesuffix('data')}format: must be a name such as 'wav' (given: {name[:80]!r})")


def _checked_url(text: str, kind: str, place: str) -> tuple[bytes | None, str, str]:
    """The content of a data URL of an image or video where it is to be written anew, so that all engines read it.

    Returns:
        The content, or it as base64, and the media type; nothing of both where the URL is plain already.
    """
    declared, comma, encoded = text[5:].partition(",")
    if not comma or not declared.lower().endswith(";base64"):
        content = _data_url_content(text, place)
        check_content(part_types(content), kind, place, content)
        return content, "", ""
    declared = declared.lower().partition(";")[0].strip()
    if kind == "video_url" and declared == _FRAMES:
        frames = [_clean(frame, place) for frame in unquote(encoded).split(",")]
        heads = [_head(frame, HEAD) for frame in frames]
        head = next((head for head in heads if not head.startswith(_JPEG)), _JPEG)
        check_content(frozenset({kind} if head is _JPEG else ()), kind, place, head)
        clean = ",".join(frames)
    else:
        clean = _clean(encoded, place)
        head = _head(clean, HEAD if kind == "image_url" else PROBED + HEAD)
        check_content(part_types(head), kind, place, head)
        if _TYPE.fullmatch(declared) is None:
            return binascii.a2b_base64(clean), "", ""
    is_plain = clean == encoded and text.startswith(f"data:{declared};base64,")
    return (None, "", "") if is_plain else (None, clean, declared)


def _clean(text: str, place: str) -> str:
    """Base64 without what may stand in a data URL besides: blanks, and escapes; padding may be left out.

    Raises:
        MessagesError: it is no base64.
    """
    if _is_base64(text):
        return text
    clean = "".join(unquote(text).split())
    clean += "" if clean.endswith("=") else "=" * (-len(clean) % 4)
    if not _is_base64(clean):
        raise MessagesError(
            f"{place}: the data URL's content is not base64, of letters, digits, + and /, four for each three bytes"
        )
    return clean


def _is_base64(text: str) -> bool:
    """Whether text is base64 and nothing else; some ten times as fast as decoding it strictly."""
    if len(text) % 4 or not text.isascii():
        return False
    padding = text.encode().translate(None, _ALPHABET).decode()
    return padding in ("", "=", "==") and text.endswith(padding)


def _head(encoded: str, size: int) -> bytes:
    """The first bytes of checked base64."""
    return binascii.a2b_base64(encoded[: -(-size // 3) * 4])


def _audio_content(text: str, place: str) -> bytes | None:
    """The content that audio data holds; None where it names a file."""
    if text[:5].lower() == "data:":
        return _data_url_content(text, place)
    # A path begins with one slash. Base64 does so too, but then its content begins with 0xFF or nearly, as MP3 does
    # with 0xFFFB or the like, which makes the second character a slash or a plus.
    is_path = text.startswith("@") or "://" in text or (text.startswith("/") and text[1:2] not in ("/", "+"))
    if is_path or text[:5].lower() == "file:":
        return None
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except (binascii.Error, ValueError):
        if len(text) > _LONGEST or not text.startswith("/"):
            shown = repr(text[:80])
            raise MessagesError(
                f"{place}: is neither base64 nor a stage path, absolute path or URL (given: {shown})"
            ) from None
        return None


def _data_url_content(text: str, place: str) -> bytes:
    head, comma, rest = text.partition(",")
    if not comma:
        raise MessagesError(f"{place}: is no data URL, which has a comma before its content")
    return binascii.a2b_base64(_clean(rest, place)) if head.lower().endswith(";base64") else unquote_to_bytes(rest)
