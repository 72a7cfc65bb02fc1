"""Content of many kinds: real files of media, and texts that name other files."""

import io
import wave
from typing import Any

__all__ = ["SCRIPTS", "animation", "containers", "mp3", "pictures", "wav"]

SDP = (
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)

SCRIPTS = {
    "concat": b"ffconcat version 1.0\nfile /etc/hostname\n",
    "session": SDP,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/hostname\n#EXT-X-ENDLIST\n",
    "manifest": b'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011"></MPD>',
    "XML": b'<?xml version="1.0"?>\n<CompositionPlaylist/>',
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>',
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/hostname) run\n",
    "text": b"What was written in the file.\n" * 30,
    "subtitles": b"# VobSub index file, v7 (do not modify this line!)\n",
    "short": b"RIFF",
    "cut": b"\0\0\0\x18ftyp",
    "RIFF of another kind": b"RIFF\x24\0\0\0sfbkLIST" + bytes(30),
    "zeros": bytes(600),
    "playlist behind a tag": b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + b"ffconcat version 1.0\nfile /etc/hostname\n",
    "tag alone": b"ID3\4\0\0\0\0\0\x7f" + bytes(127),
    "tag without a size": b"ID3\4\0\0\xff\xff\xff\xff" + bytes(127),
    "reserved rate": b"\xff\xfb\xfc\x64" + bytes(200),
    "session behind a frame": b"\xff\xfb\x90\x64\n" + SDP,
    "session in a tag": b"ID3\3\0\0\0\0\3\x00\n" + SDP + bytes(384 - 1 - len(SDP)) + b"\xff\xfb\x90\x64" + bytes(200),
    "session in a film": b"\0\0\0\x18ftypisom\0\0\2\0isommp41\0\0\0\x40free\n" + SDP,
    "session behind 900 kB": b"\xff\xfb\x90\x64" + b"U" * 900_000 + b"\n" + SDP,
}


def wav(*, seconds: float = 0.1) -> bytes:
    """Silence."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(2 * int(8_000 * seconds)))
    return buffer.getvalue()


def mp3(*, tag: int | None = None) -> bytes:
    """Frames of MP3, behind an ID3v2 tag of so many bytes."""
    sound = _packed("mp3", "mp3", sound=True)
    sound = sound[sound.index(b"\xff\xfb") :]
    if tag is None:
        return sound
    size = bytes((tag >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + size + bytes(tag) + sound


def pictures() -> dict[str, bytes]:
    """Pictures as PIL writes them, by its name of the format."""
    from PIL import Image

    made = {}
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF", "JPEG2000"):
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32), (200, 30, 30)).save(buffer, kind)
        made[kind] = buffer.getvalue()
    return made


def animation(kind: str) -> bytes:
    """Four frames as PIL writes them."""
    from PIL import Image

    frames = [Image.new("RGB", (32, 32), (60 * number, 0, 0)) for number in range(4)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def containers() -> dict[str, bytes]:
    """Films and sound as FFmpeg writes them, by its name of the format."""
    films = {
        "mp4": "mpeg4", "mov": "mpeg4", "webm": "libvpx", "matroska": "mpeg4", "avi": "mpeg4", "mpegts": "mpeg2video",
        "flv": "flv", "asf": "wmv2", "vob": "mpeg2video", "mpeg2video": "mpeg2video",
    }  # fmt: skip
    sounds = {
        "wav": "pcm_s16le", "flac": "flac", "adts": "aac", "ipod": "aac", "ogg": "flac", "aiff": "pcm_s16be",
        "au": "pcm_s16be", "caf": "pcm_s16le", "mp3": "mp3",
    }  # fmt: skip
    made = {name: _packed(name, codec, sound=False) for name, codec in films.items()}
    return made | {name: _packed(name, codec, sound=True) for name, codec in sounds.items()}


def _packed(name: str, codec: str, *, sound: bool) -> bytes:
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format=name) as container:
        if sound:
            stream: Any = container.add_stream(codec, rate=44_100)
            frames: list[Any] = []
            for number in range(8):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 4_608), np.int16), format="s16", layout="mono")
                frame.rate, frame.pts = 44_100, number * 4_608
                frames.append(frame)
        else:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            frames = [
                av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * number, np.uint8), format="rgb24")
                for number in range(8)
            ]
        for frame in [*frames, None]:
            container.mux(stream.encode(frame))
    return buffer.getvalue()
