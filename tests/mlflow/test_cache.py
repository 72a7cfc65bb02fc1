import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gristmill.errors import ModelError, RegistryError
from gristmill.mlflow.cache import ModelCache

KEY = "0d67733a" * 8

_STUCK = """
import sys, time
from pathlib import Path
from gristmill.mlflow.cache import ModelCache

def fetch(folder):
    (folder / "MLmodel").write_text("half")
    print("fetching", flush=True)
    time.sleep(600)

ModelCache(Path(sys.argv[1])).fill(sys.argv[2], {}, fetch)
"""


def put(folder: Path) -> None:
    (folder / "MLmodel").write_text("flavors: {}")
    (folder / "data").mkdir()
    (folder / "data" / "weights").write_bytes(b"123")


def test_what_was_fetched_is_found_again(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    assert cache.find(KEY) is None
    folder = cache.fill(KEY, {}, put)
    assert ModelCache(tmp_path / "cache").find(KEY) == folder
    assert cache.fill(KEY, {}, lambda folder: pytest.fail("it is there")) == folder


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        put(folder)
        raise ModelError("not what was registered")

    cache = ModelCache(tmp_path)
    with pytest.raises(ModelError, match="not what was registered"):
        cache.fill(KEY, {}, broken)
    assert cache.find(KEY) is None
    assert [path.name for path in tmp_path.iterdir()] == [f"{KEY}.lock"]


def test_what_the_fetch_says_is_what_is_told(tmp_path: Path) -> None:
    def lost(folder: Path) -> None:
        raise RegistryError("the registry does not answer")

    with pytest.raises(RegistryError, match="^the registry does not answer$"):
        ModelCache(tmp_path).fill(KEY, {}, lost)


def test_a_process_that_is_killed_in_mid_fetch_leaves_nothing_that_counts(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", _STUCK, tmp_path, KEY], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"fetching\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    cache = ModelCache(tmp_path)
    assert list(tmp_path.glob("*.part"))
    assert cache.find(KEY) is None
    assert (cache.fill(KEY, {}, put) / "MLmodel").read_text() == "flavors: {}"
    assert not list(tmp_path.glob("*.part"))


def test_of_several_that_need_a_model_one_fetches(tmp_path: Path) -> None:
    cache, fetched, found = ModelCache(tmp_path), [], []
    started, go_on = threading.Event(), threading.Event()

    def fetch(folder: Path) -> None:
        started.set()
        go_on.wait(60)
        fetched.append(1)
        put(folder)

    threads = [threading.Thread(target=lambda: found.append(cache.fill(KEY, {}, fetch))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert started.wait(60)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert len(fetched) == 1
    assert len(found) == 4


@pytest.mark.parametrize("harm", ["cut", "removed", "touched"])
def test_an_entry_that_was_changed_is_fetched_again(harm: str, tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    weights = cache.fill(KEY, {}, put) / "data" / "weights"
    if harm == "cut":
        weights.write_bytes(b"1")
    elif harm == "removed":
        weights.unlink()
    else:
        os.utime(weights, (1.0, 1.0))
    assert cache.find(KEY) is None
    assert (cache.fill(KEY, {}, put) / "data" / "weights").read_bytes() == b"123"


def test_code_that_python_compiles_beside_a_model_is_no_change(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    (cache.fill(KEY, {}, put) / "data" / "module.pyc").write_bytes(b"")
    assert cache.find(KEY) is not None


def test_what_nobody_has_used_for_long_goes_when_another_model_comes(tmp_path: Path) -> None:
    cache, other = ModelCache(tmp_path), "f" * 64
    cache.fill(KEY, {}, put)
    cache.fill(other, {}, put)
    long_ago = time.time() - 31 * 24 * 3600
    for key in (KEY, other):
        os.utime(tmp_path / key / "whole.json", (long_ago, long_ago))
    assert cache.find(other) is not None  # which uses it
    cache.fill("a" * 64, {}, put)
    assert cache.find(KEY) is None
    assert not (tmp_path / KEY).exists()
    assert cache.find(other) is not None


def test_a_full_disk_and_a_place_that_is_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"models:/m/1.*no room for its files in settings\.model_cache.*free some"):
        ModelCache(tmp_path).fill(KEY, {"model": "models:/m/1"}, lambda folder: Path("/dev/full").write_bytes(b"0"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"settings\.model_cache '.*file/cache': .*"):
        ModelCache(tmp_path / "file" / "cache").fill(KEY, {}, put)
