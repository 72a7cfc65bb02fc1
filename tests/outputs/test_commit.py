"""The commit log: durable segments, every generation read, the first commit for a row wins."""

import random

import pytest

from gristmill.errors import ConflictError, OutputError
from gristmill.outputs.commit import Commit, CommitLog
from gristmill.outputs.layout import commits_of, staging_of
from gristmill.outputs.progress import ShardProgress
from gristmill.storage.location import join
from tests.outputs.conftest import Somewhere


def commit(shard: int, start: int = 0, rows: int = 4, *, last: bool = True, by: str = "a", errors: int = 0) -> Commit:
    return Commit(shard, start, rows, f"{by}{shard}.parquet", 10, errors, "digest", last, {"prompt": 2.0})


def log_of(place: Somewhere, generation: int) -> CommitLog:
    return CommitLog(place.storage, staging_of(place.location, "job"), generation=generation)


def test_what_was_appended_is_read_back_as_it_was(place: Somewhere) -> None:
    commits = [commit(0), Commit(1, 0, 0, None, 0, 0, "", last=True)]
    log_of(place, 1).append(commits)
    assert list(log_of(place, 2).load(ShardProgress(2))) == commits


def test_partitions_and_the_rows_that_were_written_are_kept(place: Somewhere) -> None:
    commits = [
        Commit(0, 0, 9, "a.parquet", 10, 0, "s", last=True, partitions=3, written=4),
        Commit(1, 0, 5, None, 0, 0, "", last=True, partitions=2, written=0),
        Commit(2, 0, 5, "b.parquet", 10, 0, "s", last=True, partitions=2),
    ]
    log = log_of(place, 1)
    log.append(commits)
    assert list(log.in_order(3)) == commits
    assert [one.height for one in commits] == [4, 0, 5]


def test_all_generations_count_and_the_first_commit_of_a_row_wins(place: Somewhere) -> None:
    first, second = log_of(place, 1), log_of(place, 2)
    second.append([commit(0, by="late"), commit(1, by="late")])
    first.append([commit(0, by="early")])
    first.append([commit(2, 0, 2, last=False, by="early")])
    second.append([commit(2, 1, 3, by="overlapping"), commit(2, 2, 2, by="late")])
    progress = ShardProgress(3)
    files = [one.file for one in log_of(place, 3).load(progress)]
    assert files == ["early0.parquet", "early2.parquet", "late1.parquet", "late2.parquet"]
    assert progress.all_complete
    assert (progress.rows, progress.errors) == (12, 0)


def test_rows_that_were_done_again_count_as_they_are_now(place: Somewhere) -> None:
    first, second = log_of(place, 1), log_of(place, 2)
    first.append([commit(0, by="early", errors=1), commit(1, by="early", errors=1), commit(2, by="early")])
    second.append([commit(0, by="late"), commit(1, by="late", errors=2)])
    progress = ShardProgress(3)
    files = {one.file for one in log_of(place, 3).load(progress)}
    assert files == {"late0.parquet", "late1.parquet", "early2.parquet"}
    assert progress.errors == 2
    clean = ShardProgress(3)
    assert {one.shard for one in log_of(place, 3).load(clean, with_errors=False)} == {0, 2}
    assert list(clean.pending()) == [1]


def test_commits_come_in_the_order_of_their_rows(place: Somewhere) -> None:
    commits = [commit(shard, start, 1, last=start == 3) for shard in range(30) for start in range(4)]
    mixed = random.Random(7).sample(commits, len(commits))
    log = log_of(place, 1)
    log.append(mixed[:50])
    log.append(mixed[50:])
    assert list(log.in_order(30)) == commits


def test_a_second_runner_of_the_same_generation_is_told_so(place: Somewhere) -> None:
    log_of(place, 1).append([commit(0)])
    with pytest.raises(ConflictError, match="generation 1"):
        log_of(place, 1).append([commit(1)])


@pytest.mark.parametrize("damage", [b"", b'{"version":1,"commits":[[0,0', b'{"version":1,"commits":[[0]]}', b"[]"])
def test_a_damaged_segment_is_an_error_that_names_it(place: Somewhere, damage: bytes) -> None:
    name = join(commits_of(staging_of(place.location, "job")), "000001-00000000.json")
    place.storage.write_bytes(name, damage)
    with pytest.raises(OutputError, match=r"000001-00000000\.json"):
        list(log_of(place, 2).load(ShardProgress(1)))


def test_a_commit_of_another_plan_is_an_error(place: Somewhere) -> None:
    log_of(place, 1).append([commit(7)])
    with pytest.raises(OutputError, match="another plan"):
        list(log_of(place, 2).load(ShardProgress(2)))
