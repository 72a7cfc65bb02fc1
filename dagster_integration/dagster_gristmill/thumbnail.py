"""Images as small pictures that stand in text."""

import base64
import io

from gristmill.resolve.media_type import media_type

__all__ = ["image_type", "thumbnail"]

_SHOWN = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})  # an SVG may hold anything
_SIDE = 96
_MOST_PIXELS = 64_000_000


def image_type(content: bytes) -> str | None:
    r"""The media type of an image that is shown, by its content alone; None for anything else.

    Example:
        >>> image_type(b"\x89PNG\r\n\x1a\n..."), image_type(b"<svg/>")
        ('image/png', None)
    """
    kind = media_type(bytes(content[:512]))
    return kind if kind in _SHOWN else None


def thumbnail(content: bytes, kind: str, *, most: int) -> str | None:
    """The image as a data URI, at most 96 pixels wide and high where Pillow is installed; None where that cannot be.

    Without Pillow an image that is small enough is shown as it is.

    Args:
        content: the file.
        kind: its media type.
        most: characters of the result.
    """
    try:
        import PIL.Image  # noqa: F401 - not everyone has it
    except ImportError:
        return _data_uri(content, kind, most)
    try:
        small, kind = _scaled(content, kind)
    except Exception:  # noqa: BLE001 - the decoders raise anything when a file is damaged, which is no fault of ours
        return None
    return _data_uri(small, kind, most)


def _scaled(content: bytes, kind: str) -> tuple[bytes, str]:
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=[kind.removeprefix("image/").upper()]) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are too many to decode")
        if max(image.size) <= _SIDE:
            image.verify()
            return content, kind
        image.draft("RGB", (_SIDE, _SIDE))
        has_alpha = "A" in image.getbands() or "transparency" in image.info
        small = image.convert("RGBA" if has_alpha else "RGB")
        small.thumbnail((_SIDE, _SIDE))
        sink = io.BytesIO()
        small.save(sink, format="PNG" if has_alpha else "JPEG", quality=80)
    return sink.getvalue(), "image/png" if has_alpha else "image/jpeg"


def _data_uri(content: bytes, kind: str, most: int) -> str | None:
    head = f"data:{kind};base64,"
    if len(head) + 4 * ((len(content) + 2) // 3) > most:
        return None
    return head + base64.b64encode(content).decode()
