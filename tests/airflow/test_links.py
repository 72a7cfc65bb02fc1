"""Links: pages that a browser opens, where there are such."""

import pytest

from airflow_gristmill.links import OutputLink, RayDashboardLink, output_url

URLS = {
    "/data/my scores/2026": "file:///data/my%20scores/2026",
    "s3://lake/scores/day=1": "https://s3.console.aws.amazon.com/s3/buckets/lake?prefix=scores/day%3D1/",
    "gs://lake/scores": "https://console.cloud.google.com/storage/browser/lake/scores",
    "abfs://lake@account/scores": "abfs://lake@account/scores",
    "memory:///scores": "memory:///scores",
}


@pytest.mark.parametrize("location", URLS)
def test_a_location_is_shown_as_the_page_of_its_store(location):
    assert output_url(location) == URLS[location]


class Task:
    output_location = "s3://lake/scores"
    dashboard_url = "http://head:8265"


def test_links_are_what_the_task_knows_and_empty_before_there_is_a_job():
    assert OutputLink().get_link(Task(), ti_key=None) == output_url("s3://lake/scores")
    assert RayDashboardLink().get_link(Task(), ti_key=None) == "http://head:8265"
    assert OutputLink().get_link(object(), ti_key=None) == ""
    assert RayDashboardLink().get_link(object(), ti_key=None) == ""
