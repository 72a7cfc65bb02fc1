"""Secrets of a connection: they reach the job, and nothing that Airflow or the job shows."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.bench import as_text
from tests.engines.openai.server import MODEL, Service, refusal

KEY = "sk-live-3f81c2ab90"
OPTION = "hidden-option-77d1e0"


@pytest.fixture
def service():
    """A service that asks for the key."""
    service = Service(key=KEY)
    try:
        yield service
    finally:
        service.close()


def shown(airflow, dag_id, run_id) -> str:
    """All that Airflow shows of a run: XComs, rendered fields, logs of each try, links."""
    rest = airflow.rest
    entries = rest.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/score/xcomEntries")["xcom_entries"]
    assert entries
    values = [rest.xcom(dag_id, run_id, "score", key=entry["key"]) for entry in entries]
    tries = rest.tries(dag_id, run_id, "score")
    logs = [rest.log(dag_id, run_id, "score", try_number=one["try_number"]) for one in tries]
    assert all(logs)
    return as_text([values, rest.task_instances(dag_id, run_id), tries, logs, rest.run(dag_id, run_id)])


def files_with(text: str, *folders) -> list[str]:
    wanted = text.encode()
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if wanted in path.read_bytes()]


@pytest.mark.parametrize("mode", ["sync", "deferred"])
@pytest.mark.parametrize("ending", ["success", "failed"])
def test_secrets_of_a_connection_reach_the_service_and_stand_nowhere(airflow, rest, bench, service, mode, ending):
    if ending == "failed":  # a service that tells what it was sent, in the error that ends up in the task's log
        service.script = lambda call: refusal(400, f"you sent {call.headers['Authorization']}", kind="bad")
    name = f"live_secret_{mode}_{ending}"
    extra = {
        "home": str(airflow.home / "gristmill"),
        "storage_secrets": {"s3": {"key": "user", "secret": OPTION}},
        "endpoints": {"openai": {"base_url": service.base_url, "api_key": KEY, "attempts": 1}},
    }
    rest.set_connection(name, "gristmill", extra=extra)
    folder = bench.folder / "prompts"
    folder.mkdir()
    pq.write_table(pa.table({"prompt": ["a", "b"]}), folder / "a.parquet")
    conf = {"input": str(folder), "output": str(bench.folder / "out"), "model": f"openai:{MODEL}", "echo": {}}
    dag_id = f"live_{mode}"
    run_id = rest.trigger(dag_id, conf={**conf, "connection": name})
    rest.wait_for_run(dag_id, run_id, expect=ending)
    assert {call.headers["Authorization"] for call in service.calls} == {f"Bearer {KEY}"}

    told = shown(airflow, dag_id, run_id)
    assert ("you sent" in told) is (ending == "failed")
    for secret in (KEY, OPTION):
        assert secret not in told
        assert files_with(secret, airflow.home / "gristmill", airflow.home / "logs", bench.folder) == []
        assert secret not in airflow.log(lines=100_000)
    assert bench.job("out").request.engine == "openai"
