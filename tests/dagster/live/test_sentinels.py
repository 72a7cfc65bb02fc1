"""Outputs that land are seen by a real daemon: each once, with its partition, also those that come while it is off."""

import pyarrow as pa
import pytest
from tests.dagster.finished import finished


@pytest.fixture
def land(dagster, bench):
    """Publishes an output of so many rows, as a job anywhere does; gives the job's id."""

    def landed(place, rows):
        job, _ = finished(bench("landed").settings, pa.table({"id": range(rows)}), str(dagster.data / place))
        return job.id

    return landed


def settled(graphql, sensor):
    """Wait until the sensor has looked twice more."""
    graphql.wait_for_tick(sensor, after=len(graphql.ticks(sensor)) + 1)


def test_each_output_that_lands_is_told_of_once_and_followed_by_one_run(graphql, land):
    land("landed/first", 2)
    graphql.start_sensor("landings")
    graphql.until(lambda: graphql.materializations("follower"), 120, lambda: str(graphql.ticks("landings")))
    settled(graphql, "landings")
    (told,) = graphql.materializations("landed")
    (followed,) = graphql.materializations("follower")
    assert (told["partition"], told["metadata"]["rows"]) == ("first", 2)
    assert (followed["partition"], followed["metadata"]["rows"]) == ("first", 2)
    assert not told["runId"]  # nobody ran anything to make it: it is reported

    graphql.stop_sensor("landings")
    jobs = {"first": land("landed/first", 3), "second": land("landed/second", 4)}
    graphql.start_sensor("landings")
    graphql.until(lambda: len(graphql.materializations("follower")) >= 3, 120, lambda: str(graphql.ticks("landings")))
    settled(graphql, "landings")
    graphql.stop_sensor("landings")
    rows = sorted((one["partition"], one["metadata"]["rows"]) for one in graphql.materializations("follower"))
    assert rows == [("first", 2), ("first", 3), ("second", 4)]
    assert sorted((one["partition"], one["metadata"]["rows"]) for one in graphql.materializations("landed")) == rows
    assert {key: graphql.latest("landed", partition=key)["metadata"]["job"] for key in jobs} == jobs
    assert [tick["error"] for tick in graphql.ticks("landings") if tick["error"]] == []


def test_the_folders_of_a_path_are_the_dimensions_of_a_partition(graphql, land):
    land("landed-both/eu/date=2026-01-02", 2)
    land("landed-both/mars/date=2026-01-02", 2)
    graphql.start_sensor("landings_both")
    graphql.until(lambda: graphql.materializations("landed_both"), 120, lambda: str(graphql.ticks("landings_both")))
    settled(graphql, "landings_both")
    graphql.stop_sensor("landings_both")
    assert [one["partition"] for one in graphql.materializations("landed_both")] == ["2026-01-02|eu"]
