"""A connection of type Gristmill in Airflow's API: what it shows, keeps and tries."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.app import create_app
from fastapi.testclient import TestClient

from gristmill.settings import Settings

EXTRA: dict[str, Any] = {
    "home": "s3://ops/home",
    "stages": {"images": "s3://lake/images"},
    "storage_options": {"s3": {"endpoint_url": "http://s3:9000", "secret": "hush-secret-1"}},
    "storage_secrets": {"abfs": {"something": "hush-something-2"}},
    "pools": {"gpu": {"kind": "ray", "token": "hush-pool-3", "runtime_env": {"env_vars": {"HF_TOKEN": "hush-hf-4"}}}},
    "endpoints": {"lab": {"base_url": "http://lab/v1", "api_key": "hush-api-5"}},
}


@pytest.fixture(scope="module")
def app(airflow_db: None) -> Any:
    return create_app(apps="core")


@pytest.fixture
def api(app: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Its client, allowed everything; the test of connections is switched on."""
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    with TestClient(app, base_url="http://testserver/api/v2") as client:
        token = client.get("http://testserver/auth/token").json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client
        client.delete("/connections/mine")


def body(extra: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"connection_id": "mine", "conn_type": "gristmill", "extra": json.dumps(extra), **fields}


def test_what_is_shown_holds_no_secret_and_all_else(api: TestClient):
    made = api.post("/connections", json=body(EXTRA, host="http://head:8265", password="hush-token-0"))
    assert made.status_code == 201
    for shown in (made, api.get("/connections/mine"), api.get("/connections")):
        assert "hush" not in shown.text
    shown = api.get("/connections/mine").json()
    assert shown["password"] == "***"
    extra = json.loads(shown["extra"])
    assert extra["storage_options"] == {"s3": {"endpoint_url": "http://s3:9000", "secret": "***"}}
    assert extra["storage_secrets"] == {"abfs": {"something": "***"}}
    assert extra["stages"] == EXTRA["stages"]
    assert extra["endpoints"]["lab"] == {"base_url": "http://lab/v1", "api_key": "***"}


def test_secrets_as_text_are_shown_by_no_field_of_theirs(api: TestClient):
    api.post("/connections", json=body({"storage_secrets": json.dumps(EXTRA["storage_secrets"])}))
    assert json.loads(api.get("/connections/mine").json()["extra"]) == {"storage_secrets": "***"}


def test_saving_what_was_shown_keeps_the_secrets(api: TestClient):
    from airflow.models.connection import Connection

    from airflow_gristmill.connection import read_connection

    api.post("/connections", json=body(EXTRA, host="http://head:8265", password="hush-token-0"))
    shown = api.get("/connections/mine").json()
    extra = json.loads(shown["extra"]) | {"home": "s3://ops/other"}
    api.patch("/connections/mine", json=body(extra, host=shown["host"], password=shown["password"])).raise_for_status()
    given = read_connection(Connection.get_connection_from_secrets("mine"))
    assert given.settings["home"] == "s3://ops/other"
    assert given.settings["storage_options"]["s3"]["secret"] == "hush-secret-1"
    assert {
        f"hush-{name}" for name in ("token-0", "secret-1", "something-2", "pool-3", "hf-4", "api-5")
    } == given.secrets


def test_the_button_tries_what_the_form_says(api: TestClient, tmp_path: Path):
    good = api.post("/connections/test", json=body({"home": str(tmp_path / "home")})).json()
    assert good["status"], good
    assert "can be written to and read" in good["message"]
    assert "default_pool: local" in good["message"]
    bad = api.post(
        "/connections/test",
        json=body({"home": str(tmp_path / "home")}, host="http://127.0.0.1:9", password="hush-token-0"),
    ).json()
    assert not bad["status"]
    assert "pools.cluster: the cluster at http://127.0.0.1:9 does not answer" in bad["message"]
    assert "hush" not in bad["message"]


def test_the_button_tries_a_saved_connection_with_its_saved_secrets(api: TestClient, tmp_path: Path):
    extra = {"home": str(tmp_path / "home"), "storage_secrets": {"s3": {"key": "hush-key-6"}}}
    api.post("/connections", json=body(extra))
    shown = json.loads(api.get("/connections/mine").json()["extra"])
    assert shown["storage_secrets"] == {"s3": {"key": "***"}}
    tried = api.post("/connections/test", json=body(shown)).json()
    assert tried["status"], tried


def test_the_form_has_the_fields_and_labels_of_the_provider(api: TestClient):
    answer = api.get(f"{str(api.base_url).removesuffix('/api/v2/')}/ui/connections/hook_meta")
    (found,) = (one for one in answer.json() if one["connection_type"] == "gristmill")
    assert found["hook_name"] == "Gristmill"
    standard = found["standard_fields"]
    assert [name for name, field in standard.items() if field and field["hidden"]] == ["url_schema", "port", "login"]
    assert (standard["host"]["title"], standard["password"]["title"]) == ("Cluster address", "Cluster token")
    extra = found["extra_fields"]
    assert next(iter(extra)) == "home"
    assert all(field["description"] and field["schema"]["title"] for field in extra.values())
    assert extra["storage_secrets"]["schema"]["type"] == ["object", "null"]
