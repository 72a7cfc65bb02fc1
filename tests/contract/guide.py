"""Where the examples of guides run as they stand: settings with their stages and pools, and an empty registry.

An example's lines are kept, but for those that import, that make a session and its frames, and that read results:
`pd.DataFrame(data, columns=...)` stands for a session's frame, `gristmill.read_output` for its reader. Lists of a
cluster's own wishes, which registries here refuse with the reason, are left out of `log_model`.
"""

import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from gristmill.settings import Settings
from tests.model_registry import ModelRegistry

__all__ = ["Guide", "ffmpeg", "guide", "same"]

# PyAV holds the libraries of the program, without the program itself.
_FFMPEG = """#!{python}
import io, sys
import av
asked = dict(zip(sys.argv[1:], sys.argv[2:]))
resampler = av.AudioResampler("flt", "mono", int(asked["-ar"]))
with av.open(io.BytesIO(sys.stdin.buffer.read())) as sound:
    for frame in [*sound.decode(audio=0), None]:
        for part in resampler.resample(frame):
            sys.stdout.buffer.write(part.to_ndarray().tobytes())
"""


@dataclass(frozen=True)
class Guide:
    """The place of an example.

    Attributes:
        stage: the folder of `@DB.SCHEMA.STAGE`, also called `@STAGE`.
        output: the folder of `@my_db.my_schema.my_stage`.
        settings: those in force.
    """

    stage: Path
    output: Path
    settings: Settings

    def put(self, path: str, content: bytes) -> str:
        """Write a file on the stage; returns its full stage path."""
        file = self.stage / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return f"@DB.SCHEMA.STAGE/{path}"


@pytest.fixture
def guide(model_registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guide:
    """Settings in the environment, with the guides' stages, and their pools as threads of this process."""
    stage, output = tmp_path / "stage", tmp_path / "my_stage"
    for folder in (stage, output):
        folder.mkdir()
    stages = {"DB.SCHEMA.STAGE": stage, "STAGE": stage, "my_db.my_schema.my_stage": output}
    pools = {name: {"kind": "inline"} for name in ("my_compute_pool", "CPU_POOL", "COMPUTE_POOL", "GPU_COMPUTE_POOL")}
    variables = {
        "REGISTRY": model_registry.address,
        "MODEL_CACHE": str(model_registry.cache),
        "STAGES": json.dumps({name: str(folder) for name, folder in stages.items()}),
        "POOLS": json.dumps(pools),
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"GRISTMILL_{name}", value)
    return Guide(stage, output, Settings.load())


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program `ffmpeg` that decodes sounds as transformers' pipelines ask the one of that name to."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(_FFMPEG.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def same(model: gristmill.ModelVersion, X: Any, location: str, **how: Any) -> pa.Table:
    """The output of a job, once `run` over the same rows in this process has given just that, to the bit.

    `how` are arguments of `ModelVersion.run`.
    """
    written = gristmill.read_output(location)
    found = model.run(pa.Table.from_pandas(X, preserve_index=False), **how)
    assert found.schema == written.schema
    assert found.combine_chunks() == written.combine_chunks()
    return written
