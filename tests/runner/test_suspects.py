"""What is run again after a death."""

from gristmill.plan.shards import Shard, Slice
from gristmill.replica.messages import Task
from gristmill.runner.suspects import after_death

SHARD = Shard(0, (Slice("/f", 1, "", None, 0, 100),))


def test_after_a_first_death_the_task_is_run_as_before_and_after_a_second_it_is_careful() -> None:
    (again,) = after_death(Task(1, SHARD), announced=None, reason="SIGKILL")
    assert (again.start, again.stop, again.careful) == (0, None, False)
    (careful,) = after_death(again, announced=None, reason="SIGKILL")
    assert (careful.start, careful.stop, careful.careful) == (0, None, True)


def test_announced_rows_are_cut_out_and_the_rest_is_innocent() -> None:
    pieces = after_death(Task(1, SHARD, careful=True), announced=(30, 40), reason="SIGKILL")
    assert [(piece.start, piece.stop, piece.careful) for piece in pieces] == [
        (0, 30, False),
        (30, 40, True),
        (40, None, False),
    ]


def test_a_row_that_dies_alone_among_others_has_died_alone_once() -> None:
    _, suspect, _ = after_death(Task(1, SHARD, 4, 7, careful=True), announced=(5, 6), reason="SIGSEGV")
    assert (suspect.start, suspect.stop, suspect.deaths, suspect.verdict) == (5, 6, 1, None)
    (convicted,) = after_death(suspect, announced=(5, 6), reason="SIGSEGV")
    assert convicted.verdict is not None


def test_a_death_among_others_counts_against_no_row() -> None:
    (again,) = after_death(Task(1, SHARD, 5, 6, is_rerun=True), announced=None, reason="SIGSEGV")
    (first,) = after_death(again, announced=(5, 6), reason="SIGSEGV")
    assert first.verdict is None


def test_a_row_is_convicted_only_when_it_died_alone_twice() -> None:
    task = Task(1, SHARD, 5, 6, careful=True)
    (first,) = after_death(task, announced=(5, 6), reason="SIGSEGV")
    assert first.verdict is None
    (second,) = after_death(first, announced=(5, 6), reason="SIGSEGV")
    assert second.verdict is not None
    assert "SIGSEGV" in second.verdict.message


def test_after_a_row_that_kills_the_far_half_of_the_rest_comes_first() -> None:
    _, suspect, far, near = after_death(Task(1, SHARD, careful=True), announced=(39, 40), reason="SIGKILL")
    assert (suspect.start, suspect.stop) == (39, 40)
    assert [(piece.start, piece.stop, piece.careful) for piece in (far, near)] == [(70, None, False), (40, 70, False)]


def test_a_partition_is_never_cut_and_is_convicted_like_a_row() -> None:
    task = Task(1, SHARD, careful=True)
    before, suspect, after = after_death(task, announced=(30, 40), reason="SIGKILL", is_partition=True)
    assert [(piece.start, piece.stop) for piece in (before, suspect, after)] == [(0, 30), (30, 40), (40, None)]
    assert (suspect.deaths, suspect.verdict) == (1, None)
    (convicted,) = after_death(suspect, announced=(30, 40), reason="SIGKILL", is_partition=True)
    assert convicted.verdict is not None
    assert "each time it ran this partition" in convicted.verdict.message


def test_a_partition_of_one_row_leaves_the_rest_whole_too() -> None:
    task = Task(1, SHARD, careful=True)
    _, _, after = after_death(task, announced=(39, 40), reason="SIGKILL", is_partition=True)
    assert (after.start, after.stop) == (40, None)
