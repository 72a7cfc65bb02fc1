"""Assets whose jobs can be counted, killed and cancelled. Each test has some of its own, in a folder of that name."""

import os
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_gristmill import GristmillResource
from dagster_gristmill.asset import batch_inference_asset

LIVE = os.environ["GRISTMILL_LIVE"]
RESOURCES = {"gristmill": GristmillResource()}  # its home is the server's `GRISTMILL_HOME`
TWENTY = dg.StaticPartitionsDefinition([f"p{number:02d}" for number in range(20)])
TEN = dg.StaticPartitionsDefinition([f"p{number:02d}" for number in range(10)])
TWO = dg.StaticPartitionsDefinition(["p00", "p01"])
CHANGED = Path(LIVE, "changed", "output_type")
"""A file that changes the definition of an asset."""
ALL_IN_ONE = dg.BackfillPolicy.single_run()


def scored(name: str, *, delay: float = 0.0, output_type: str | None = None, **arguments: Any) -> dg.AssetsDefinition:
    """An asset that gives the ids of its rows back, in calls of ten that take `delay` seconds each."""
    folder = f"{LIVE}/{name}"
    place = "/{partition}" if "partitions_def" in arguments else ""
    options = {"column": "id", "delay": delay, "log": f"{folder}/calls", "output_type": output_type}
    return batch_inference_asset(
        name,
        **{
            "model": "echo:",
            "inference_engine_options": options,
            "input_location": f"{folder}/in{place}",
            "output_spec": {"location": f"{folder}/out{place}", "mode": "overwrite"},
            "job_spec": {"max_batch_rows": 10},
            "poll_interval": 1.0,
            "log_interval": 2.0,
            **arguments,
        },
    )


def mendable(name: str, *, delay: float = 0.0, **arguments: Any) -> dg.AssetsDefinition:
    """The same, failing on the ids that have a file in `refuse`, for as long as they have it."""
    params = {"folder": f"{LIVE}/{name}", "delay": delay}
    model = {"model": "python:tests.dagster.definitions.model:Mendable", "inference_engine_options": None}
    return scored(name, **model, input_spec={"params": params}, **arguments)


ASSETS = [
    mendable("twenty", partitions_def=TWENTY, compute_pool="inline"),
    scored("changed", output_type=CHANGED.read_text() if CHANGED.exists() else None),
    mendable(
        "ten_in_one",
        delay=1.5,
        partitions_def=TEN,
        backfill_policy=ALL_IN_ONE,
        partitions_at_once=2,
        compute_pool="inline",
    ),
    scored("terminated", delay=5, partitions_def=TWO),
    scored("terminated_in_one", delay=5, partitions_def=TEN, backfill_policy=ALL_IN_ONE, partitions_at_once=2),
    scored("checked", compute_pool="inline"),
    scored("run_killed", delay=5),
    scored("run_and_step_killed", delay=2),
    scored("step_killed", delay=2),
    scored("step_and_job_killed", delay=4),
    scored("retried", delay=2),
    scored("code_server_killed", delay=2),
    scored("all_lost", delay=4),
    scored("restarted", delay=2, partitions_def=TEN),
]
