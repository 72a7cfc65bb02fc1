"""The log of a server: bounded, without the key, readable while it is written."""

import io
from pathlib import Path

from gristmill.services.logs import LogTail, ServerLog, read_logs
from gristmill.storage.storage import Storage


def test_of_a_long_log_the_end_is_kept(tmp_path: Path, storage: Storage) -> None:
    folder = tmp_path / "logs"
    log = ServerLog(folder, secret="hush", largest=1_000)
    log.pump(io.BytesIO(b"".join(b"line %d\n" % number for number in range(1_000))))
    kept = read_logs(storage, str(folder))
    log.close()
    lines = kept.splitlines()
    assert lines[-1] == "line 999"
    assert lines == [f"line {number}" for number in range(1_000 - len(lines), 1_000)]
    assert 1_000 <= len(kept) <= 2_100
    assert sum(file.stat().st_size for file in folder.iterdir()) == len(kept)


def test_the_key_is_never_in_a_log(tmp_path: Path, storage: Storage) -> None:
    log = ServerLog(tmp_path, secret="hush-hush-hush")
    log.pump(io.BytesIO(b"args: {'api_key': 'hush-hush-hush'}\nError: hush-hush-hush is wrong\nbye"))
    log.close()
    assert read_logs(storage, str(tmp_path)) == "args: {'api_key': '***'}\nError: *** is wrong\nbye"
    assert log.reason() == "Error: *** is wrong"


def test_a_key_where_a_long_line_is_cut_is_not_in_the_log(tmp_path: Path, storage: Storage) -> None:
    secret = "hush-hush-hush"
    log = ServerLog(tmp_path, secret=secret)
    begin = 64 * 1024 - 20
    log.pump(io.BytesIO(b"".join(b"x" * size + secret.encode() + b"y\n" for size in range(begin, begin + 24))))
    log.close()
    assert read_logs(storage, str(tmp_path)) == "".join("x" * size + "***y\n" for size in range(begin, begin + 24))


def test_a_log_is_followed_line_by_line_into_the_next_file(tmp_path: Path, storage: Storage) -> None:
    folder = tmp_path / "logs"
    tail = LogTail(storage, str(folder))
    assert tail.lines() == []
    log = ServerLog(folder, secret=None, largest=20)
    log.write(b"one\n")
    log.write(b"half ")
    assert tail.lines() == ["one"]
    log.write(b"and half\n")
    assert tail.lines() == ["half and half"]
    log.write(b"last of this file\n")  # the next line begins another
    log.write(b"first\n")
    assert tail.lines() == ["first"]
    log.close()


def test_a_log_that_is_not_there_is_empty(tmp_path: Path, storage: Storage) -> None:
    assert read_logs(storage, str(tmp_path / "nowhere")) == ""
