"""Secrets of a resource: they reach the job, and nothing that Dagster or the job shows."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.bench import as_text
from tests.engines.openai.server import Service, refusal


@pytest.fixture
def service(dagster):
    """A service that asks for the key, where the server's runs look for it."""
    service = Service(key=dagster.environment["LIVE_API_KEY"])
    address = dagster.data / "service"
    address.write_text(service.base_url)
    try:
        yield service
    finally:
        address.unlink()
        service.close()


def shown(graphql, asset, run_id) -> str:
    """All that Dagster shows of a run, of its asset and of the resources."""
    where = {"repositorySelector": ("RepositorySelector!", graphql.place())}
    resources = graphql.ask(
        "allTopLevelResourceDetailsOrError",
        where,
        "ResourceDetailsList { results { name configuredValues { key value type } } }",
    )
    printed = graphql.printed(run_id)
    assert printed
    run = graphql.run(run_id)
    found = [resources, run, graphql.events(run_id), printed, graphql.materializations(asset), graphql.checks(asset)]
    return as_text(found)


def files_with(text: str, *folders) -> list[str]:
    wanted = text.encode()
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if wanted in _content(path)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # the server's own, which come and go: it is at work


@pytest.mark.parametrize(("asset", "ending"), [("secret_kept", "SUCCESS"), ("secret_told", "FAILURE")])
def test_secrets_of_a_resource_reach_the_service_and_stand_nowhere(dagster, graphql, bench, service, asset, ending):
    if ending == "FAILURE":  # a service that tells what it was sent, in the error that ends up in the run's log
        service.script = lambda call: refusal(400, f"you sent {call.headers['Authorization']}", kind="bad")
    secret = bench(asset)
    folder = secret.folder / "in"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"prompt": ["a", "b"]}), folder / "a.parquet")
    run_id = graphql.launch(asset)
    graphql.wait_for_run(run_id, expect=ending)
    key = dagster.environment["LIVE_API_KEY"]
    assert {call.headers["Authorization"] for call in service.calls} == {f"Bearer {key}"}

    told = shown(graphql, asset, run_id)
    assert "LIVE_API_KEY" in told
    assert ("you sent" in told) is (ending == "FAILURE")
    for text in (key, dagster.environment["LIVE_S3_SECRET"]):
        assert text not in told
        assert files_with(text, dagster.home) == []
    assert secret.job("out").request.engine == "openai"
