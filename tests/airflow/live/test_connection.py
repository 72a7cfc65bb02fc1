"""A connection in the metadata database, read by a task in its process and by a trigger in the triggerer."""

import shutil
from pathlib import Path

import pytest
from tests.airflow.conftest import DAGS

SECRETS = {
    "storage_options": {"s3": {"endpoint_url": "http://s3.lab:9000", "key": "hush-key-1", "secret": "hush-secret-2"}},
    "storage_secrets": {"abfs": {"something": "hush-something-3"}},
    "endpoints": {"lab": {"base_url": "http://lab/v1", "api_key": "hush-api-4"}},
}


@pytest.fixture(scope="module")
def rest(airflow):
    # For its trigger: a triggerer looks into no folder of DAGs, and into that of plugins if it is there from the start.
    (airflow.home / "plugins").mkdir(exist_ok=True)
    shutil.copy(DAGS / "connection_live.py", airflow.home / "plugins")
    airflow.restart("triggerer")
    airflow.add_dags(DAGS / "connection_live.py")
    return airflow.rest


def test_task_and_trigger_read_the_same_connection_and_log_none_of_its_secrets(rest, airflow):
    rest.set_connection(
        "lab", "gristmill", extra={"home": "/srv/lab", **SECRETS}, host="http://head:8265", password="hush-token-0"
    )
    run_id = rest.trigger("connection_live", conf={"connection": "lab"})
    rest.wait_for_run("connection_live", run_id)
    assert rest.xcom("connection_live", run_id, "read") == ["/srv/lab", "/srv/lab"]
    log = rest.log("connection_live", run_id, "read")
    assert "the task has read it" in log
    assert "the trigger has read it" in log
    assert "http://s3.lab:9000" in log
    assert "hush" not in log
    files = [path for path in Path(airflow.home).rglob("*.log") if "connection_live" in str(path)]
    assert files
    assert not [path for path in files if "hush" in path.read_text()]
    # The scheduler's own output is left out: it repeats tasks' lines unmasked, those of any connection's password too.


def test_without_the_default_connection_the_surroundings_are_the_settings(rest, airflow):
    run_id = rest.trigger("connection_live", conf={"connection": "gristmill_default"})
    rest.wait_for_run("connection_live", run_id)
    assert rest.xcom("connection_live", run_id, "read") == [str(airflow.home / "gristmill")] * 2


def test_a_connection_that_is_not_there_fails_the_task_and_says_so(rest):
    run_id = rest.trigger("connection_live", conf={"connection": "nowhere"})
    rest.wait_for_run("connection_live", run_id, expect="failed")
    assert "connection 'nowhere' is not defined; add it" in rest.log("connection_live", run_id, "read")
