"""Links from a task to where its job runs, and to its output."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["OutputLink", "RayDashboardLink", "output_url"]


class RayDashboardLink(BaseOperatorLink):
    """The dashboard of the Ray cluster that runs the job; empty where the job runs without Ray."""

    name = "Ray dashboard"

    def get_link(self, operator: Any, *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002 - Airflow's signature
        """The address, as the task knows it now; Airflow keeps it for the page."""
        return getattr(operator, "dashboard_url", None) or ""


class OutputLink(BaseOperatorLink):
    """The job's output, in the browser's terms where there are such."""

    name = "Output"

    def get_link(self, operator: Any, *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002 - Airflow's signature
        """The address, as the task knows it now; Airflow keeps it for the page."""
        location = getattr(operator, "output_location", None)
        return output_url(location) if location else ""


def output_url(location: str) -> str:
    """The page where a browser shows a location; a location that has none stands for itself.

    Example:
        >>> output_url("s3://lake/scores/2026-01-01")
        'https://s3.console.aws.amazon.com/s3/buckets/lake?prefix=scores/2026-01-01/'
        >>> output_url("/data/scores")
        'file:///data/scores'
    """
    if location.startswith("/"):
        return f"file://{quote(location)}"
    parts = urlsplit(location)
    path = quote(parts.path.strip("/"))
    if parts.scheme == "s3":
        return f"https://s3.console.aws.amazon.com/s3/buckets/{parts.netloc}?prefix={path}/"
    if parts.scheme in ("gs", "gcs"):
        return f"https://console.cloud.google.com/storage/browser/{parts.netloc}/{path}"
    return location
