from gristmill.jobs.record import Progress
from gristmill.jobs.watch import Seen, Watch, line
from gristmill.spec.enums import JobStatus


def _seen(status: JobStatus = JobStatus.RUNNING, **counts: object) -> Seen:
    return Seen(status, "", Progress(time=0, **counts))  # type: ignore[arg-type]


def test_a_line_has_rows_share_rate_errors_and_time_left() -> None:
    seen = _seen(rows=12_000, rows_total=900_000, rate=5300.4, eta=167, errors=2)
    assert line(seen) == "RUNNING  12,000 of 900,000 rows  1 %  5,300 rows/s  2 min 47 s left  2 errors"


def test_a_line_has_tokens_and_rows_in_flight_where_a_model_tells_of_them() -> None:
    seen = _seen(
        rows=120,
        rows_total=600,
        rate=20.0,
        rates={"prompt_tokens": 4_000.4, "output_tokens": 640.0, "cached_tokens": 9.0},
        gauges={"rows_in_flight": 64, "rows_waiting": 416},
    )
    assert line(seen) == (
        "RUNNING  120 of 600 rows  20 %  20 rows/s  640 output + 4,000 prompt tokens/s  64 in flight, 416 waiting"
    )


def test_a_line_without_a_total_counts_rows() -> None:
    assert line(_seen(rows=1, rate=0.4)) == "RUNNING  1 row  0.4 rows/s"


def test_a_line_of_a_finished_job_has_no_rate() -> None:
    assert line(_seen(JobStatus.DONE, rows=10, rows_total=10, rate=5, eta=0)) == "DONE  10 of 10 rows  100 %"


def test_a_line_before_any_counts_has_the_message() -> None:
    assert line(Seen(JobStatus.PENDING, "waiting\nfor workers")) == "PENDING  waiting for workers"


def test_a_line_of_zero_rows_divides_by_nothing() -> None:
    assert line(_seen(rows=0, rows_total=0)) == "RUNNING  0 of 0 rows"


def test_a_line_is_due_at_changes_and_now_and_then() -> None:
    running, done = _seen(rows=1), _seen(JobStatus.DONE, rows=1)
    watch = Watch(began=0.0, say_every=10.0).after(running, now=0.0)
    assert watch.due == "RUNNING  1 row"
    assert watch.after(running, now=9.9).due is None
    assert watch.after(running, now=9.9).after(running, now=10.0).due == "RUNNING  1 row"
    assert watch.after(done, now=0.1).due == "DONE  1 row"


def test_a_watch_ends_with_its_job_whatever_its_state() -> None:
    watch = Watch(began=0.0)
    assert not watch.has_ended
    for status in JobStatus:
        assert watch.after(Seen(status), now=1.0).has_ended is status.is_terminal


def test_pauses_grow_with_the_time_waited_up_to_a_limit() -> None:
    watch = Watch(began=100.0, longest_pause=30.0)
    assert [watch.pause(now) for now in (100.0, 110.0, 200.0, 5000.0)] == [0.5, 1.0, 10.0, 30.0]
    assert Watch(began=0.0, longest_pause=0.2).pause(0.0) == 0.2
    assert Watch(began=0.0, longest_pause=0.0).pause(0.0) == 0.1


def test_a_record_out_of_reach_is_borne_for_ten_minutes_and_said_now_and_then() -> None:
    watch = Watch(began=0.0, say_every=60.0).after(_seen(rows=1), now=0.0)
    blind = watch.after_failure(OSError("no route"), now=10.0)
    assert blind.due == "the job's record cannot be read, looking again: OSError: no route"
    assert blind.after_failure(OSError("no route"), now=69.0).due is None
    assert blind.after_failure(OSError("no route"), now=70.0).due is not None
    assert not blind.has_ended
    assert [blind.after_failure(OSError(), now=now).gives_up(now) for now in (609.0, 610.0)] == [False, True]
    again = blind.after(_seen(rows=2), now=500.0)
    assert not again.after_failure(OSError(), now=700.0).gives_up(700.0)
