"""Images, sounds and films from a stage, whole and broken, beside what vLLM itself says to their content."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tiny import media

import gristmill
from gristmill.settings import Settings

GREEDY = {"temperature": 0, "max_completion_tokens": 8}
QUESTION = {"type": "text", "text": "What is it?"}
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4"}
RATES = {"dvd.wav": 44_100, "phone.wav": 8_000}

Asked = list[dict[str, Any]]


def part(reference: Callable[[str], str], name: str) -> dict[str, Any]:
    """A file as a part of a message."""
    if name.endswith(".mp4"):
        return {"type": "video_url", "video_url": {"url": reference(name)}}
    if name.endswith(".wav"):
        return {"type": "input_audio", "input_audio": {"data": reference(name), "format": "wav"}}
    return {"type": "image_url", "image_url": {"url": reference(name)}}


def asked(reference: Callable[[str], str], *names: str) -> Asked:
    """A question about some files."""
    return [{"role": "user", "content": [*(part(reference, name) for name in names), QUESTION]}]


def at_the_models_rate(content: bytes) -> bytes:
    """A WAV of any rate as one of 16 kHz, by the way that jobs take where torchaudio is not installed."""
    import soundfile
    import soxr

    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    made = io.BytesIO()
    soundfile.write(made, soxr.resample(samples, rate, media.RATE), media.RATE, format="WAV", subtype="FLOAT")
    return made.getvalue()


def by_content(made: dict[str, bytes]) -> Callable[[str], str]:
    """References to files that hold what the files do."""

    def of(name: str) -> str:
        content = base64.b64encode(at_the_models_rate(made[name]) if name in RATES else made[name]).decode()
        return content if name.endswith(".wav") else f"data:{KINDS[Path(name).suffix]};base64,{content}"

    return of


@pytest.fixture
def whole() -> dict[str, bytes]:
    return {
        "red.png": media.png(1),
        "blue.jpg": media.jpeg(2),
        "low.wav": media.sound(1),
        "high.wav": media.sound(9),
        "left.mp4": media.film(1),
        "right.mp4": media.film(2),
        **{name: media.sound(seed, rate=rate) for seed, (name, rate) in enumerate(RATES.items(), 3)},
    }


@pytest.fixture
def broken(whole: dict[str, bytes]) -> dict[str, bytes]:
    """Files that begin as what they are called, all but one, and are not."""
    film, png = whole["left.mp4"], whole["red.png"]
    return {
        "cut.png": png[: len(png) // 2],
        "text.png": b"a text that somebody has given another name",
        "noise.wav": whole["low.wav"][:12] + b"\xff" * 500,
        "cut.mp4": film[: len(film) // 2],
    }


def on_stage(folder: Path, files: dict[str, bytes]) -> tuple[Settings, Callable[[str], str]]:
    """Settings with a stage that holds files, and what they are called there."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    settings = Settings.load(stages={"db.schema.stage": str(folder)})
    return settings, lambda name: f"@db.schema.stage/{name}"


def test_files_of_a_stage_are_seen_and_heard_as_they_are_and_broken_ones_are_their_rows_failures(
    omni: str,
    tmp_path: Path,
    whole: dict[str, bytes],
    broken: dict[str, bytes],
    answers: Callable[..., list[str]],
    run_job: Callable[..., Any],
) -> None:
    (tmp_path / "stage").mkdir()
    settings, by_stage = on_stage(tmp_path / "stage", whole | broken)
    good = [*((name,) for name in whole), ("red.png", "low.wav", "left.mp4"), ()]
    bad = [*((name,) for name in broken), ("red.png", "cut.mp4")]
    names = [one for pair in zip(good, [*bad, *[None] * len(good)], strict=False) for one in pair if one is not None]
    messages = [json.dumps(asked(by_stage, *each)) for each in names]
    outcome = run_job(
        omni,
        pa.table({"number": range(len(names)), "messages": messages}),
        params=GREEDY,
        engine={"response_column": "text"},
        settings=settings,
        on_error="record",
        max_errors=100,
    )
    assert outcome.status is gristmill.JobStatus.DONE, outcome.message
    assert [(row["number"], row["messages"]) for row in outcome.rows] == list(enumerate(messages))
    said = {names[row["number"]]: row["text"] for row in outcome.rows if row["_error"] is None}
    assert list(said) == [each for each in names if each in good]
    expected = answers(omni, [asked(by_content(whole), *each) for each in said], temperature=0, max_tokens=8)
    assert said == dict(zip(said, expected, strict=True))
    assert len(set(said.values())) == len(good)
    failed = [row for row in outcome.rows if row["_error"] is not None]
    assert "WorkerDied" not in {row["_error"]["type"] for row in failed}
    assert {row["text"] for row in failed} == {None}

    (part_file,) = (tmp_path / "output").glob("*.parquet")
    assert pq.read_table(part_file)["text"].to_pylist() == [row["text"] for row in outcome.rows]
