"""What a worker prints reaches the runner whole, however it is printed."""

import os
import sys
from collections.abc import Callable

import pytest

from gristmill.replica.capture import capture_output


def captured(work: Callable[[], None]) -> list[str]:
    """What is handed over, piece by piece."""
    pieces: list[str] = []
    with capture_output(pieces.append):
        work()
    return pieces


def test_lines_are_handed_over_as_they_end_and_the_rest_at_the_end() -> None:
    def work() -> None:
        sys.stdout.write("one")
        sys.stdout.write("\ntwo\nthr")
        sys.stderr.write("ee")

    assert captured(work) == ["one\ntwo\n", "three"]


def test_dots_without_an_end_are_handed_over_in_bounded_pieces() -> None:
    def work() -> None:
        for _ in range(200_000):
            sys.stdout.write(".")

    pieces = captured(work)
    assert "".join(pieces) == "." * 200_000
    assert 3 <= len(pieces) <= 5
    assert max(len(piece) for piece in pieces) <= 64 * 1024 + 1


def test_a_progress_bar_is_handed_over_as_it_moves() -> None:
    def work() -> None:
        for done in range(100):
            sys.stderr.write(f"\r{done:3}%|####|")
            sys.stderr.flush()
        sys.stderr.write("\n")

    pieces = captured(work)
    assert "".join(pieces) == "".join(f"\r{done:3}%|####|" for done in range(100)) + "\n"
    assert len(pieces) >= 100


def test_bytes_are_taken_even_where_they_cut_a_character() -> None:
    def work() -> None:
        data = "grüße\n".encode()
        for at in range(len(data)):
            sys.stdout.buffer.write(data[at : at + 1])
        sys.stdout.buffer.flush()

    assert captured(work) == ["grüße\n"]


def test_the_stream_looks_like_one_that_is_no_terminal() -> None:
    def work() -> None:
        assert sys.stdout.encoding == "utf-8"
        assert not sys.stdout.isatty()
        with pytest.raises(OSError, match="fileno"):
            sys.stdout.fileno()

    assert captured(work) == []


def test_a_forked_process_prints_outside(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        sys.stdout.write("begun ")
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            sys.stdout.write("from the child\n")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        sys.stdout.write("and done\n")

    assert captured(work) == ["begun and done\n"]
    assert capfd.readouterr().out == "from the child\n"
