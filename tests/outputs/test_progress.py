"""Which rows are committed: each once, whatever order and repetition commits come in."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gristmill.outputs.commit import Commit
from gristmill.outputs.progress import ShardProgress


def commit(shard: int, start: int, rows: int, *, last: bool) -> Commit:
    return Commit(shard, start, rows, f"{shard}-{start}-{rows}.parquet" if rows else None, 1, 0, "s", last)


@given(st.data())
def test_whatever_comes_rows_are_covered_once_and_the_gaps_are_named(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 12))
    progress = ShardProgress(1)
    covered: set[int] = set()
    end_known = False
    for _ in range(data.draw(st.integers(0, 12))):
        start = data.draw(st.integers(0, size))
        stop = data.draw(st.integers(start, size))
        last = stop == size
        accepted = progress.accept(commit(0, start, stop - start, last=last))
        rows = set(range(start, stop))
        fits = (not covered & rows) and (rows or last) and not (last and end_known)
        assert accepted == bool(fits)
        if accepted:
            covered |= rows
            end_known = end_known or last
        assert progress.rows == len(covered)
        gaps = [(a, size if b is None else b) for a, b in progress.uncovered(0)]
        assert {row for a, b in gaps for row in range(a, b)} == set(range(size)) - covered
        assert progress.is_complete(0) == (end_known and len(covered) == size)
        assert progress.completed == int(progress.is_complete(0))


@given(st.lists(st.integers(0, 30), max_size=6), st.randoms())
def test_the_gaps_of_a_partial_shard_complete_it_in_any_order(cuts: list[int], randomness: object) -> None:
    edges = sorted({0, 30, *cuts})
    tasks = [commit(0, a, b - a, last=b == 30) for a, b in itertools.pairwise(edges)]
    randomness.shuffle(tasks)  # type: ignore[attr-defined]
    progress = ShardProgress(2)
    first, rest = tasks[: len(tasks) // 2], tasks[len(tasks) // 2 :]
    assert all(progress.accept(task) for task in first)
    gaps = progress.uncovered(0)
    for start, stop in gaps:
        assert progress.accept(commit(0, start, (30 if stop is None else stop) - start, last=stop in (None, 30)))
    assert progress.is_complete(0)
    assert not any(progress.accept(task) for task in rest)
    assert progress.rows == 30
    assert list(progress.pending()) == [1]


def test_an_empty_tail_tells_where_a_shard_of_unknown_length_ends() -> None:
    progress = ShardProgress(1)
    assert progress.accept(commit(0, 0, 5, last=False))
    assert progress.uncovered(0) == [(5, None)]
    assert progress.accept(commit(0, 5, 0, last=True))
    assert progress.all_complete


def test_two_ends_contradict_each_other_and_the_first_wins() -> None:
    progress = ShardProgress(1)
    assert progress.accept(commit(0, 5, 5, last=True))
    assert not progress.accept(commit(0, 12, 3, last=True))
    assert not progress.accept(commit(0, 10, 3, last=False))
    assert progress.uncovered(0) == [(0, 5)]
