"""What Airflow registers of this provider: the connection type, the decorator, the links. Imports no Airflow."""

from typing import Any

__all__ = ["PROVIDER_INFO"]

_INTEGRATION = "Gristmill"

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
    "task-decorators": [
        {"name": "batch_inference", "class-name": "airflow_gristmill.decorator.batch_inference_task"}
    ],
    "extra-links": ["airflow_gristmill.links.RayDashboardLink", "airflow_gristmill.links.OutputLink"],
}
