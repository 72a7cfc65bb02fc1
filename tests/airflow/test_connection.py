"""A connection's fields, in every form that Airflow hands them on, as settings."""

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_gristmill.connection import Given, read_connection
from airflow_gristmill.provider_info import PROVIDER_INFO
from gristmill.errors import SpecError
from gristmill.settings import Settings

OBJECTS: dict[str, dict[str, Any]] = {
    "stages": {"images": "s3://lake/images"},
    "storage_options": {"s3": {"endpoint_url": "http://127.0.0.1:9000"}},
    "pools": {"gpu": {"kind": "ray", "init": {"num_gpus": 2}}},
    "endpoints": {"lab": {"base_url": "http://lab/v1", "attempts": 2}},
    "resolver": {"max_in_flight": 7},
}
VALUES: dict[str, Any] = {
    "home": "s3://ops/home",
    "default_pool": "inline",
    "allowed": ["s3://raw/"],
    "registry": "http://mlflow:5000",
    "trusted_registries": ["http://mlflow:5000"],
    "model_cache": "/mnt/models",
    **OBJECTS,
}


def read(extra: dict[str, Any] | str | None = None, **fields: Any) -> Given:
    text = json.dumps(extra) if isinstance(extra, dict) else extra
    return read_connection(Connection(conn_id="mine", conn_type="gristmill", extra=text, **fields))


@pytest.mark.parametrize("field", sorted(VALUES))
def test_each_field_reaches_the_settings(field: str, settings: Settings):
    found = Settings.load(**read({field: VALUES[field]}).settings).model_dump(mode="json", exclude_unset=True)[field]
    assert found == VALUES[field]


@pytest.mark.parametrize("field", sorted(OBJECTS))
def test_an_object_may_come_as_json_in_a_text(field: str):
    assert read({field: json.dumps(OBJECTS[field])}) == read({field: OBJECTS[field]})


@pytest.mark.parametrize("text", ['["s3://a/", "s3://b,c/"]', "s3://a/\n\n  s3://b,c/ \n"])
def test_prefixes_may_come_as_json_or_one_on_each_line(text: str):
    assert read({"allowed": text}).settings == {"allowed": ["s3://a/", "s3://b,c/"]}


@pytest.mark.parametrize("extra", [None, "", "{}", {"home": "", "stages": None, "allowed": None, "pools": None}])
def test_what_is_left_open_is_no_setting(extra: Any):
    assert read(extra, host="", password="", port=0, schema="", login="") == Given({}, set())


def test_the_fields_of_the_form_are_fields_of_a_connection():
    fields = PROVIDER_INFO["connection-types"][0]["conn-fields"]
    given = {name: OBJECTS.get(name, VALUES.get(name, {"s3": {"key": "k"}})) for name in fields}
    assert {*read(given).settings} == {*fields} - {"storage_secrets"}


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"host": "http://head:8265"}, "http://head:8265"),
        ({"host": "https://head.cluster/ray/"}, "https://head.cluster/ray"),
        ({"host": "http://head:8265", "port": 0}, "http://head:8265"),
        ({"host": "http://head", "port": 80}, "http://head:80"),
        ({"host": "head"}, "http://head:8265"),
        ({"host": "head:99"}, "http://head:99"),
        ({"host": "head", "port": 443, "schema": "https"}, "https://head:443"),
    ],
)
def test_the_address_of_a_cluster_is_the_default_pool(fields: dict[str, Any], address: str, settings: Settings):
    found = Settings.load(**read(**fields, password="the-token").settings)
    assert found.default_pool == "cluster"
    assert found.pool(None).address == address
    token = found.pool(None).token
    assert token is not None
    assert token.get_secret_value() == "the-token"


def test_the_cluster_may_have_more_than_an_address_and_need_not_be_the_default():
    given = read({"pools": {"cluster": {"placement_timeout": 7}}, "default_pool": "local"}, host="http://head:8265")
    assert given.settings == {
        "pools": {"cluster": {"kind": "ray", "placement_timeout": 7, "address": "http://head:8265"}},
        "default_pool": "local",
    }


def test_secret_storage_options_join_the_others():
    options = {"s3": {"endpoint_url": "http://s3:9000", "client_kwargs": {"region_name": "eu"}}, "gs": {"project": "p"}}
    hidden = {"s3": {"key": "AKIA-1", "client_kwargs": {"x": "plain-name"}}, "abfs": {"account_key": "azure-1"}}
    given = read({"storage_options": options, "storage_secrets": json.dumps(hidden)})
    assert given.settings == {
        "storage_options": {
            "s3": {
                "endpoint_url": "http://s3:9000",
                "key": "AKIA-1",
                "client_kwargs": {"region_name": "eu", "x": "plain-name"},
            },
            "gs": {"project": "p"},
            "abfs": {"account_key": "azure-1"},
        }
    }
    assert given.secrets == {"AKIA-1", "plain-name", "azure-1"}


def test_secrets_are_the_token_and_what_stands_under_a_secrets_name():
    extra = {
        "home": "/srv/home",
        "storage_options": {"s3": {"key": "AKIA-1", "secret": "s3-secret", "endpoint_url": "http://s3:9000"}},
        "endpoints": {"lab": {"base_url": "http://lab/v1", "api_key": "lab-key"}},
        "pools": {"gpu": {"kind": "ray", "runtime_env": {"env_vars": {"HF_TOKEN": "hf-token", "AWS_REGION": "eu"}}}},
    }
    secrets = read(extra, host="http://head:8265", password="the-token").secrets
    assert secrets == {"AKIA-1", "s3-secret", "lab-key", "hf-token", "the-token"}


@pytest.mark.parametrize(
    ("extra", "fields", "message"),
    [
        ("hunter2", {}, "extra is not a JSON object; write it as"),
        ('["hunter2"]', {}, "extra is not a JSON object"),
        ({"storage_options": '{"s3": hunter2'}, {}, r"extra.storage_options is not a JSON object; write it as \{"),
        ({"stages": ["hunter2"]}, {}, "extra.stages is not a JSON object; write it as .*s3://lake/images"),
        ({"endpoints": "hunter2"}, {}, "extra.endpoints is not a JSON object"),
        ({"storage_secrets": 5}, {}, "extra.storage_secrets is not a JSON object"),
        ({"storage_secrets": {"s3": "hunter2"}}, {}, "storage options of 's3' are not a JSON object"),
        ({"allowed": '["hunter2"'}, {}, "extra.allowed is not a list of prefixes; write it as"),
        ({"allowed": {"hunter2": 1}}, {}, "extra.allowed is not a list of prefixes"),
        ({"hom": "hunter2"}, {}, "extra has the field 'hom', which is none; the fields are allowed, default_pool,"),
        ({}, {"password": "hunter2"}, r"password .* stands without host .*give both, or remove the password"),
        ({}, {"port": 8265}, "port stands without host; give the cluster's address"),
        ({}, {"host": "ftp://head", "password": "hunter2"}, "host is not the address of a Ray cluster's Jobs API"),
        ({}, {"host": "http://me:hunter2@head:8265"}, "host is not the address .* a token into password"),
        ({"pools": {"cluster": {"address": "http://hunter2"}}}, {"host": "http://b"}, "host and extra.pools.cluster"),
        ({"storage_secrets": {"s3": {"key": "***"}}}, {}, r"a secret is '\*\*\*'.*enter the secret itself again"),
    ],
)
def test_a_field_that_cannot_be_right_is_named_and_its_value_is_not(extra: Any, fields: dict[str, Any], message: str):
    with pytest.raises(SpecError, match=f"connection 'mine'.*{message}") as caught:
        read(extra, **fields)
    assert "hunter2" not in str(caught.value)


def test_a_connection_of_another_type_is_refused():
    with pytest.raises(SpecError, match=r"connection 'mine' is of type 'aws'.*'gristmill'"):
        read_connection(Connection(conn_id="mine", conn_type="aws"))


def test_a_connection_without_a_type_is_one():
    assert read_connection(Connection(conn_id="mine", extra='{"home": "/srv"}')).settings == {"home": "/srv"}
