"""Links on a task: to its output from the start, and to Ray where there is Ray."""

from urllib.parse import quote


def test_a_task_links_to_its_output_while_it_is_deferred_and_when_it_is_done(rest, bench):
    run_id = rest.trigger("live_deferred", conf=bench.conf(delay=1))
    rest.wait_for_task("live_deferred", run_id, "score", "deferred")
    links = {"Output": f"file://{quote(str(bench.folder / 'one-out'))}", "Ray dashboard": None}
    assert rest.extra_links("live_deferred", run_id, "score") == links
    rest.wait_for_run("live_deferred", run_id)
    assert rest.extra_links("live_deferred", run_id, "score") == links
    assert (bench.folder / "one-out" / "_SUCCESS").is_file()
