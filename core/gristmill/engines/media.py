"""Images and sound from the bytes or the base64 text of a cell.

Text is never taken for a path or a link: what rows name is opened by the resolver, which knows what the job may open.
"""

import base64
import binascii
import io
import wave
from typing import Any

from gristmill.chat.content import part_types

__all__ = ["to_audio", "to_bytes", "to_image"]


def to_bytes(value: Any) -> bytes:
    """The bytes of a cell: as they are, or decoded from base64 or a data URL.

    Raises:
        ValueError: it is null, or text of another kind.
    """
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError(f"the cell holds {'null' if value is None else type(value).__name__}, not a file's content")  # noqa: TRY004
    text = value.partition(",")[2] if value[:5].lower() == "data:" else value
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(
            f"the cell holds text that is not base64 ({value[:40]!r}); "
            "for a column of paths, say so in input_spec.column_handling"
        ) from error


def to_image(value: Any) -> Any:
    """The cell's image, as a PIL image in RGB.

    Raises:
        ValueError, OSError: it is no image, or a damaged one.
    """
    from PIL import Image

    with Image.open(io.BytesIO(to_bytes(value))) as image:
        return image.convert("RGB")


def to_audio(value: Any, rate: int) -> Any:
    """The cell's sound for a speech pipeline: samples for a WAV file of this rate or a list of samples, else its bytes.

    Args:
        value: bytes, base64 text, or a list of samples (taken to be at `rate`).
        rate: samples per second that the model expects.

    Returns:
        A float32 array of shape (samples,), or bytes for the pipeline to decode (with ffmpeg).

    Raises:
        ValueError: it is no sound, such as a playlist, whose files ffmpeg would open.
    """
    import numpy as np

    if isinstance(value, list):
        return np.asarray(value, dtype=np.float32)
    data = to_bytes(value)
    if "input_audio" not in part_types(data):
        raise ValueError(f"the cell's content is no sound of a known format (it begins with {data[:16]!r})")
    if data[:4] != b"RIFF":
        return data
    with wave.open(io.BytesIO(data)) as file:
        if file.getframerate() != rate or file.getsampwidth() != 2:
            return data
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, file.getnchannels())
    return samples.mean(axis=1, dtype=np.float32) / np.float32(32768)
