"""Jobs that are done, for tests of what is shown of them."""

from typing import Any

import gristmill
from gristmill.jobs.handle import Job
from gristmill.outputs.manifest import Manifest
from gristmill.settings import Settings

__all__ = ["finished"]


def finished(
    settings: Settings, rows: Any, location: str, model: str = "echo:", **arguments: Any
) -> tuple[Job, Manifest]:
    """A job that has run in this process, and the manifest of its output."""
    job = gristmill.run_batch(
        model,
        rows,
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location=location, mode="overwrite"),
        settings=settings,
        **arguments,
    )
    assert job.wait().value == "DONE", job.message
    return job, job.manifest()
