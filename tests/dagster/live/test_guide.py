"""The page `docs/dagster.md` under a real server: what it shows in the browser, over the API that the browser uses."""

from collections.abc import Iterator

import pytest
from tests.dagster.dev import Dev
from tests.docs.pages import ROOT, python, write_files

import gristmill
from gristmill.settings import Settings

PAGE = ROOT / "docs" / "dagster.md"
DAYS = [f"2026-01-{day:02}" for day in range(1, 21)]
FORCED = ["2026-01-19", "2026-01-20"]


@pytest.fixture
def page(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dev]:
    """A server whose code location is the page's `definitions.py`, in a folder with the page's files and data."""
    folder = tmp_path_factory.mktemp("page")
    write_files(PAGE, folder)
    monkeypatch.chdir(folder)
    python("setup.py")
    with Dev(
        "definitions", environment={"PYTHONPATH": f"{folder}:{ROOT}", "GRISTMILL_DEFAULT_POOL": "inline"}
    ) as server:
        yield server


def test_a_backfill_of_twenty_days_is_one_run_and_a_forced_one_computes_again(page: Dev) -> None:
    graphql = page.graphql
    made_by = graphql.backfill("gross", DAYS)
    ended = graphql.wait_for_backfill(made_by)
    runs = graphql.runs(dagster__backfill=made_by)
    assert ended == "COMPLETED_SUCCESS", [graphql.story(run["runId"]) for run in runs]
    assert graphql.partition_counts("gross")["numMaterialized"] == 20
    made = {one["partition"]: one for one in graphql.materializations("gross")}
    assert set(made) == set(DAYS)
    assert len({one["runId"] for one in made.values()}) == 1
    assert {one["metadata"]["rows"] for one in made.values()} == {1000}

    forced = graphql.backfill("gross", FORCED, tags={"gristmill/force_rerun": "true"})
    assert graphql.wait_for_backfill(forced) == "COMPLETED_SUCCESS"
    for day in FORCED:
        assert graphql.latest("gross", partition=day)["metadata"]["job"] != made[day]["metadata"]["job"]
    jobs = gristmill.list_jobs(100, settings=Settings(home=str(page.home / "gristmill"))).collect()
    assert len(jobs) == 22
