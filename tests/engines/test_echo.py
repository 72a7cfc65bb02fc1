import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gristmill.engines.echo import EchoEngine
from gristmill.errors import ModelError
from gristmill.storage.storage import Storage

BATCH = pa.RecordBatch.from_pydict({"id": [1, 2, 3], "image": [b"\x00a", b"b", None]})


def infer(context: Any, **options: Any) -> pa.RecordBatch:
    return EchoEngine().load(context(BATCH, model="echo:", function="echo", options=options)).infer(BATCH)  # type: ignore[union-attr]


def test_each_row_comes_back_as_text(context: Any) -> None:
    output = infer(context)
    assert [json.loads(text) for text in output.column("echo").to_pylist()] == [
        {"id": 1, "image": "AGE="},
        {"id": 2, "image": "Yg=="},
        {"id": 3, "image": None},
    ]


def test_one_column_comes_back_with_its_own_type(context: Any) -> None:
    assert infer(context, column="ID").to_pydict() == {"echo": [1, 2, 3]}
    assert infer(context, column="image").column(0).type == pa.binary()


def test_an_output_type_is_declared_and_kept(context: Any, storage: Storage) -> None:
    options = {"column": "id", "output_type": "double"}
    schema = EchoEngine().describe("echo:", options, storage).functions["echo"].output_schema()
    assert infer(context, **options).schema == schema == pa.schema([("echo", pa.float64())])
    with pytest.raises(pa.ArrowInvalid):
        infer(context, column="image", output_type="int64")


def test_rows_are_answered_one_at_a_time_like_batches(context: Any, storage: Storage) -> None:
    made = context(BATCH, model="echo:row", function="echo", options={"column": "id", "window": 7})
    model: Any = EchoEngine().load(made)
    answers = [asyncio.run(model.infer_row(row)) for row in BATCH.to_pylist()]
    assert answers == [{"echo": 1}, {"echo": 2}, {"echo": 3}]
    assert (model.window, model.output_schema) == (7, pa.schema([("echo", pa.int64())]))


def test_only_the_row_kind_says_that_it_runs_by_row(storage: Storage) -> None:
    kinds = {model: EchoEngine().describe(model, {}, storage).by_row for model in ("echo:", "echo:batch", "echo:row")}
    assert kinds == {"echo:": False, "echo:batch": False, "echo:row": True}


def test_a_batch_with_a_chosen_value_fails(context: Any) -> None:
    with pytest.raises(ValueError, match="fail_on: 2"):
        infer(context, column="id", fail_on=2)
    with pytest.raises(ValueError, match="fail_on: 3"):
        infer(context, column="id", fail_on=["3", "9"])
    assert infer(context, column="id", fail_on=4).num_rows == 3


def test_a_row_with_a_chosen_value_fails(context: Any) -> None:
    model: Any = EchoEngine().load(context(BATCH, model="echo:row", options={"column": "id", "fail_on": 2}))
    assert asyncio.run(model.infer_row({"id": 1})) == {"echo": 1}
    with pytest.raises(ValueError, match="fail_on: 2"):
        asyncio.run(model.infer_row({"id": 2}))


def test_every_call_is_written_down_before_it_fails(context: Any, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    infer(context, column="id", log=str(log))
    with pytest.raises(ValueError, match="fail_on"):
        infer(context, column="id", log=str(log), fail_on=2)
    lines = [line for file in log.iterdir() for line in file.read_text().splitlines()]
    assert sorted(lines) == ["1", "1", "2", "2", "3", "3"]


def test_a_chosen_value_kills_the_process_after_it_is_written_down(tmp_path: Path) -> None:
    script = f"""
import pyarrow as pa
from gristmill.engines.echo import EchoEngine
from gristmill.engines.protocol import LoadContext
from gristmill.settings import Settings
from gristmill.storage.storage import Storage
batch = pa.RecordBatch.from_pydict({{"id": [1, 2, 3]}})
options = {{"column": "id", "kill_on": 2, "log": {str(tmp_path / "calls")!r}}}
storage = Storage(Settings.load())
EchoEngine().load(LoadContext("echo:", "echo", storage, batch.schema, options=options)).infer(batch)
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-9, "")
    assert [file.read_text() for file in (tmp_path / "calls").iterdir()] == ["1\n2\n3\n"]


@pytest.mark.parametrize("option", ["fail_on", "kill_on"])
def test_a_value_to_misbehave_on_needs_a_column(option: str, storage: Storage) -> None:
    with pytest.raises(ModelError, match="name it in 'column'"):
        EchoEngine().describe("echo:", {option: 2}, storage)


def test_other_references_are_refused(storage: Storage) -> None:
    for model in ("echo:loud", "python:a:b"):
        with pytest.raises(ModelError, match="runs 'echo:', 'echo:row' and 'echo:chat'"):
            EchoEngine().describe(model, {}, storage)
