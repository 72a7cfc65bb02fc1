"""The resource of a `defs.yaml`, its secrets, and what is shared by several."""

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from tests.dagster.projects import MINIMAL, asset, project, refused

from dagster_gristmill import GristmillResource

SECRETS = """
gristmill:
  home: "{{ env.MILL_HOME }}"
  storage_options: {s3: {endpoint_url: "http://127.0.0.1:9000"}}
  storage_secrets: {s3: {key: {env: MILL_KEY}}}
  pools: {gpu: {kind: ray, address: "http://head:8265", token: {env: MILL_TOKEN}}}
  endpoints: {lab: {base_url: "http://llm.lab/v1", api_key: {env: MILL_API_KEY}, options: {window: 8}}}
  registry: "http://mlflow:5000"
  trusted_registries: []
assets: []
"""


def test_secrets_are_named_and_read_where_a_run_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MILL_KEY", "MILL_TOKEN", "MILL_API_KEY"):
        monkeypatch.setenv(name, f"hush-{name}")
    monkeypatch.setenv("MILL_HOME", "memory://mill")
    with project(SECRETS) as defs:
        resource = (defs.resources or {})["gristmill"]
        told = str(defs.get_repository_def().get_top_level_resources()["gristmill"].config_schema) + repr(resource)
    assert isinstance(resource, GristmillResource)
    assert "hush" not in told
    monkeypatch.setenv("MILL_KEY", "hush-a-new-one")
    settings = resource.process_config_and_initialize().settings()
    assert settings.home == "memory://mill"
    assert settings.storage_options["s3"] == {"endpoint_url": "http://127.0.0.1:9000", "key": "hush-a-new-one"}
    assert settings.pool("gpu").token.get_secret_value() == "hush-MILL_TOKEN"
    assert settings.endpoints["lab"].api_key.get_secret_value() == "hush-MILL_API_KEY"
    assert settings.endpoints["lab"].window == 8
    assert (settings.registry, settings.trusted_registries) == ("http://mlflow:5000", ())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{pools: {gpu: {kind: ray, token: '{{ env.MILL_KEY }}'}}}", "name its variable: {env: NAME}"),
        ("{storage_secrets: {s3: {key: '{{ env.MILL_KEY }}'}}}", "storage_secrets.s3.key: is a secret"),
        ("{endpoints: {lab: {api_key: '{{ env.MILL_KEY }}'}}}", "name its variable: {env: NAME}"),
        ("{storage_options: {s3: {secret: '{{ env.MILL_KEY }}'}}}", "move it to storage_secrets"),
        ("{pools: {gpu: {kind: ry, token: {env: MILL_KEY}}}}", "PoolSettings.kind"),
        ("{pools: {gpu: {kind: ray, address: '{{ env.MILL_URL }}'}}}", "address: holds a password"),
        ("{pools: {gpu: {kind: ray, token: {env: '{{ env.MILL_KEY }}'}}}}", "env: is not the name of a variable"),
        ("{pools: {gpu: {kind: ray, token: {env: ''}}}}", "env: is not the name of a variable"),
        ("{storage_secrets: {s3: {key: {env: '{{ env.K }}'}}}}", "storage_secrets.s3.key: env: is not the name"),
        ("{storage_secrets: '{{ env.MILL_KEY }}'}", "by scheme: {s3: {key: {env: NAME}}}"),
        ("{storage_options: '{{ env.MILL_KEY }}'}", "storage_options"),
        ("{storage_options: {s3: {endpoint_url: '{{ env.MILL_URL }}'}}}", "move it to storage_secrets"),
        ("{endpoints: {lab: {options: {api_key: '{{ env.MILL_KEY }}'}}}}", "options: api_key has a field of its own"),
        ("{endpoints: {lab: {options: {base_url: '{{ env.MILL_URL }}'}}}}", "options: base_url has a field"),
        ("{endpoints: {lab: {base_url: '{{ env.MILL_URL }}'}}}", "EndpointSettings.base_url"),
        ("{home: '{{ env.MILL_URL }}'}", "home: holds a password"),
        ("{registry: '{{ env.MILL_URL }}'}", "registry: holds a password"),
        ("{stages: {lake: '{{ env.MILL_URL }}'}}", "stages: holds a password"),
        ("{allowed: ['{{ env.MILL_URL }}']}", "allowed: holds a password"),
    ],
)
def test_a_secret_that_would_stand_in_the_definition_is_refused_and_not_repeated(
    given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILL_KEY", "hush-hush")
    monkeypatch.setenv("MILL_URL", "http://ann:hush-hush@head:8265")
    told = refused(f"gristmill: {given}\nassets: []")
    assert said in told
    assert "hush-hush" not in told


@pytest.mark.parametrize("given", ["{password: 12345}", "{inner: {passphrase: 12345}}"])
def test_a_password_that_is_a_number_is_a_secret(given: str) -> None:
    told = refused(f"gristmill: {{storage_options: {{sftp: {given}}}}}\nassets: []")
    assert "is a secret, and would stand in the definition; move it to storage_secrets" in told


def test_switches_and_the_surroundings_of_a_pool_are_no_secrets() -> None:
    text = """
    gristmill:
      storage_options: {sftp: {look_for_keys: false}}
      pools: {gpu: {kind: ray, runtime_env: {env_vars: {TOKENIZERS_PARALLELISM: "false"}}}}
    """
    with project(text) as defs:
        assert set(defs.resources or {}) == {"gristmill"}


def test_an_io_manager_does_not_take_the_place_of_the_resource() -> None:
    assert "io_manager_key: 'gristmill' is the resource's own key" in refused(
        "gristmill: {}\nio_manager_key: gristmill"
    )
    told = refused("gristmill: {}\nresource_key: outputs\nio_manager_key: outputs")
    assert "io_manager_key: 'outputs' is the resource's own key" in told


def test_components_that_say_the_same_share_a_resource_and_others_are_refused() -> None:
    other = 'gristmill: {home: "memory://other"}\nassets: []'
    same = "gristmill: {pools: {gpu: {kind: ray, token: {env: T}}}}\nassets: []"
    with project(same, same, "assets: []") as defs:
        assert set(defs.resources or {}) == {"gristmill"}
    assert "different resources with same key 'gristmill'" in refused(same, other)
    with project(same, f"resource_key: lab\n{other}") as defs:
        assert set(defs.resources or {}) == {"gristmill", "lab"}


def test_the_assets_use_the_resource_of_the_key() -> None:
    text = MINIMAL.replace("PARTITIONS", "{type: static, partition_keys: [eu]}")
    needed = asset(f"{text}resource_key: lab\n").required_resource_keys
    assert "lab" in needed
    assert "gristmill" not in needed


def test_other_assets_load_an_output_with_the_io_manager_of_the_file(lake: Path, instance: dg.DagsterInstance) -> None:
    text = f"""
    gristmill: {{}}
    io_manager_key: outputs
    assets:
      - key: gross
        model: "echo:"
        input_location: "{lake}/orders/*/*.parquet"
        output_spec: {{location: "{lake}/gross", mode: overwrite}}
    """

    @dg.asset(ins={"gross": dg.AssetIn(input_manager_key="outputs")})
    def rows(gross: pa.Table) -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"rows": gross.num_rows})

    with project(text, "gristmill: {}\nio_manager_key: outputs") as defs:
        resources = dict(defs.resources or {})
        result = dg.materialize([*(defs.assets or ()), rows], resources=resources, instance=instance)
    (event,) = result.asset_materializations_for_node("rows")
    assert event.metadata["rows"].value == 30
    assert "io_manager_key: an I/O manager needs the resource" in refused("io_manager_key: outputs")
