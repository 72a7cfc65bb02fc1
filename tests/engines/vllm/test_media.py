import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from tests.tiny import media

import gristmill

GREEDY = {"temperature": 0, "max_completion_tokens": 8}
QUESTION = {"type": "text", "text": "What is it?"}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def video(url: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}}


def audio(data: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def test_images_sounds_and_films_in_files_are_seen_as_they_are(
    omni: str, tmp_path: Path, answers: Callable[..., list[str]], run_job: Callable[..., Any]
) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    made = {
        "red.png": media.png(1),
        "blue.jpg": media.jpeg(2),
        "low.wav": media.sound(1),
        "high.wav": media.sound(9),
        "left.mp4": media.film(1),
        "right.mp4": media.film(2),
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    kinds = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4"}

    def by_path(name: str) -> str:
        return str(folder / name)

    def by_content(name: str) -> str:
        content = made[name]
        return base64.b64encode(content).decode() if name.endswith(".wav") else url(kinds[Path(name).suffix], content)

    def asked(reference: Callable[[str], str]) -> list[list[dict[str, Any]]]:
        parts = [
            [image(reference("red.png")), QUESTION],
            [image(reference("blue.jpg")), QUESTION],
            [audio(reference("low.wav")), QUESTION],
            [audio(reference("high.wav")), QUESTION],
            [video(reference("left.mp4")), QUESTION],
            [video(reference("right.mp4")), QUESTION],
            [image(reference("red.png")), audio(reference("low.wav")), video(reference("left.mp4")), QUESTION],
            [QUESTION],
        ]
        return [[{"role": "user", "content": content}] for content in parts]

    settings = gristmill.Settings.load().model_copy(update={"allowed": (str(folder),)})
    table = pa.table({"number": range(8), "messages": [json.dumps(one) for one in asked(by_path)]})
    outcome = run_job(omni, table, params=GREEDY, engine={"response_column": "text"}, settings=settings)
    assert outcome.status is gristmill.JobStatus.DONE, outcome.message
    said = {row["number"]: row["text"] for row in outcome.rows}
    assert said == dict(enumerate(answers(omni, asked(by_content), temperature=0, max_tokens=8)))
    assert len(set(said.values())) == 8
