"""An asset whose resource has secrets, and whose service tells in its errors what it was sent."""

from pathlib import Path

import dagster as dg
from tests.dagster.definitions.jobs import LIVE

from dagster_gristmill import GristmillResource
from dagster_gristmill.asset import batch_inference_asset

ADDRESS = Path(LIVE, "service")
"""A file that holds the service's address, once there is one."""


def secret(name: str) -> dg.AssetsDefinition:
    return batch_inference_asset(
        name,
        model="openai:tiny",
        input_location=f"{LIVE}/{name}/in",
        output_spec={"location": f"{LIVE}/{name}/out", "mode": "overwrite"},
        resource_key="secret_gristmill",
        poll_interval=1.0,
    )


ASSETS = [secret("secret_told"), secret("secret_kept")]
RESOURCES = {
    "secret_gristmill": GristmillResource(
        endpoints={
            "openai": {
                "base_url": ADDRESS.read_text() if ADDRESS.exists() else None,
                "api_key": dg.EnvVar("LIVE_API_KEY"),
                "options": {"attempts": 1},
            }
        },
        storage_secrets={"s3": {"key": dg.EnvVar("LIVE_S3_KEY"), "secret": dg.EnvVar("LIVE_S3_SECRET")}},
    )
}
