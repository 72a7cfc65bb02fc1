import base64
import io
import wave

import numpy as np
import pytest
from PIL import Image
from tests.chat import samples

from gristmill.engines.media import to_audio, to_bytes, to_image


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 2), 128).save(buffer, "PNG")
    return buffer.getvalue()


def wav(samples: "list[list[int]]", rate: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(len(samples[0]))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.array(samples, dtype="<i2").tobytes())
    return buffer.getvalue()


def test_bytes_base64_and_data_urls_are_the_same_content() -> None:
    text = base64.b64encode(b"abc").decode()
    assert to_bytes(b"abc") == to_bytes(text) == to_bytes(f"data:text/plain;base64,{text}") == b"abc"


@pytest.mark.parametrize("cell", ["/etc/passwd", "http://127.0.0.1/x.png", "@stage/x.png", None, 3])
def test_a_path_or_link_is_not_opened(cell: object) -> None:
    with pytest.raises(ValueError, match="the cell holds"):
        to_bytes(cell)


def test_an_image_is_decoded_to_rgb_and_a_damaged_one_is_an_error() -> None:
    image = to_image(png())
    assert (image.mode, image.size) == ("RGB", (4, 2))
    for damaged in (b"", b"no image", png()[:40]):
        with pytest.raises((OSError, ValueError, SyntaxError)):
            to_image(damaged)


def test_sound_is_mixed_to_one_channel_of_floats() -> None:
    samples = to_audio(wav([[0, 0], [16384, -16384], [16384, 16384]], 16_000), 16_000)
    assert samples.dtype == np.float32
    assert samples.tolist() == [0.0, 0.0, 0.5]


def test_sound_of_another_rate_or_format_is_left_to_the_pipeline() -> None:
    for content in (wav([[1]], 8_000), samples.mp3(), samples.mp3(tag=50)):
        assert to_audio(content, 16_000) is content


@pytest.mark.parametrize("name", samples.SCRIPTS)
def test_what_is_no_sound_is_not_left_to_the_pipeline(name: str) -> None:
    with pytest.raises(ValueError, match="no sound of a known format"):
        to_audio(samples.SCRIPTS[name], 16_000)


def test_a_list_of_samples_is_sound_already() -> None:
    assert to_audio([0.5, 1.0], 16_000).tolist() == [0.5, 1.0]
