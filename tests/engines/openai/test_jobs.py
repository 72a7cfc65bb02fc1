"""Jobs that are killed in mid-work, several workers, and files in messages; in processes of their own."""

import base64
import json
import wave
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.engines.openai.conftest import Work
from tests.faults.conftest import Victim, kill, until
from tests.processes import lives

import gristmill
from gristmill import JobStatus

ROWS = 400
GROUP = 40


@pytest.fixture
def slow(processes: Work) -> Work:
    """A service that takes its time, and rows in ten files."""
    processes.service.latency = 0.2
    folder = processes.root / "input"
    folder.mkdir()
    for at in range(0, ROWS, GROUP):
        rows = range(at, at + GROUP)
        table = pa.table({"number": rows, "prompt": [f"p{row}" for row in rows]})
        pq.write_table(table, folder / f"{at:05}.parquet")
    return processes


def assert_right(work: Work) -> None:
    answers = [(row["number"], row["choices"][0]["message"]["content"]) for row in work.rows()]
    assert answers == [(row, f"P{row}") for row in range(ROWS)]


def test_a_killed_worker_is_replaced_and_its_rows_in_flight_are_sent_again(slow: Work) -> None:
    victim = Victim(slow.root, slow.settings)
    job = slow.start(slow.root / "input", options={"window": 8}, job_name="killed")
    until(lambda: len(slow.service.calls) >= 100)
    kill(victim.worker_pids(job)[-1])
    assert job.wait(100) is JobStatus.DONE, job.message
    assert_right(slow)
    counts = Counter(slow.service.texts)
    assert set(counts) == {f"p{row}" for row in range(ROWS)}
    # What was not committed is sent again: the shards that were begun, and no others.
    assert 1 <= sum(count > 1 for count in counts.values()) <= 100


def test_a_killed_job_is_resumed_and_committed_rows_are_not_sent_again(slow: Work) -> None:
    victim = Victim(slow.root, slow.settings)
    given = {"options": {"window": 8}, "job_name": "killed"}
    job = slow.start(slow.root / "input", **given)
    until(lambda: len(committed_of(victim, job)) >= GROUP)
    runner, workers = victim.runner(job), victim.worker_pids(job)
    kill(runner)
    until(lambda: not any(map(lives, [runner, *workers])))
    committed, before = committed_of(victim, job), len(slow.service.calls)
    assert len(committed) < ROWS
    again = slow.start(slow.root / "input", **given)
    assert again.id == job.id
    assert again.wait(100) is JobStatus.DONE, again.message
    assert_right(slow)
    sent = {int(text[1:]) for text in slow.service.texts[before:]}
    assert sent == set(range(ROWS)) - committed


def committed_of(victim: Victim, job: gristmill.Job) -> set[int]:
    """The rows whose shards have committed."""
    from gristmill.outputs.commit import CommitLog
    from gristmill.outputs.layout import parts_of

    request = job.request
    rows: set[int] = set()
    for segment in CommitLog(victim.storage, request.staging, generation=0).segments():
        for commit in segment:
            if commit.file is not None:
                part = f"{parts_of(request.staging)}/{commit.file}"
                rows |= set(pq.read_table(part, columns=["number"])["number"].to_pylist())
    return rows


def test_files_in_messages_arrive_as_data_urls(processes: Work, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    png = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    )
    with wave.open(str(files / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8_000, 0, "NONE", ""))
        sound.writeframes(bytes(64))
    (files / "a.png").write_bytes(png)
    mp4 = b"\0\0\0\x18ftypisom\0\0\2\0isommp41\0\0\0\x08free" + bytes(40)
    (files / "a.mp4").write_bytes(mp4)
    settings = processes.settings.model_copy(update={"stages": {"db.public.media": str(files)}})
    work = Work(processes.service, processes.root, settings, "local")
    parts = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "@DB.PUBLIC.MEDIA/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "@DB.PUBLIC.MEDIA/a.wav"}},
        {"type": "video_url", "video_url": {"url": "@DB.PUBLIC.MEDIA/a.mp4"}},
        {"type": "video_url", "video_url": {"url": f"DATA:Video/MP4;BASE64,{base64.encodebytes(mp4).decode()}"}},
    ]
    missing = [{"type": "image_url", "image_url": {"url": "@DB.PUBLIC.MEDIA/none.png"}}]
    cells = [json.dumps([{"role": "user", "content": content}]) for content in (parts, "plain", missing)]
    job = work.run(pa.table({"messages": cells}), on_error="record")
    assert job.status is JobStatus.DONE, job.message
    sent = {str(call.body["messages"][0]["content"])[:20]: call.body for call in work.service.calls}
    assert len(sent) == 2
    (body,) = [body for body in sent.values() if isinstance(body["messages"][0]["content"], list)]
    _, image, audio, video, inline = body["messages"][0]["content"]
    encoded = base64.b64encode(png).decode()
    assert image["image_url"] == {"url": f"data:image/png;base64,{encoded}", "detail": "low"}
    assert audio["input_audio"] == {"data": base64.b64encode((files / "a.wav").read_bytes()).decode(), "format": "wav"}
    assert video == inline == {
        "type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{base64.b64encode(mp4).decode()}"},
    }  # fmt: skip
    errors = [row["_error"] for row in work.rows()]
    assert errors[:2] == [None, None]
    assert errors[2]["step"] == "resolve"
    assert "none.png" in errors[2]["reference"]
