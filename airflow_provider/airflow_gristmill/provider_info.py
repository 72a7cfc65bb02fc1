"""What Airflow registers of this provider: the connection type, the decorator, the links. Imports no Airflow."""

from typing import Any

__all__ = ["PROVIDER_INFO"]

_INTEGRATION = "Gristmill"

_TEXT = {"type": ["string", "null"]}
_OBJECT = {"type": ["object", "null"]}
"""Objects, not JSON as text: Airflow hides the secrets in objects by their names, and shows a text as it is."""

_FIELDS: dict[str, Any] = {
    "home": {
        "label": "Home",
        "schema": _TEXT,
        "description": "Where the records of jobs live: a folder or URL that Airflow's workers, its triggerer and the"
        " cluster all reach, such as s3://ops/gristmill. Empty: from gristmill.toml or GRISTMILL_HOME of the machine.",
    },
    "stages": {
        "label": "Stages",
        "schema": _OBJECT,
        "description": 'Names for locations: {"images": "s3://lake/images"} makes @images/cats stand for'
        " s3://lake/images/cats. Rows may name files under them.",
    },
    "allowed": {
        "label": "Allowed prefixes",
        "schema": {"type": ["array", "null"], "items": {"type": "string"}},
        "description": "Where rows may name files, besides the stages: one prefix on each line, such as s3://lake/raw/.",
    },
    "storage_options": {
        "label": "Storage options",
        "schema": _OBJECT,
        "description": 'By scheme, keyword arguments of the fsspec filesystem: {"s3": {"endpoint_url":'
        ' "http://minio:9000"}}. Keys belong into the next field.',
    },
    "storage_secrets": {
        "label": "Storage secrets",
        "schema": _OBJECT,
        "description": 'Storage options that nobody may see again: {"s3": {"key": "...", "secret": "..."}}. Once'
        " saved, every text in it is shown as ***.",
    },
    "default_pool": {
        "label": "Default pool",
        "schema": _TEXT,
        "description": "The pool of a job that names none. Empty: the cluster above, or local where there is none.",
    },
    "pools": {
        "label": "Further pools",
        "schema": _OBJECT,
        "description": 'By name: {"gpu": {"kind": "ray", "address": "http://head:8265"}}. The cluster above is the pool'
        " named cluster; inline, local and ray are always there.",
    },
    "endpoints": {
        "label": "Endpoints",
        "schema": _OBJECT,
        "description": 'Services with an OpenAI-compatible API: {"lab": {"base_url": "http://llm.lab:8000/v1",'
        ' "api_key": "..."}}.',
    },
    "registry": {
        "label": "Model registry",
        "schema": _TEXT,
        "description": "The MLflow server that models:/name/version is looked up in, such as http://mlflow:5000,"
        " without a password. Empty: from the surroundings, else a store of each machine's own.",
    },
    "trusted_registries": {
        "label": "Trusted registries",
        "schema": {"type": ["array", "null"], "items": {"type": "string"}},
        "description": "Loading a model may run its code: with addresses here, one on each line, models come from those"
        " registries only.",
    },
}
"""The connection's fields besides the standard ones; they stand in its `extra` under these names."""

PROVIDER_INFO: dict[str, Any] = {
    "package-name": "gristmill",
    "name": "Gristmill",
    "description": "Run a model over a dataset as one asynchronous step of a DAG: Parquet and `_SUCCESS` out.",
    "integrations": [{"integration-name": _INTEGRATION, "tags": ["service"]}],
    "operators": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_gristmill.operator"]}],
    "sensors": [
        {
            "integration-name": _INTEGRATION,
            "python-modules": ["airflow_gristmill.job_sensor", "airflow_gristmill.sentinel_sensor"],
        }
    ],
    "triggers": [
        {
            "integration-name": _INTEGRATION,
            "python-modules": ["airflow_gristmill.job_trigger", "airflow_gristmill.sentinel_trigger"],
        }
    ],
    "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_gristmill.hook"]}],
    "connection-types": [
        {
            "connection-type": "gristmill",
            "hook-class-name": "airflow_gristmill.hook.GristmillHook",
            "hook-name": "Gristmill",
            "conn-fields": _FIELDS,
            "ui-field-behaviour": {
                "hidden-fields": ["schema", "login", "port"],
                "relabeling": {"host": "Cluster address", "password": "Cluster token"},
                "placeholders": {
                    "host": "http://head.cluster:8265",
                    "password": "if the cluster asks for one",
                },
            },
        }
    ],
    "task-decorators": [{"name": "batch_inference", "class-name": "airflow_gristmill.decorator.batch_inference_task"}],
    "extra-links": ["airflow_gristmill.links.RayDashboardLink", "airflow_gristmill.links.OutputLink"],
}
