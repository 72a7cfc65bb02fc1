"""What a chat function asks of its input, and what its job's record says of it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill import InputSpec, JobSpec, JobStatus, OutputSpec, Settings
from gristmill.errors import GristmillError, SchemaError, SpecError
from gristmill.jobs.record import JobRecord
from gristmill.spec.request import InputSource, JobRequest
from gristmill.storage.storage import Storage

PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
CHAT = json.dumps([{"role": "user", "content": "Hi"}])
RAW = {"input_format": "full_stage_path", "convert_to": "raw_bytes"}


def image(path: Path | str) -> str:
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": str(path)}}]
    return json.dumps([{"role": "user", "content": parts}])


def run(out: Path, rows: Any = None, *, spec: InputSpec | None = None, pool: str = "inline", **more: Any) -> Any:
    return gristmill.run_batch(
        more.pop("model", "echo:chat"),
        rows,
        compute_pool=pool,
        output_spec=OutputSpec(location=out, mode="overwrite"),
        input_spec=spec,
        job_spec=JobSpec(block=True, on_error="record"),
        inference_engine_options=more.pop("engine", None),
        **more,
    )


def refused(tmp_path: Path, rows: pa.Table, kind: type[GristmillError], match: str, **more: Any) -> None:
    with pytest.raises(kind, match=match):
        run(tmp_path / "out", rows, **more)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "home").exists()


def answers(out: Path) -> list[str | None]:
    return [
        None if row["choices"] is None else row["choices"][0]["message"]["content"]
        for row in gristmill.read_output(out).to_pylist()
    ]


def test_an_input_without_messages_or_prompt_is_refused(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({"nr": [1], "text": ["a"]})
    refused(tmp_path, rows, SchemaError, "the function 'chat' needs a column 'messages' .* 'prompt' .* has: nr, text")


def test_columns_that_differ_in_case_only_are_refused(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({"messages": [CHAT], "MESSAGES": [CHAT]})
    refused(tmp_path, rows, SchemaError, "'MESSAGES' and 'messages', which differ in case only; rename one")


def test_a_column_of_another_type_is_refused_with_the_way_out(settings: Settings, tmp_path: Path) -> None:
    refused(tmp_path, pa.table({"MESSAGES": [b"x"]}), SchemaError, r"'MESSAGES', which holds binary; .*json\.dumps")
    refused(tmp_path, pa.table({"messages": [["a"]]}), SchemaError, r"list<.*string>; .*json\.dumps")
    refused(tmp_path, pa.table({"prompt": [1]}), SchemaError, "'prompt', which holds int64; cast it to text")


def test_messages_are_no_file_column(settings: Settings, tmp_path: Path) -> None:
    spec = InputSpec(column_handling={"Messages": RAW})
    refused(tmp_path, pa.table({"MESSAGES": [CHAT]}), SpecError, "'MESSAGES' is no file column, the files", spec=spec)
    spec = InputSpec(column_handling={"prompt": RAW})
    refused(tmp_path, pa.table({"PROMPT": ["a"]}), SpecError, "'PROMPT' is no file column, it holds text", spec=spec)


def test_param_columns_must_be_there(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({"messages": [CHAT]})
    refused(tmp_path, rows, SchemaError, r"needs the input column\(s\) n;", engine={"param_columns": ["n"]})


def test_an_output_named_like_an_input_points_to_the_prefix(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({"ID": [7], "messages": [CHAT]})
    refused(tmp_path, rows, SchemaError, r"'id' is named like the input column 'ID'; .*\"output_prefix\": \"chat_\"")
    job = run(tmp_path / "out", rows, engine={"output_prefix": "chat_"})
    assert job.status is JobStatus.DONE, job.message
    assert gristmill.read_output(tmp_path / "out").column_names[:3] == ["ID", "messages", "chat_id"]
    other = pa.table({"echo": ["a"]})
    with pytest.raises(SchemaError) as caught:
        run(tmp_path / "out2", other, model="echo:")
    assert "output_prefix" not in str(caught.value)


@pytest.mark.parametrize("pool", ["inline", "local"])
def test_files_in_messages_are_read_by_whoever_may_read_them(settings: Settings, tmp_path: Path, pool: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    rows = pa.table({
        "nr": [0, 1, 2, 3],
        "Messages": [image(tmp_path / "data" / "a.png"), CHAT, image(tmp_path / "secret.png"), image("lost.png")],
    })  # fmt: skip
    job = run(tmp_path / "out", rows, spec=InputSpec(allowed_locations=(f"{tmp_path}/data",)), pool=pool)
    assert job.status is JobStatus.DONE, job.message
    done = gristmill.read_output(tmp_path / "out")
    assert done.column("nr").to_pylist() == [0, 1, 2, 3]
    assert done.column("Messages").equals(rows.column("Messages"))
    assert answers(tmp_path / "out") == ["see <image_url image/png 92>", "Hi", None, None]
    errors = done.column("_error").to_pylist()
    assert [error and (error["type"], error["step"]) for error in errors] == [
        None, None, ("AccessError", "resolve"), ("LocationError", "resolve"),
    ]  # fmt: skip
    assert errors[3]["reference"] == "lost.png"


def test_structured_messages_of_files_pass_through_as_they_were(settings: Settings, tmp_path: Path) -> None:
    kind = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
    rows = pa.table({"MESSAGES": pa.array([json.loads(CHAT), None, []], kind)})
    pq.write_table(rows, tmp_path / "in.parquet")
    job = run(tmp_path / "out", input_location=tmp_path / "in.parquet")
    assert job.status is JobStatus.DONE, job.message
    assert answers(tmp_path / "out") == ["Hi", None, None]
    assert gristmill.read_output(tmp_path / "out").column("MESSAGES").to_pylist() == rows.column(0).to_pylist()


def test_messages_and_file_columns_go_together(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    rows = pa.table({"messages": [CHAT, CHAT], "file": [f"{tmp_path}/a.png", f"{tmp_path}/gone"]})
    spec = InputSpec(column_handling={"FILE": RAW}, allowed_locations=(str(tmp_path),))
    job = run(tmp_path / "out", rows, spec=spec)
    assert job.status is JobStatus.DONE, job.message
    assert answers(tmp_path / "out") == ["Hi", None]


def test_the_record_names_the_column_of_messages(settings: Settings, tmp_path: Path) -> None:
    rows = {"MESSAGES": pa.table({"MESSAGES": [CHAT], "prompt": ["x"]}), None: pa.table({"prompt": ["x"]})}
    for name, table in rows.items():
        job = run(tmp_path / "out", table)
        assert JobRecord(Storage(settings), settings.home, job.id).request().messages == name
    job = run(tmp_path / "out", pa.table({"messages": [CHAT]}), model="echo:")
    assert JobRecord(Storage(settings), settings.home, job.id).request().messages is None


def test_messages_change_no_other_jobs_fingerprint() -> None:
    fields = {
        "name": "n", "key": "k", "model": "echo:", "engine": "echo", "function": "echo", "input_schema": "",
        "source": InputSource(kind="location", text="/in", format="parquet"), "location": "/out", "staging": "/s",
        "owner": "me", "created": 0.0, "shards": 1,
    }  # fmt: skip
    plain = JobRequest(**fields)
    assert plain.fingerprint == "04d48ccb798f6334"
    assert JobRequest(**fields, messages="M").fingerprint != plain.fingerprint
