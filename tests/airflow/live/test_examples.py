"""The example DAGs on a real server: by their schedules, by hand, and by an event."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.airflow.conftest import EXAMPLES
from tests.airflow.rest import Rest
from tests.airflow.standalone import Standalone

DAILY = ("gristmill_nightly_scores", "gristmill_scores_report", "gristmill_chat_by_region")
CONSUMER = "gristmill_on_publication"
PICTURES = "gristmill_classify_images"


@pytest.fixture(scope="module")
def rest(airflow: Standalone) -> Rest:
    airflow.add_dags(*sorted(EXAMPLES.glob("*.py")))
    return airflow.rest


def until(look: Callable[[], Any], *, seconds: float = 180.0, story: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, story
        time.sleep(0.5)
    return found


def test_the_daily_ones_run_for_yesterday_by_themselves(rest: Rest) -> None:
    for dag_id in DAILY:
        run = until(lambda dag_id=dag_id: rest.runs(dag_id), story=f"{dag_id} was not scheduled")[0]
        assert run["run_type"] == "scheduled"
        rest.wait_for_run(dag_id, run["dag_run_id"], timeout=240)
        day = run["data_interval_start"][:10]
        if dag_id == "gristmill_nightly_scores":
            scores = rest.xcom(dag_id, run["dag_run_id"], "score")
        elif dag_id == "gristmill_scores_report":
            assert rest.xcom(dag_id, run["dag_run_id"], "wait") == scores
            assert scores["location"].endswith(f"/sales/scores/{day}")
            assert rest.xcom(dag_id, run["dag_run_id"], "report")["orders"] == 1000
        else:
            answers = [rest.xcom(dag_id, run["dag_run_id"], "answer", map_index=place) for place in range(3)]
            assert [one["rows"] for one in answers] == [2, 3, 1]
            assert rest.xcom(dag_id, run["dag_run_id"], "summarize")["location"].endswith(f"/chats/summary/{day}")


def test_each_publication_starts_the_consumer_once_and_a_run_that_publishes_nothing_does_not(rest: Rest) -> None:
    def noted() -> list[dict[str, Any]]:
        runs = [one for one in rest.runs(CONSUMER) if one["state"] == "success"]
        assert {one["run_type"] for one in runs} <= {"asset_triggered"}
        return [note for one in runs for note in rest.xcom(CONSUMER, one["dag_run_id"], "note")]

    def classify(**conf: Any) -> dict[str, Any]:
        run_id = rest.trigger(PICTURES, conf=conf)
        rest.wait_for_run(PICTURES, run_id, timeout=240)
        return dict(rest.xcom(PICTURES, run_id, "classify"))

    first = classify()
    assert first["rows"] == 1797
    until(lambda: [note["job"] for note in noted()] == [first["job"]], story=f"not noted: {first['job']}")
    assert classify() == first
    forced = classify(force=True)
    assert forced["job"] != first["job"]
    wanted = sorted([first["job"], forced["job"]])
    until(lambda: sorted(note["job"] for note in noted()) == wanted, story=f"not noted: {wanted}")
    assert {note["rows"] for note in noted()} == {1797}
