"""Which texts are secrets."""

import json

import pytest

from gristmill.settings import EndpointSettings, PoolSettings, Settings
from gristmill.spec.secrets import secret_values, texts


@pytest.mark.parametrize(
    "name",
    ["key", "secret", "aws_secret_access_key", "account_key", "sas_token", "SAS", "password", "Authorization"],
)
def test_what_stands_under_a_secrets_name_is_one_at_any_depth(name: str):
    assert secret_values({"s3": {"client_kwargs": [{name: "hush-hush"}]}}) == {"hush-hush"}


def test_all_that_stands_under_a_secrets_name_is_one():
    assert secret_values({"gs": {"token": {"private_key": "hush", "kind": ["x"]}}}) == {"hush", "x"}


def test_addresses_and_names_are_none():
    found = {"s3": {"endpoint_url": "http://127.0.0.1:9000", "region": "eu-central-1", "disaster": "none"}}
    assert secret_values(found) == set()


def test_a_password_in_a_url_is_one():
    assert secret_values({"proxy": "http://me:hush-hush@proxy:3128", "plain": "http://proxy:3128"}) == {"hush-hush"}


def test_json_in_a_variable_is_looked_into():
    variables = {"GRISTMILL_STORAGE_OPTIONS": json.dumps({"s3": {"secret": "hush-hush"}}), "BROKEN": "{secret"}
    assert secret_values({"gpu": {"runtime_env": {"env_vars": variables}}}) == {"hush-hush"}


def test_the_secrets_of_settings_are_found_and_nothing_else_of_them():
    settings = Settings(
        home="memory://home",
        storage_options={"s3": {"key": "AKIA-1", "endpoint_url": "http://127.0.0.1:9000"}},
        pools={"gpu": PoolSettings(kind="ray", address="http://head:8265", token="pool-token")},
        endpoints={"lab": EndpointSettings(base_url="http://lab/v1", api_key="lab-key", max_tokens_name="max_tokens")},
    )
    assert secret_values(settings.model_dump(mode="json", context={"reveal": True})) == {
        "AKIA-1",
        "pool-token",
        "lab-key",
    }


def test_texts_are_values_and_no_names():
    assert texts({"a": ["b", {"c": "d"}], "e": 1, "f": ""}) == {"b", "d"}
