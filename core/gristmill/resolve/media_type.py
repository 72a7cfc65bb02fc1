"""The media type of a file, from its content, then from its name."""

import mimetypes

__all__ = ["UNKNOWN", "media_type"]

UNKNOWN = "application/octet-stream"
"""The media type of a file that neither content nor name tell."""

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"\0\0\1\0", "image/x-icon"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"#!AMR", "audio/amr"),
    (b".snd", "audio/basic"),
    (b"caff\0\1", "audio/x-caf"),
    (b"FLV\1", "video/x-flv"),
    (b"\0\0\1\xba", "video/mpeg"),
    (b"\0\0\1\xb3", "video/mpeg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (b"PK\3\4", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"PAR1", "application/vnd.apache.parquet"),
)

_BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif",
    b"heic": "image/heic", b"heix": "image/heic", b"hevc": "image/heic", b"mif1": "image/heif", b"msf1": "image/heif",
    b"M4A ": "audio/mp4", b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"3gp4": "video/3gpp", b"3gp5": "video/3gpp", b"3gp6": "video/3gpp",
}  # fmt: skip

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}

_ZIPPED = frozenset({".docx", ".epub", ".jar", ".npz", ".odt", ".pptx", ".xlsx"})

# mimetypes differs from machine to machine; these do not.
_SUFFIXES = {
    ".aac": "audio/aac", ".avi": "video/x-msvideo", ".avif": "image/avif", ".bmp": "image/bmp", ".csv": "text/csv",
    ".flac": "audio/flac", ".gif": "image/gif", ".heic": "image/heic", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
    ".json": "application/json", ".m4a": "audio/mp4", ".md": "text/markdown", ".mkv": "video/x-matroska",
    ".mov": "video/quicktime", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".ogg": "audio/ogg", ".opus": "audio/ogg",
    ".pdf": "application/pdf", ".png": "image/png", ".svg": "image/svg+xml", ".tif": "image/tiff",
    ".tiff": "image/tiff", ".txt": "text/plain", ".wav": "audio/wav", ".webm": "video/webm", ".webp": "image/webp",
}  # fmt: skip


def media_type(content: bytes, name: str = "") -> str:
    r"""The media type of a file.

    Args:
        content: its content; the first few hundred bytes are enough.
        name: its name or location, for what content does not tell, such as text.

    Example:
        >>> media_type(b"\x89PNG\r\n\x1a\n...", "cat.jpg")
        'image/png'
    """
    found = _from_content(bytes(content[:512]))
    if found is None or (found == "application/zip" and _suffix(name) in _ZIPPED):
        return _from_name(name) or found or UNKNOWN
    return found


def _from_content(head: bytes) -> str | None:
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "video/mp2t"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[4:8] in (b"moov", b"wide", b"mdat"):  # QuickTime before it had brands
        return "video/quicktime"
    if head.startswith(b"OggS"):
        return "video/ogg" if b"theora" in head[:64] else "audio/ogg"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "audio/aac" if head[1] & 0x06 == 0 else "audio/mpeg"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!DOCTYPE svg", b"<!--")) and b"<svg" in text):
        return "image/svg+xml"
    return None


def _suffix(name: str) -> str:
    last = name.partition("?")[0].rpartition("/")[2] if "://" in name else name.rpartition("/")[2]
    stem, dot, suffix = last.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def _from_name(name: str) -> str | None:
    suffix = _suffix(name)
    return _SUFFIXES.get(suffix) or mimetypes.guess_type(f"x{suffix}", strict=True)[0]
