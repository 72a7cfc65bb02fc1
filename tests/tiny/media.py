"""Small images, sounds and films, the same for the same arguments."""

import io
import math
import struct
import tempfile
import wave
from pathlib import Path

__all__ = ["film", "jpeg", "png", "sound"]

RATE = 16_000
"""Samples of sound in a second, as most models hear them."""


def png(seed: int = 0, *, width: int = 32, height: int = 24) -> bytes:
    """A PNG of one colour, with a lighter square in a corner; the seed picks the colour."""
    return _image("PNG", seed, width, height)


def jpeg(seed: int = 0, *, width: int = 32, height: int = 24) -> bytes:
    """The same as JPEG."""
    return _image("JPEG", seed, width, height)


def sound(seed: int = 0, *, seconds: float = 0.5, rate: int = RATE) -> bytes:
    """A WAV of one tone in 16 bits, mono; the seed picks the pitch."""
    step = 2 * math.pi * (220 + 37 * (seed % 50)) / rate
    samples = [int(12_000 * math.sin(step * place)) for place in range(int(rate * seconds))]
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return buffer.getvalue()


def film(seed: int = 0, *, frames: int = 8, width: int = 64, height: int = 48) -> bytes:
    """An MP4 (mp4v, 4 frames/s) of a square that moves; the seed picks the colours."""
    import cv2
    import numpy as np

    back, front = _colours(seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 4, (width, height))
        for frame in range(frames):
            picture = np.full((height, width, 3), back, np.uint8)
            left = (width - 16) * frame // max(1, frames - 1)
            picture[8:24, left : left + 16] = front
            writer.write(picture)
        writer.release()
        return file.read_bytes()


def _image(kind: str, seed: int, width: int, height: int) -> bytes:
    from PIL import Image

    back, front = _colours(seed)
    image = Image.new("RGB", (width, height), back)
    image.paste(front, (0, 0, width // 2, height // 2))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _colours(seed: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    red, green, blue = ((seed * step + 40) % 200 for step in (67, 131, 29))
    return (red, green, blue), (red + 55, green + 55, blue + 55)
