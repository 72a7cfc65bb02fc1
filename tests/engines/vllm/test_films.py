"""What vLLM's reader of films opens once the process is prepared, should a script of another format reach it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.chat import samples
from tests.tiny import media

READ = """
import json, sys
from pathlib import Path

if sys.argv[2] == "prepared":
    from gristmill.engines.vllm import library

    library.prepare_process(in_process=True, threads=1)
from vllm.multimodal.media.image import ImageMediaIO
from vllm.multimodal.media.video import VideoMediaIO

found = {}
for file in sorted(Path(sys.argv[1]).iterdir()):
    try:
        found[file.name] = VideoMediaIO(ImageMediaIO(), num_frames=2).load_bytes(file.read_bytes())[0].shape[0]
    except ValueError as error:
        found[file.name] = str(error)
print(json.dumps(found))
"""


def read(folder: Path, *, prepared: bool) -> dict[str, int | str]:
    """The number of frames of each file, or the error, as a process finds them that stands where the films lie."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder), "prepared" if prepared else "bare"],
        env={**known, "VLLM_LOGGING_LEVEL": "ERROR"}, cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, int | str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("prepared", [True, False])
def test_a_film_that_is_a_script_opens_no_other_once_the_process_is_prepared(tmp_path: Path, prepared: bool) -> None:
    films = {"film.mp4": media.film(1), "animation.gif": samples.animation("GIF")}
    films |= {name: samples.containers()[name] for name in ("asf", "avi", "flv", "matroska", "mov", "mpegts", "webm")}
    scripts = {"concat": b"ffconcat version 1.0\nfile film.mp4\n"}
    if prepared:  # without it, FFmpeg listens at a port for as long as it likes
        scripts["session"] = samples.SCRIPTS["session"]
    for name, content in (films | scripts).items():
        (tmp_path / name).write_bytes(content)
    found = read(tmp_path, prepared=prepared)
    assert {name for name in films if not isinstance(found[name], int)} == set()
    for name in scripts:
        # What a bare process does shows that the script is good, and that it is the environment that stops it.
        assert (found[name] == "Could not open video stream") == prepared
